//! TCP between both ends of our stack, over a wire without loss: in bulk, and connection by connection.

use crate::counting::{Counted, measured};
use crate::host::{Host, address};
use core::net::SocketAddrV4;
use stack_under_test::errno::Errno;
use stack_under_test::skb::pool::PoolConfig;
use stack_under_test::socket::Fd;
use stack_under_test::socket::option::SocketOption;
use stack_under_test::tcp::sendmsg::TcpSendFlags;
use stack_under_test::time::{Duration, Instant};
use std::collections::VecDeque;

const PORT: u16 = 80;
/// Listeners that nobody talks to have the ports from here on.
const IDLE_PORT: u16 = 10_000;
/// What an application reads at once, in bytes; it writes all that it has.
const AT_ONCE: usize = 65_536;

/// A client and a server, and what is on its way to each.
pub struct Pair {
    client: Host,
    server: Host,
    to_client: VecDeque<Vec<u8>>,
    to_server: VecDeque<Vec<u8>>,
    listener: Fd,
    /// Whose instructions are counted beside the client's.
    server_counts: Counted,
}

impl Pair {
    /// Two hosts with these offloads, as `ethtool -K` has them.
    pub fn new(offloads: &str, server_counts: Counted) -> Self {
        let pool = PoolConfig { skbs: 8192, heads: 8192, pages: 4096, ..PoolConfig::default() };
        let [mut client, mut server] = [(1, 2), (2, 1)].map(|(id, other)| {
            let mut host = Host::new(id, other, pool);
            host.command(&format!("ethtool -K eth0 {offloads}"));
            host
        });
        let now = client.now.max(server.now);
        (client.now, server.now) = (now, now);
        let listener = listen(&mut server, PORT);
        let (to_client, to_server) = Default::default();
        Self { client, server, to_client, to_server, listener, server_counts }
    }

    /// `count` connections and as many listeners, on either side, that do nothing.
    pub fn add_idle(&mut self, count: u16) {
        for n in 0..count {
            listen(&mut self.server, IDLE_PORT + n);
            listen(&mut self.client, IDLE_PORT + n);
            self.connect();
        }
        // Whatever timer ran for one of them runs out before anything is counted.
        for _ in 0..1000 {
            self.wait(Duration::from_millis(10));
        }
        // However long that took, what follows begins at the same point of a tick.
        let begin = Duration::from_nanos(1_000_000_000 - self.client.now.0 % 1_000_000_000);
        self.wait(begin);
    }

    /// Moves frames, and interrupts who got one or sent one, until nothing is left to move.
    fn pump(&mut self) {
        loop {
            let moved = self.step();
            if !moved {
                break;
            }
        }
    }

    /// Frames go once each way. Whether there were any.
    fn step(&mut self) -> bool {
        let sent = (self.client.sent, self.server.sent);
        self.client.transmit(&mut self.to_server);
        let to_server = self.server.receive(&mut self.to_server) > 0;
        if to_server {
            interrupt(&mut self.server, self.server_counts);
        }
        self.server.transmit(&mut self.to_client);
        let to_client = self.client.receive(&mut self.to_client) > 0;
        if to_client || self.client.sent != sent.0 {
            interrupt(&mut self.client, Counted::Yes);
        }
        if !to_server && self.server.sent != sent.1 {
            interrupt(&mut self.server, self.server_counts);
        }
        self.wait(Duration::from_micros(20));
        to_server || to_client
    }

    fn wait(&mut self, time: Duration) {
        for (host, counts) in [(&mut self.client, Counted::Yes), (&mut self.server, self.server_counts)] {
            host.now = host.now + time;
            let now = host.now;
            if host.is_due() {
                measured(counts, &mut || host.stack.run_timers(now));
            }
        }
    }

    /// Opens a connection; gives both ends of it.
    pub fn connect(&mut self) -> (Fd, Fd) {
        let (now, client) = (self.client.now, &mut self.client);
        let mut ours = Fd(0);
        measured(Counted::Yes, &mut || {
            ours = client.stack.socket_tcp().expect("a socket");
            let begun = client.stack.connect(now, ours, SocketAddrV4::new(address(2), PORT));
            assert_eq!(begun, Err(Errno::EINPROGRESS));
        });
        self.pump();
        let (now, server, listener) = (self.server.now, &mut self.server, self.listener);
        let mut theirs = Fd(0);
        measured(self.server_counts, &mut || {
            theirs = server.stack.accept(now, listener).expect("a connection").0;
        });
        (ours, theirs)
    }

    /// The client sends, the server reads, until the server has all; the bytes are compared.
    pub fn transfer(&mut self, (ours, theirs): (Fd, Fd), bytes: &[u8]) {
        let (mut sent, mut received) = (0, Vec::with_capacity(bytes.len() + AT_ONCE));
        let mut buffer = vec![0; AT_ONCE];
        let mut idle = 0;
        while received.len() < bytes.len() {
            let (now, client) = (self.client.now, &mut self.client);
            measured(Counted::Yes, &mut || {
                while sent < bytes.len() {
                    match client.stack.tcp_send(now, 0, ours, &bytes[sent..], Default::default()) {
                        Ok(taken) => sent += taken,
                        Err(errno) => {
                            assert_eq!(errno, Errno::EAGAIN);
                            break;
                        }
                    }
                }
            });
            let moved = self.step();
            idle = if moved { 0 } else { idle + 1 };
            assert!(idle < 100_000, "the transfer hangs at {} bytes", received.len());
            let (now, server, counts) = (self.server.now, &mut self.server, self.server_counts);
            loop {
                let mut read = 0;
                measured(counts, &mut || {
                    read = match server.stack.tcp_recv(now, theirs, &mut buffer, Default::default()) {
                        Ok(read) => read,
                        Err(errno) => {
                            assert_eq!(errno, Errno::EAGAIN);
                            0
                        }
                    };
                });
                if read == 0 {
                    break;
                }
                received.extend_from_slice(&buffer[..read]);
            }
        }
        self.pump();
        assert!(received == bytes, "what came is what was sent");
    }

    /// Opens a connection, sends these bytes, and closes it from both ends, in the seven frames that Linux takes for it.
    pub fn open_send_close(&mut self, bytes: &[u8]) {
        let (ours, theirs) = self.connect();
        self.send_and_close(ours, bytes);
        let (now, server) = (self.server.now, &mut self.server);
        let mut buffer = [0; 2048];
        measured(self.server_counts, &mut || {
            read(server, now, theirs, &mut buffer, bytes.len());
            server.stack.close(theirs).expect("an open socket");
        });
        self.pump();
    }

    /// The same in five frames: the client's request acknowledges the server's SYN (TCP_QUICKACK is off), and the server, which has
    /// nothing to say, shuts down before it reads, so that its end acknowledges the request.
    pub fn open_send_close_in_five(&mut self, bytes: &[u8]) {
        let (now, client) = (self.client.now, &mut self.client);
        let mut ours = Fd(0);
        measured(Counted::Yes, &mut || {
            ours = client.stack.socket_tcp().expect("a socket");
            client.stack.setsockopt(ours, SocketOption::TcpQuickack, 0).expect("an option");
            let begun = client.stack.connect(now, ours, SocketAddrV4::new(address(2), PORT));
            assert_eq!(begun, Err(Errno::EINPROGRESS));
        });
        self.pump();
        self.send_and_close(ours, bytes);
        let (now, server, listener) = (self.server.now, &mut self.server, self.listener);
        let mut buffer = [0; 2048];
        measured(self.server_counts, &mut || {
            let theirs = server.stack.accept(now, listener).expect("a connection").0;
            server.stack.shutdown(theirs, false, true).expect("a connection");
            read(server, now, theirs, &mut buffer, bytes.len());
            server.stack.close(theirs).expect("an open socket");
        });
        self.pump();
    }

    /// The client sends, and closes: the end of the stream follows at once, in the same segment.
    fn send_and_close(&mut self, ours: Fd, bytes: &[u8]) {
        let (now, client) = (self.client.now, &mut self.client);
        measured(Counted::Yes, &mut || {
            let flags = TcpSendFlags { more: true, ..Default::default() };
            let sent = client.stack.tcp_send(now, 0, ours, bytes, flags);
            assert_eq!(sent, Ok(bytes.len()));
            client.stack.close(ours).expect("an open socket");
        });
        self.pump();
    }

    /// Frames on the wire so far, both ways.
    pub fn frames(&self) -> u64 {
        self.client.sent + self.server.sent
    }

    /// Bytes that the sender copied so far.
    pub fn copied_bytes(&self) -> u64 {
        self.client.stack.copied_bytes()
    }
}

fn listen(host: &mut Host, port: u16) -> Fd {
    let fd = host.stack.socket_tcp().expect("a socket");
    host.stack.bind(fd, SocketAddrV4::new(core::net::Ipv4Addr::UNSPECIFIED, port)).expect("a free port");
    host.stack.listen(fd, 128).expect("a listener");
    fd
}

/// Reads all that came, which is this much.
fn read(host: &mut Host, now: Instant, fd: Fd, buffer: &mut [u8], len: usize) {
    let read = host.stack.tcp_recv(now, fd, buffer, Default::default());
    assert_eq!(read, Ok(len));
}

fn interrupt(host: &mut Host, counts: Counted) {
    let now = host.now;
    measured(counts, &mut || host.stack.interrupt(now, 1));
    while host.is_due() {
        // What a poll left for later.
        measured(counts, &mut || host.stack.run_timers(now));
    }
}
