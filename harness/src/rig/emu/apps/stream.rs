//! A connection as an application has it: bytes that wait to be sent, and what comes.

use stack_under_test::errno::Errno;
use stack_under_test::socket::Fd;
use stack_under_test::stack::Stack;
use stack_under_test::tcp::recvmsg::TcpRecvFlags;
use stack_under_test::tcp::sendmsg::TcpSendFlags;
use stack_under_test::time::Instant;
use std::net::SocketAddrV4;

/// How much is read and written at once.
pub const CHUNK: usize = 64 << 10;
/// Connections that may wait for `accept`.
const BACKLOG: i32 = 16;

/// Where bytes come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// So many.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// The peer has sent all.
    End,
}

/// A socket that listens on all addresses.
///
/// # Errors
/// Those of socket(2), bind(2) and listen(2).
pub fn listen(stack: &mut Stack, port: u16) -> Result<Fd, Errno> {
    let fd = stack.socket_tcp()?;
    let all = SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, port);
    stack.bind(fd, all)?;
    stack.listen(fd, BACKLOG)?;
    Ok(fd)
}

/// A connection, and what is still to be sent on it.
#[derive(Debug)]
pub struct Stream {
    /// The socket.
    pub fd: Fd,
    waiting: Vec<u8>,
    sent: usize,
}

impl Stream {
    /// On a socket.
    #[must_use]
    pub fn new(fd: Fd) -> Self {
        Self { fd, waiting: Vec::new(), sent: 0 }
    }

    /// Bytes to be sent, behind those that wait.
    pub fn put(&mut self, bytes: &[u8]) {
        self.waiting.drain(..self.sent);
        self.sent = 0;
        self.waiting.extend_from_slice(bytes);
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn left(&self) -> usize {
        self.waiting.len() - self.sent
    }

    /// Sends what the socket takes. `true`: nothing waits any more.
    ///
    /// # Errors
    /// Those of send(2), but EAGAIN.
    pub fn flush(&mut self, stack: &mut Stack, now: Instant) -> Result<bool, Errno> {
        while let Some(rest) = self.waiting.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match stack.tcp_send(now, 0, self.fd, rest, TcpSendFlags::default()) {
                Ok(0) | Err(Errno::EAGAIN) => return Ok(false),
                Ok(count) => self.sent += count,
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// Those of recv(2), but EAGAIN.
    pub fn read(&mut self, stack: &mut Stack, now: Instant, buffer: &mut [u8]) -> Result<Came, Errno> {
        match stack.tcp_recv(now, self.fd, buffer, TcpRecvFlags::default()) {
            Ok(0) => Ok(Came::End),
            Ok(count) => Ok(Came::Bytes(count)),
            Err(Errno::EAGAIN) => Ok(Came::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Closes it; an error then has nobody to tell.
    pub fn close(&self, stack: &mut Stack, now: Instant) {
        let _ = stack.tcp_close(now, 0, self.fd);
    }
}
