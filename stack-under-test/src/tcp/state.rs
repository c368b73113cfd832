//! The state machine of a connection (RFC 9293, section 3.3.2) as a table that one can read: state, event, next state.

/// The states, by Linux's names and numbers (`net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// Data flows both ways.
    Established = 1,
    /// We sent a SYN.
    SynSent = 2,
    /// Both sides sent a SYN (simultaneous open), or a child whose last ACK of the handshake is being looked at.
    SynRecv = 3,
    /// We sent a FIN.
    FinWait1 = 4,
    /// Our FIN was acknowledged.
    FinWait2 = 5,
    /// Both closed; old segments may still come.
    TimeWait = 6,
    /// Nothing.
    Close = 7,
    /// The peer sent a FIN; we may still send.
    CloseWait = 8,
    /// The peer's FIN came first, and ours is under way.
    LastAck = 9,
    /// A listener.
    Listen = 10,
    /// Both FINs crossed; ours is not acknowledged yet.
    Closing = 11,
    /// A request: a SYN came, a SYN-ACK is under way.
    NewSynRecv = 12,
}

impl TcpState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait1,
        Self::FinWait2,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::Closing,
        Self::NewSynRecv,
    ];

    /// Linux's name without `TCP_`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
            Self::NewSynRecv => "NEW_SYN_RECV",
        }
    }

    /// Whether the connection has been synchronised: data and FINs can have been exchanged.
    #[must_use]
    pub fn is_synchronised(self) -> bool {
        !matches!(self, Self::Close | Self::Listen | Self::SynSent | Self::SynRecv | Self::NewSynRecv)
    }
}

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpEvent {
    /// The application calls `listen`.
    Listen,
    /// The application calls `connect`: a SYN goes out.
    Connect,
    /// A SYN comes.
    RcvSyn,
    /// A SYN comes that acknowledges ours.
    RcvSynAck,
    /// The SYN of ours is acknowledged.
    RcvAckOfSyn,
    /// The application is done sending: a FIN goes behind what is still to be sent.
    Close,
    /// The FIN of ours is acknowledged.
    RcvAckOfFin,
    /// A FIN comes, in order.
    RcvFin,
    /// A reset that is acceptable comes, or the connection is given up or aborted.
    Abort,
    /// The time of TIME-WAIT, or of FIN-WAIT-2 without an owner, is over.
    Timeout,
}

impl TcpEvent {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Listen,
        Self::Connect,
        Self::RcvSyn,
        Self::RcvSynAck,
        Self::RcvAckOfSyn,
        Self::Close,
        Self::RcvAckOfFin,
        Self::RcvFin,
        Self::Abort,
        Self::Timeout,
    ];
}

/// The state behind `event` in `state`, or `None` where the event changes nothing.
#[inline(always)]
#[must_use]
pub fn next(state: TcpState, event: TcpEvent) -> Option<TcpState> {
    use TcpEvent as E;
    use TcpState as S;
    Some(match (state, event) {
        (S::Close, E::Listen) => S::Listen,
        (S::Close, E::Connect) => S::SynSent,
        // The listener itself stays; a request is made.
        (S::Listen, E::RcvSyn) => S::NewSynRecv,
        (S::Listen, E::Close | E::Abort) => S::Close,
        (S::SynSent, E::RcvSyn) => S::SynRecv,
        (S::SynSent, E::RcvSynAck) => S::Established,
        (S::SynSent, E::Close) => S::Close,
        (S::NewSynRecv, E::RcvAckOfSyn) => S::SynRecv,
        (S::SynRecv, E::RcvAckOfSyn) => S::Established,
        (S::SynRecv | S::Established, E::Close) => S::FinWait1,
        (S::SynRecv | S::Established, E::RcvFin) => S::CloseWait,
        (S::FinWait1, E::RcvAckOfFin) => S::FinWait2,
        (S::FinWait1, E::RcvFin) => S::Closing,
        (S::FinWait2, E::RcvFin) | (S::Closing, E::RcvAckOfFin) => S::TimeWait,
        (S::CloseWait, E::Close) => S::LastAck,
        (S::LastAck, E::RcvAckOfFin) => S::Close,
        (S::TimeWait | S::FinWait2 | S::NewSynRecv, E::Timeout) => S::Close,
        (S::Close, E::Abort) => return None,
        (_, E::Abort) => S::Close,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// The figure of RFC 9293, section 3.3.2, line by line, with what Linux adds: resets and time-outs end in CLOSE, and a
    /// request is a state of its own.
    const TABLE: &str = "\
ESTABLISHED: Close>FIN_WAIT1 RcvFin>CLOSE_WAIT Abort>CLOSE
SYN_SENT: RcvSyn>SYN_RECV RcvSynAck>ESTABLISHED Close>CLOSE Abort>CLOSE
SYN_RECV: RcvAckOfSyn>ESTABLISHED Close>FIN_WAIT1 RcvFin>CLOSE_WAIT Abort>CLOSE
FIN_WAIT1: RcvAckOfFin>FIN_WAIT2 RcvFin>CLOSING Abort>CLOSE
FIN_WAIT2: RcvFin>TIME_WAIT Abort>CLOSE Timeout>CLOSE
TIME_WAIT: Abort>CLOSE Timeout>CLOSE
CLOSE: Listen>LISTEN Connect>SYN_SENT
CLOSE_WAIT: Close>LAST_ACK Abort>CLOSE
LAST_ACK: RcvAckOfFin>CLOSE Abort>CLOSE
LISTEN: RcvSyn>NEW_SYN_RECV Close>CLOSE Abort>CLOSE
CLOSING: RcvAckOfFin>TIME_WAIT Abort>CLOSE
NEW_SYN_RECV: RcvAckOfSyn>SYN_RECV Abort>CLOSE Timeout>CLOSE
";

    #[test]
    fn every_state_and_event_is_as_the_rfc_draws_it() {
        let mut printed = std::string::String::new();
        for state in TcpState::ALL {
            write!(printed, "{}:", state.name()).expect("a string takes all");
            for event in TcpEvent::ALL {
                if let Some(to) = next(state, event) {
                    write!(printed, " {event:?}>{}", to.name()).expect("a string takes all");
                }
            }
            printed.push('\n');
        }
        assert_eq!(printed, TABLE);
    }
}
