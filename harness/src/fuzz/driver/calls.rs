//! What comes from above: applications' calls, and an administrator's commands.

use super::Scene;
use crate::case::model::topology;
use crate::fuzz::record::Record;
use stack_under_test::socket::SocketOption;
use stack_under_test::socket::receive::ReceiveFlags;
use stack_under_test::tcp::recvmsg::TcpRecvFlags;
use stack_under_test::tcp::sendmsg::TcpSendFlags;
use stack_under_test::udp::output::SendFlags;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Sockets that are open at most.
const SOCKETS_MAX: usize = 12;
/// The longest that is sent in one call.
const LONGEST: usize = 65_507;

/// What an administrator may type; words that the stack does not know are refused.
const COMMANDS: [&str; 44] = [
    "ip link set dev eth0 up",
    "ip link set dev eth0 down",
    "ip link set dev eth0 up",
    "ip link set dev eth0 mtu 1500",
    "ip link set dev eth0 mtu 9216",
    "ip link set dev eth0 mtu 576",
    "ip link set dev eth0 mtu 68",
    "ip link set dev eth0 address 02:00:00:00:00:07",
    "ip link set dev eth0 txqueuelen 3",
    "ip link set dev eth0 promisc on",
    "ip link set dev eth0 allmulticast on",
    "ip link set dev eth0 promisc off",
    "ethtool -G eth0 rx 64 tx 64",
    "ethtool -G eth0 rx 256 tx 4096",
    "ethtool -G eth0 rx 4096",
    "ethtool -C eth0 rx-usecs 0",
    "ethtool -C eth0 rx-usecs 1",
    "ethtool -C eth0 rx-usecs 3",
    "ethtool -C eth0 rx-usecs 10000",
    "ethtool -K eth0 tso off",
    "ethtool -K eth0 tso on",
    "ethtool -K eth0 gso off",
    "ethtool -K eth0 gro off",
    "ethtool -K eth0 rx off",
    "ethtool -K eth0 rx on",
    "ethtool -K eth0 tx off",
    "ethtool -K eth0 tx on",
    "ethtool -K eth0 rxvlan off",
    "ethtool -K eth0 rxvlan on",
    "ethtool -L eth0 combined 1",
    "ethtool -L eth0 combined 8",
    "ethtool -L eth0 combined 3",
    "ethtool -X eth0 equal 2",
    "ethtool -X eth0 default",
    "ethtool -A eth0 rx off tx off",
    "ethtool -A eth0 autoneg on rx on tx on",
    "ethtool -t eth0 offline",
    "ethtool -t eth0 online",
    "ethtool -d eth0",
    "ethtool -r eth0",
    "tc qdisc replace dev eth0 root pfifo limit 10",
    "tc qdisc replace dev eth0 root mq",
    "tc qdisc replace dev eth0 root tbf rate 1mbit burst 3000 limit 30000",
    "tc qdisc del dev eth0 root",
];

/// What else: VLAN devices.
const OF_VLANS: [&str; 12] = [
    "ip link add link eth0 name eth0.5 type vlan id 5",
    "ip link set eth0.5 up",
    "ip addr add 198.51.100.1/24 dev eth0.5",
    "ip neigh replace 198.51.100.2 lladdr 02:00:00:00:00:02 dev eth0.5 nud permanent",
    "ip neigh del 198.51.100.2 dev eth0.5",
    "ip link set eth0.5 mtu 500",
    "ip link set eth0.5 down",
    "ip link del eth0.5",
    "ip link add link eth0 name vlan4094 type vlan id 4094",
    "ip addr add 198.51.100.9/24 dev vlan4094",
    "ip link set vlan4094 up",
    "ip link del vlan4094",
];

impl Scene {
    /// A socket that listens, and one that datagrams can come to.
    pub(super) fn open_sockets(&mut self) {
        if let Ok(fd) = self.stack.socket_udp() {
            self.sockets.push((fd, false));
            let _ = self.stack.bind(fd, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 4000));
        }
        if let Ok(fd) = self.stack.socket_tcp() {
            self.sockets.push((fd, true));
            let _ = self.stack.bind(fd, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80));
            let _ = self.stack.listen(fd, 4);
        }
    }

    /// An administrator types something.
    pub(super) fn administers(&mut self, record: Record) {
        let list = if record.a & 0x40 == 0 { &COMMANDS[..] } else { &OF_VLANS };
        self.command(list[usize::from(record.b) % list.len()]);
    }

    /// Datagrams, one after the other: `b` bytes each.
    pub(super) fn sends(&mut self, record: Record) {
        let Some(&(fd, _)) = self.sockets.iter().find(|(_, is_tcp)| !is_tcp) else { return };
        let payload = vec![record.x as u8; usize::from(record.b) % LONGEST];
        let segment = if record.y & 1 == 0 { 0 } else { (record.y >> 8 & 0x7FF) as i32 };
        let _ = self.stack.setsockopt(fd, SocketOption::UdpSegment, segment);
        let to = SocketAddrV4::new(
            match record.y & 6 {
                2 => [192, 0, 2, 9].into(),
                6 => [198, 51, 100, 2].into(),
                _ => topology::PEER_IP,
            },
            7,
        );
        for _ in 0..=record.a % 40 {
            let now = self.called();
            let sent = self.stack.sendto(now, record.a % 2, fd, &payload, Some(to), SendFlags::default());
            self.features.note(format_args!("sendto {:?}", sent.err()));
        }
    }

    /// One of the sockets connects, reads, writes or is closed.
    pub(super) fn calls(&mut self, record: Record) {
        let now = self.called();
        self.stack.take_woken();
        let place = usize::from(record.b) % self.sockets.len().max(1);
        let Some(&(fd, is_tcp)) = self.sockets.get(place) else { return self.open_sockets() };
        let mut buffer = [0; 4096];
        match record.a % 6 {
            0 if self.sockets.len() < SOCKETS_MAX => {
                if let Ok(fd) = self.stack.socket_tcp() {
                    self.sockets.push((fd, true));
                    let _ = self.stack.tcp_connect(now, 0, fd, SocketAddrV4::new(topology::PEER_IP, 7));
                }
            }
            1 if is_tcp && self.sockets.len() < SOCKETS_MAX => {
                if let Ok((fd, _)) = self.stack.accept(now, fd) {
                    self.sockets.push((fd, true));
                }
            }
            2 if is_tcp => drop(self.stack.tcp_send(now, 0, fd, &buffer, TcpSendFlags::default())),
            3 if is_tcp => drop(self.stack.tcp_recv(now, fd, &mut buffer, TcpRecvFlags::default())),
            3 => drop(self.stack.recvfrom(now, fd, &mut buffer, ReceiveFlags::default())),
            4 => {
                self.sockets.swap_remove(place);
                self.closes((fd, is_tcp), record.x & 1 == 0);
            }
            _ => drop(self.stack.readiness(fd)),
        }
    }

    fn closes(&mut self, (fd, is_tcp): (stack_under_test::socket::Fd, bool), at_once: bool) {
        let now = self.called();
        if !is_tcp {
            let _ = self.stack.close(fd);
            return;
        }
        if at_once {
            let _ = self.stack.set_linger(fd, Some(0));
        }
        let _ = self.stack.tcp_close(now, 0, fd);
    }

    /// Every socket is closed, connections with a reset.
    pub(super) fn close_sockets(&mut self) {
        for socket in std::mem::take(&mut self.sockets) {
            self.closes(socket, true);
        }
    }

    /// Somebody reads all counters.
    pub(super) fn reads(&mut self) {
        let now = self.called();
        let stats = self.stack.netdev_stats(now);
        self.features.note_amount("tx_packets", stats.tx_packets);
        self.stack.ethtool_stats(now);
    }
}
