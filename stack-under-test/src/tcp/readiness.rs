//! What `poll` says of a TCP socket (`tcp_poll`, Linux 6.12).

use super::sock::TcpSock;
use super::state::TcpState;
use super::urgent::UrgentData;
use crate::socket::calls::Readiness;

impl TcpSock {
    /// `tcp_poll`. A socket that is not writable wakes its waiters when it is. `lowat`: `tcp_notsent_lowat`.
    pub(crate) fn readiness(&mut self, lowat: u32) -> Readiness {
        if self.state == TcpState::Listen {
            return Readiness { readable: !self.accept_queue.is_empty(), ..Readiness::default() };
        }
        let mut ready = Readiness {
            hangup: (self.shutdown_read && self.shutdown_write) || self.state == TcpState::Close,
            read_hangup: self.shutdown_read,
            readable: self.shutdown_read,
            error: self.err.is_some(),
            ..Readiness::default()
        };
        if !matches!(self.state, TcpState::SynSent | TcpState::SynRecv) {
            let urgent = self.urg_data.is_some() && self.urg_seq == self.copied_seq;
            ready.urgent = matches!(self.urg_data, Some(UrgentData::Valid(_)));
            ready.readable |= self.is_readable(urgent) && !self.receive_queue.is_empty();
            if self.shutdown_write || self.is_writeable(lowat) {
                ready.writable = true;
            } else {
                self.nospace = true;
            }
        }
        ready
    }
}
