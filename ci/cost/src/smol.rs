//! smoltcp over a ring of 256 slots: checksums left to the device, ARP resolved beforehand.

use crate::{BURST, Subject};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint};

const SLOTS: usize = 256;
const SLOT_BYTES: usize = 2048;

struct Ring {
    memory: Vec<u8>,
    lengths: [u16; SLOTS],
    tail: usize,
    head: usize,
    sent: u64,
    answer: Option<Vec<u8>>,
}

struct Slot<'a>(&'a mut Ring);
struct Frame(Vec<u8>);

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let at = self.0.tail % SLOTS;
        self.0.tail += 1;
        self.0.lengths[at] = len as u16;
        fill(&mut self.0.memory[at * SLOT_BYTES..at * SLOT_BYTES + len])
    }
}

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl Device for Ring {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Slot<'_>)> {
        self.answer.take().map(|frame| (Frame(frame), Slot(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Slot<'_>> {
        (self.tail - self.head < SLOTS).then_some(Slot(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities.checksum.ipv4 = Checksum::Both;
        capabilities
    }
}

pub struct Smoltcp {
    ring: Ring,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    to: IpEndpoint,
}

impl Smoltcp {
    pub fn new(payload_bytes: usize) -> Self {
        let mut ring = Ring {
            memory: vec![0; SLOTS * SLOT_BYTES],
            lengths: [0; SLOTS],
            tail: 0,
            head: 0,
            sent: 0,
            answer: None,
        };
        let mac = EthernetAddress([2, 0, 0, 0, 0, 1]);
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ethernet(mac)), &mut ring, Instant::ZERO);
        interface.update_ip_addrs(|list| {
            list.push(IpCidr::new(IpAddress::v4(192, 0, 2, 1), 24)).expect("room for one")
        });
        let buffer = || {
            PacketBuffer::new(
                vec![PacketMetadata::EMPTY; BURST * 2],
                vec![0; BURST * 2 * payload_bytes.max(64)],
            )
        };
        let mut udp = Socket::new(buffer(), buffer());
        udp.bind(4000).expect("a free port");
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(udp);
        let to = IpEndpoint::new(IpAddress::v4(192, 0, 2, 2), 9);
        let mut this = Self { ring, interface, sockets, socket, to };
        this.resolve();
        this
    }

    /// Asks for the neighbour's address and answers, as the peer would.
    fn resolve(&mut self) {
        self.sockets.get_mut::<Socket>(self.socket).send_slice(b"x", self.to).expect("room");
        self.interface.poll(Instant::ZERO, &mut self.ring, &mut self.sockets);
        let mut reply = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
        reply.extend([2, 0, 0, 0, 0, 2, 192, 0, 2, 2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1]);
        self.ring.answer = Some(reply);
        for ms in 0..3000 {
            self.interface.poll(Instant::from_millis(ms), &mut self.ring, &mut self.sockets);
            self.ring.head = self.ring.tail;
        }
    }
}

impl Subject for Smoltcp {
    fn send(&mut self, payload: &[u8]) {
        let socket = self.sockets.get_mut::<Socket>(self.socket);
        for _ in 0..BURST {
            socket.send_slice(payload, self.to).expect("room for a burst");
        }
        self.interface.poll(Instant::from_millis(3000), &mut self.ring, &mut self.sockets);
    }

    fn device(&mut self) {
        self.ring.sent += (self.ring.tail - self.ring.head) as u64;
        self.ring.head = self.ring.tail;
    }

    fn clean(&mut self) {}

    fn sent(&self) -> u64 {
        self.ring.sent
    }

    fn copied_bytes(&self) -> Option<u64> {
        None
    }
}
