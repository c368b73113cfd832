//! TCP between both ends of smoltcp, over rings of 256 slots.

use crate::counting::{Counted, measured};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpListenEndpoint};
use std::cell::RefCell;
use std::rc::Rc;

const SLOTS: usize = 256;
const SLOT_BYTES: usize = 2048;
const PORT: u16 = 80;
/// Buffers of a connection that carries much, and of one that carries little.
const BULK_BYTES: usize = 65_536;
const SMALL_BYTES: usize = 4096;

/// One direction of the wire.
struct Ring {
    memory: Vec<u8>,
    lengths: [u16; SLOTS],
    tail: usize,
    head: usize,
}

struct Port {
    out: Rc<RefCell<Ring>>,
    into: Rc<RefCell<Ring>>,
    checksums: bool,
}

struct Sent<'a>(&'a RefCell<Ring>);
struct Received<'a>(&'a RefCell<Ring>);

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let ring = &mut *self.0.borrow_mut();
        let at = ring.tail % SLOTS;
        ring.tail += 1;
        ring.lengths[at] = len as u16;
        fill(&mut ring.memory[at * SLOT_BYTES..at * SLOT_BYTES + len])
    }
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let ring = &mut *self.0.borrow_mut();
        let at = ring.head % SLOTS;
        ring.head += 1;
        read(&ring.memory[at * SLOT_BYTES..at * SLOT_BYTES + usize::from(ring.lengths[at])])
    }
}

impl Device for Port {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sent<'_>)> {
        let ring = self.into.borrow();
        (ring.tail != ring.head).then_some((Received(&self.into), Sent(&self.out)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        let ring = self.out.borrow();
        (ring.tail - ring.head < SLOTS).then_some(Sent(&self.out))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        if !self.checksums {
            capabilities.checksum = ChecksumCapabilities::ignored();
            capabilities.checksum.ipv4 = Checksum::Both;
        }
        capabilities
    }
}

struct Host {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

fn socket(bytes: usize) -> Socket<'static> {
    Socket::new(SocketBuffer::new(vec![0; bytes]), SocketBuffer::new(vec![0; bytes]))
}

impl Host {
    fn new(id: u8, port: Port, idle: usize) -> Self {
        let mut port = port;
        let mac = EthernetAddress([2, 0, 0, 0, 0, id]);
        let config = Config::new(HardwareAddress::Ethernet(mac));
        let mut interface = Interface::new(config, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|list| {
            list.push(IpCidr::new(IpAddress::v4(192, 0, 2, id), 24)).expect("room for one")
        });
        let mut sockets = SocketSet::new(Vec::new());
        for n in 0..idle {
            let mut listener = socket(64);
            listener.listen(10_000 + n as u16).expect("a port");
            sockets.add(listener);
        }
        let socket = sockets.add(socket(BULK_BYTES));
        Self { port, interface, sockets, socket }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    fn poll(&mut self, now: Instant, counts: Counted) {
        measured(counts, &mut || {
            self.interface.poll(now, &mut self.port, &mut self.sockets);
        });
    }
}

pub struct Pair {
    client: Host,
    server: Host,
    server_counts: Counted,
    now: Instant,
    port: u16,
}

impl Pair {
    /// Two hosts, with checksums in software or left to the device, and idle listeners beside.
    pub fn new(checksums: bool, server_counts: Counted, idle: usize) -> Self {
        let ring = || {
            let memory = vec![0; SLOTS * SLOT_BYTES];
            Rc::new(RefCell::new(Ring { memory, lengths: [0; SLOTS], tail: 0, head: 0 }))
        };
        let (up, down) = (ring(), ring());
        let client = Port { out: up.clone(), into: down.clone(), checksums };
        let server = Port { out: down, into: up, checksums };
        Self {
            client: Host::new(1, client, idle),
            server: Host::new(2, server, idle),
            server_counts,
            now: Instant::ZERO,
            port: 40_000,
        }
    }

    fn poll(&mut self) {
        self.now += smoltcp::time::Duration::from_micros(20);
        self.client.poll(self.now, Counted::Yes);
        self.server.poll(self.now, self.server_counts);
    }

    /// The client's socket connects to the server's, which listens.
    pub fn connect(&mut self) {
        let (server, client) = (&mut self.server, &mut self.client);
        let listen = IpListenEndpoint { addr: None, port: PORT };
        measured(self.server_counts, &mut || server.socket().listen(listen).expect("a port"));
        self.port = if self.port == 60_000 { 40_000 } else { self.port + 1 };
        let port = self.port;
        measured(Counted::Yes, &mut || {
            let socket = client.sockets.get_mut::<Socket>(client.socket);
            let to = (IpAddress::v4(192, 0, 2, 2), PORT);
            socket.connect(client.interface.context(), to, port).expect("a free socket");
        });
        for _ in 0..200_000 {
            self.poll();
            if self.client.socket().may_send() && self.server.socket().may_recv() {
                return;
            }
        }
        panic!("smoltcp connects");
    }

    /// The client sends, the server reads, until the server has all; the bytes are compared.
    pub fn transfer(&mut self, bytes: &[u8]) {
        let (mut sent, mut received) = (0, Vec::with_capacity(bytes.len() + BULK_BYTES));
        let mut buffer = vec![0; BULK_BYTES];
        for _ in 0..1_000_000 {
            let client = &mut self.client;
            measured(Counted::Yes, &mut || {
                sent += client.socket().send_slice(&bytes[sent..]).expect("a connection");
            });
            self.poll();
            let server = &mut self.server;
            let mut read = 0;
            measured(self.server_counts, &mut || {
                read = server.socket().recv_slice(&mut buffer).expect("a connection");
            });
            received.extend_from_slice(&buffer[..read]);
            if received.len() == bytes.len() {
                assert!(received == bytes, "what came is what was sent");
                return;
            }
        }
        panic!("smoltcp's transfer hangs at {} bytes", received.len());
    }

    /// Opens a connection with small buffers, sends these bytes, and closes it from both ends. The client's socket is a new
    /// one, the server's is the one that served before.
    pub fn open_send_close(&mut self, bytes: &[u8]) {
        let client = &mut self.client;
        measured(Counted::Yes, &mut || {
            client.sockets.remove(client.socket);
            client.socket = client.sockets.add(socket(SMALL_BYTES));
        });
        self.connect();
        let (client, server) = (&mut self.client, &mut self.server);
        measured(Counted::Yes, &mut || {
            assert_eq!(client.socket().send_slice(bytes), Ok(bytes.len()));
            client.socket().close();
        });
        self.now += smoltcp::time::Duration::from_micros(20);
        client.poll(self.now, Counted::Yes);
        server.poll(self.now, self.server_counts);
        let mut buffer = [0; 2048];
        measured(self.server_counts, &mut || {
            assert_eq!(server.socket().recv_slice(&mut buffer), Ok(bytes.len()));
            server.socket().close();
        });
        for _ in 0..100_000 {
            self.server.poll(self.now, self.server_counts);
            self.client.poll(self.now, Counted::Yes);
            let closed = [State::Closed, State::Listen].contains(&self.server.socket().state());
            if closed && self.client.socket().state() == State::TimeWait {
                return;
            }
            self.now += smoltcp::time::Duration::from_micros(20);
        }
        panic!("smoltcp closes: {:?} {:?}", self.client.socket().state(), self.server.socket().state());
    }

    /// Frames on the wire so far, both ways.
    pub fn frames(&self) -> u64 {
        (self.client.port.out.borrow().tail + self.server.port.out.borrow().tail) as u64
    }
}
