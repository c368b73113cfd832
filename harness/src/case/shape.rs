//! The shape of the language: every step with its keys. The reader refuses what is not in here, the schema is made of it.

use super::epoll;
pub use super::form::Form;
use super::peer_shape::{self, PEER, WIRE};
use super::retransmissions::RETRANSMISSIONS;
use crate::frame::Layer;

/// A key of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// Whether it must be there.
    pub required: bool,
    /// What it means.
    pub about: &'static str,
}

/// A step.
#[derive(Clone, Copy, Debug)]
pub struct StepShape {
    /// Its key.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// What it does.
    pub about: &'static str,
}

pub(super) const fn key(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, required: false, about }
}
pub(super) const fn must(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, required: true, about }
}
pub(super) const fn step(name: &'static str, form: Form, about: &'static str) -> StepShape {
    StepShape { name, form, about }
}

/// The names of the rigs.
pub const RIGS: &[&str] = &["emu", "qemu", "vfio", "linux"];
/// What `clock:` of `rigs:` can say.
pub const VIRTUAL: &[&str] = &["virtual"];
/// What `port:` of `rigs:` can say.
pub const IGB: &[&str] = &["igb"];
/// What a call's `flags:` can hold, as in send(2) and recv(2).
pub const MSG_FLAGS: &[&str] = &[
    "MSG_OOB",
    "MSG_PEEK",
    "MSG_DONTROUTE",
    "MSG_CTRUNC",
    "MSG_TRUNC",
    "MSG_DONTWAIT",
    "MSG_EOR",
    "MSG_WAITALL",
    "MSG_CONFIRM",
    "MSG_ERRQUEUE",
    "MSG_NOSIGNAL",
    "MSG_MORE",
    "MSG_ZEROCOPY",
];
/// What `push:` of `segments` can say.
pub const PUSH: &[&str] = &["any", "last"];
/// What `fcs:` of `inject` can say.
pub const FCS: &[&str] = &["wrong"];
/// What `conserve` can hold against the wire.
pub const CONSERVE: &[&str] = &["netdev", "ethtool", "queues", "sizes", "tcp", "snmp", "qdisc"];
/// The events of poll(2).
pub const POLL_EVENTS: &[&str] =
    &["POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP", "POLLNVAL", "POLLRDHUP"];
/// Longest payload of a case in bytes.
pub const PAYLOAD: i64 = 16 << 20;

/// How the emulated NIC can tell of something.
pub const INTERRUPTS: &[&str] = &["msix", "msi", "intx"];

/// The keys of a case.
pub const CASE: &[Key] = &[
    must("about", Form::Text, "What it shows, in a sentence."),
    key("covers", Form::Texts, "Functions of the transmit or receive path that the trace must have seen."),
    key("refs", Form::Texts, "RFCs and the like."),
    key("rigs", Form::Rigs, "The rigs that it can run on, and why no others; without it, all."),
    key("peer", Form::Keys(&[PEER]), "What the peer does by itself."),
    key("wire", Form::Keys(&[WIRE]), "What the wire to a real peer does to frames, in each direction."),
    key("matrix", Form::Matrix, "Lists whose product gives the rows, each a trial."),
    key("differs", Form::ListOf(&[DIFFERS]), "Known deviations of one rig."),
    key("faults", Form::Faults, "What the emulated NIC does wrong: each has to strike during the trial."),
    key(
        "interrupts",
        Form::OneOf(INTERRUPTS),
        "How the emulated NIC tells of something: `msix` unless told, one message for all, or a line that is shared.",
    ),
    must("steps", Form::Steps, "What happens, in order."),
];
/// `rigs: {…}`
pub const LIMIT: &[Key] = &[
    must("only", Form::SomeOf(RIGS), "The rigs that can."),
    key("clock", Form::OneOf(VIRTUAL), "`virtual`: qemu not with `--clock real`."),
    key("port", Form::OneOf(IGB), "`igb`: linux only in a lab, on a port that its igb drives."),
    must("because", Form::Text, "What the others cannot do; a skip shows it behind a colon."),
];
/// `differs:`
pub const DIFFERS: &[Key] = &[
    must("rig", Form::OneOf(RIGS), "The rig that deviates."),
    key(
        "when",
        Form::Text,
        "A version condition such as `qemu <= 10.0.2` or `linux >= 6.18`; or what the port of the linux rig is: `tap`, `veth`, `igb`, or \
         `virtual` (either of them, in a lab too: a device without hardware, which filters no addresses and counts no groups).",
    ),
    key("step", Form::Name, "The named step that it is about."),
    key(
        "field",
        Form::Text,
        "What differs: a field of a frame (`ipv4.id`); of a named step `payload`, `time`, `frame` (it is there or not), `value`, \
         `error`, `address`, `events`, `ready`, `option`, `took`, `status`; a counter or state at the end (`snmp.Ip.InDelivers`, \
         `netdev.rx_packets`, `qdisc.1:/drops`, `neigh.192.0.2.2/state`). An entry whose condition holds and which does not occur \
         is an error: `run` judges one that the case states something about (the step as a whole, a field of its pattern, a \
         checked counter), `compare` all others.",
    ),
    must("why", Form::Text, "Why."),
];

/// What frames are counted otherwise by, see [`super::model::Way`].
pub const WAYS: &[&str] = &["padding", "cut", "tag", "fcs"];

/// An entry of `fixtures/qemu-differences.yaml`.
pub const KNOWN: &[Key] = &[
    key("rigs", Form::SomeOf(RIGS), "The rigs that it shows on: `[qemu, vfio]`; without it, qemu."),
    must(
        "seen",
        Form::Text,
        "The version of QEMU that it was seen on: `10.0.2`. It holds for all, until one does not deviate.",
    ),
    must("because", Form::Text, "What was observed."),
    key("step", Form::Name, "The named step that it is about."),
    must(
        "field",
        Form::Text,
        "What differs, as in `differs:`; or `udp.segments`: fragments of one datagram come, not datagrams.",
    ),
    key("lacks", Form::Text, "Of the letters of the field, those that may be missing."),
    key("times", Form::Number(2, 16), "Of interrupts, how many there may be for one that there should be."),
    key(
        "by",
        Form::OneOf(WAYS),
        "Of a counter of the device, what its frames are counted otherwise by: `padding`.",
    ),
    must("cases", Form::Text, "The trials it shows in; with a value each, the field has that and no other."),
];

const SOCKET: Key = must("socket", Form::Name, "The socket, by the name that `as:` gave it.");
const LENGTH: Key = must("length", Form::Number(0, PAYLOAD), "How many bytes at most.");
const DATA: Key = must("payload", Form::Payload, "What is sent.");
const GOT: Key = key("payload", Form::Payload, "What must have been received.");
const FLAGS: Key = key("flags", Form::SomeOf(MSG_FLAGS), "MSG_ flags.");
const WITHIN: Key = key("within", Form::Duration, "By when after the previous step; default 1 s.");
const AS: Key = key("as", Form::Name, "A name, to be referred to later.");
const TOLERANCE: Key = key("tolerance", Form::Tolerance, "How far off the time may be.");

/// What every call can say.
pub const CALL: &[Key] = &[
    key("returns", Form::Number(i64::MIN, i64::MAX), "What it must return."),
    key("error", Form::Errno, "The error that it must give."),
    key("cpu", Form::Number(0, 63), "The CPU that makes it."),
    key("background", Form::Name, "A name: later steps run meanwhile, until `join`."),
    key("after", Form::Duration, "How long after its beginning it must return."),
    TOLERANCE,
];
pub(super) const NAMED: &[Key] = &[AS];

/// The headers of a frame.
pub const HEADERS: &[Key] = &[
    key("eth", Form::Header(Layer::Eth), "Fields of the Ethernet header."),
    key(
        "vlan",
        Form::Header(Layer::Vlan),
        "Fields of the tag of a VLAN; a frame with one is not expected by a pattern without `vlan:`.",
    ),
    key("arp", Form::Header(Layer::Arp), "Fields of an ARP packet."),
    key("ipv4", Form::Header(Layer::Ipv4), "Fields of the IPv4 header."),
    key("icmp", Form::Header(Layer::Icmp), "Fields of the ICMP header."),
    key("udp", Form::Header(Layer::Udp), "Fields of the UDP header."),
    key(
        "tcp",
        Form::Header(Layer::Tcp),
        "A segment in packetdrill's notation, `\"40000 > 8080 P. 1:11(10) ack 1 win 512\"`, or fields of the TCP header.",
    ),
];
const PAYLOAD_KEY: &[Key] = &[key("payload", Form::Payload, "What the innermost header carries.")];
/// `expect:`
pub const EXPECT: &[&[Key]] = &[
    HEADERS,
    PAYLOAD_KEY,
    &[AS, WITHIN, key("after", Form::After, "How long after a named step: `{NAME: 200ms}`."), TOLERANCE],
];
/// `inject:`
pub const INJECT: &[&[Key]] = &[
    HEADERS,
    PAYLOAD_KEY,
    &[
        AS,
        key(
            "cut_to",
            Form::Number(14, 9216),
            "The frame ends after so many bytes: one of less than 60 is a runt.",
        ),
        key(
            "fcs",
            Form::OneOf(FCS),
            "`wrong`: the frame was damaged on the cable; only an emulated one shows it.",
        ),
    ],
];

/// `check:`
pub const CHECK: &[Key] = &[
    key("rigs", Form::Rigs, "Only on these rigs, and why."),
    key("when", Form::Row, "Only in rows of the matrix with these values."),
    key(
        "netdev",
        Form::Counters,
        "Counters of the device, since the first step; those of a VLAN device as `eth0.100/rx_packets`.",
    ),
    key("ethtool", Form::Counters, "Counters of the driver, since the first step."),
    key("snmp", Form::Counters, "Counters of the protocols, since the first step: `Udp.OutDatagrams`."),
    key("softirqs", Form::Counters, "Softirqs, since the first step: `NET_RX`, or `NET_RX/0` for one CPU."),
    key(
        "interrupts",
        Form::Counters,
        "Interrupts taken, since the first step: `eth0-TxRx-0`, or `eth0` for no queue.",
    ),
    key("qdisc", Form::Groups, "Counters of a qdisc, by its handle or `root`."),
    key("nft", Form::Groups, "Counters of a rule, by `TABLE/CHAIN/INDEX`."),
    key("tcp_info", Form::TcpInfo, "TCP_INFO of a socket: `{socket: c, state: ESTABLISHED, snd_cwnd: 10}`."),
    key("neigh", Form::Groups, "Neighbours by address: `state`, `lladdr`, or `absent`."),
    key("route", Form::Keys(&[ROUTE]), "Where a packet would go."),
    key("skb", Form::Counters, "The stack's packet pool: `in_flight`, `copied_bytes`."),
    key("journey", Form::Keys(&[JOURNEY]), "The way of one packet."),
];
/// `check: {route: …}`
pub const ROUTE: &[Key] = &[
    must("to", Form::Address, "The destination."),
    key("from", Form::Address, "The source address."),
    key("tos", Form::Number(0, 255), "The type of service."),
    key("mark", Form::Number(0, 0xffff_ffff), "The firewall mark."),
    key("via", Form::Text, "The gateway; `none` when there is none."),
    key("dev", Form::Name, "The interface."),
    key("src", Form::Address, "The preferred source address."),
    key("error", Form::Errno, "The error that the look-up gives."),
];
/// `check: {journey: …}`
pub const JOURNEY: &[Key] = &[
    must("packet", Form::Keys(&[PACKET]), "Which packet."),
    key("through", Form::Texts, "Functions and queues in this order, others between them allowed."),
    key("spent", Form::Spent, "How long it lay in a queue."),
    TOLERANCE,
    key("dropped", Form::Name, "Why it was dropped, without SKB_DROP_REASON_; `none` when it was not."),
];
/// `check: {journey: {packet: …}}`
pub const PACKET: &[Key] = &[
    must("payload", Form::Payload, "Its payload begins with this."),
    key("nth", Form::Number(0, 100_000), "Which of those, from 0."),
];
/// `join:`
pub const JOIN: &[Key] = &[
    must("call", Form::Name, "The background call."),
    key("returns", Form::Number(i64::MIN, i64::MAX), "What it must return."),
    key("error", Form::Errno, "The error that it must give."),
    GOT,
    key("from", Form::Endpoint, "Who must have sent it."),
    key("revents", Form::SomeOf(POLL_EVENTS), "The events that `poll` must report."),
    epoll::READY,
    key("after", Form::Duration, "How long after the call it must return."),
    TOLERANCE,
];
/// A command with what it must print.
pub const COMMAND: &[Key] = &[
    must("command", Form::Text, "The command."),
    key("error", Form::Text, "It must fail, and print this."),
    key(
        "output",
        Form::Lines,
        "Whole lines that it must print, in this order, others between them allowed. How much white space there is does not count.",
    ),
];

const CALLED: &[&[Key]] = &[&[SOCKET], CALL, NAMED];
const RECEIVING: &[&[Key]] = &[&[SOCKET, LENGTH, FLAGS, GOT], CALL, NAMED];
const SOCKET_NEW: &[&[Key]] = &[
    &[
        must("as", Form::Name, "The name of the socket."),
        must("type", Form::OneOf(&["udp", "tcp"]), "SOCK_DGRAM or SOCK_STREAM."),
        key("nonblocking", Form::Boolean, "SOCK_NONBLOCK."),
    ],
    CALL,
];
const TO: Key = must("to", Form::Endpoint, "The address and port.");
const LEVEL: Key = must("level", Form::Name, "SOL_SOCKET, IPPROTO_IP, …");
const OPTION: Key = must("name", Form::Name, "The option.");

/// Every step, in the order in which the schema lists them.
pub static STEPS: &[StepShape] = &[
    step("run", Form::Commands, "Runs commands: ip, tc, ethtool, sysctl, nft."),
    step(
        "sysfs",
        Form::Keys(&[&[
            must("path", Form::Text, "A file under /sys."),
            must("value", Form::Text, "What is written."),
            key("error", Form::Text, "The write must fail, and this be said."),
        ]]),
        "Writes a file of sysfs.",
    ),
    step("link", Form::OneOf(&["up", "down"]), "Pulls the cable, or puts it back."),
    step("include", Form::Text, "Puts the steps of another file here."),
    step(
        "repeat",
        Form::Keys(&[&[
            must("times", Form::Number(1, 10_000), "How many times."),
            must("steps", Form::Steps, "What is repeated."),
        ]]),
        "The same steps several times.",
    ),
    step("socket", Form::Keys(SOCKET_NEW), "socket(2)"),
    step("bind", Form::Keys(&[&[SOCKET, TO], CALL, NAMED]), "bind(2)"),
    step("connect", Form::Keys(&[&[SOCKET, TO], CALL, NAMED]), "connect(2)"),
    step("disconnect", Form::Keys(CALLED), "connect(2) with AF_UNSPEC"),
    step(
        "listen",
        Form::Keys(&[
            &[SOCKET, must("backlog", Form::Number(-1, 65_535), "Connections that may wait for `accept`.")],
            CALL,
            NAMED,
        ]),
        "listen(2)",
    ),
    step(
        "accept",
        Form::Keys(&[
            &[
                SOCKET,
                key(
                    "as",
                    Form::Name,
                    "The name of the socket that it gives; needed unless `error:` is given.",
                ),
                key("address", Form::Endpoint, "Who must have connected."),
            ],
            CALL,
        ]),
        "accept(2)",
    ),
    step("send", Form::Keys(&[&[SOCKET, DATA, FLAGS], CALL, NAMED]), "send(2)"),
    step("sendto", Form::Keys(&[&[SOCKET, TO, DATA, FLAGS], CALL, NAMED]), "sendto(2)"),
    step("write", Form::Keys(&[&[SOCKET, DATA], CALL, NAMED]), "write(2)"),
    step("recv", Form::Keys(RECEIVING), "recv(2)"),
    step(
        "recvfrom",
        Form::Keys(&[
            &[SOCKET, LENGTH, FLAGS, GOT, key("from", Form::Endpoint, "Who must have sent it.")],
            CALL,
            NAMED,
        ]),
        "recvfrom(2)",
    ),
    step("read", Form::Keys(&[&[SOCKET, LENGTH, GOT], CALL, NAMED]), "read(2)"),
    step(
        "poll",
        Form::Keys(&[
            &[
                SOCKET,
                must("events", Form::SomeOf(POLL_EVENTS), "The events that are asked for."),
                key("timeout", Form::Duration, "How long it waits; without it, until there is an event."),
                key("revents", Form::SomeOf(POLL_EVENTS), "The events that it must report."),
            ],
            CALL,
            NAMED,
        ]),
        "poll(2)",
    ),
    epoll::EPOLL_CREATE,
    epoll::EPOLL_CTL,
    epoll::EPOLL_WAIT,
    step(
        "shutdown",
        Form::Keys(&[
            &[SOCKET, must("how", Form::OneOf(&["SHUT_RD", "SHUT_WR", "SHUT_RDWR"]), "Which directions.")],
            CALL,
            NAMED,
        ]),
        "shutdown(2)",
    ),
    step("close", Form::Keys(CALLED), "close(2)"),
    step(
        "setsockopt",
        Form::Keys(&[
            &[SOCKET, LEVEL, OPTION, must("value", Form::OptionValue, "A number, a symbol, text or a time.")],
            CALL,
            NAMED,
        ]),
        "setsockopt(2)",
    ),
    step(
        "getsockopt",
        Form::Keys(&[
            &[SOCKET, LEVEL, OPTION, key("value", Form::OptionValue, "What it must be.")],
            CALL,
            NAMED,
        ]),
        "getsockopt(2)",
    ),
    step(
        "getsockname",
        Form::Keys(&[&[SOCKET, key("address", Form::Endpoint, "What it must give.")], CALL, NAMED]),
        "getsockname(2)",
    ),
    step(
        "getpeername",
        Form::Keys(&[&[SOCKET, key("address", Form::Endpoint, "What it must give.")], CALL, NAMED]),
        "getpeername(2)",
    ),
    step("join", Form::Keys(&[JOIN]), "Waits for the end of a call in the background."),
    peer_shape::PEER_RUN,
    peer_shape::HTTP_SERVER,
    peer_shape::HTTP_GET,
    step("expect", Form::Keys(EXPECT), "One frame of the system under test."),
    step("any_order", Form::Frames, "Several frames, in whatever order."),
    step(
        "order",
        Form::Keys(&[&[
            must("of", Form::Text, "A field: `udp.dst_port`."),
            must("is", Form::Values, "Its values, in the order of the wire."),
            key("relative", Form::Boolean, "Numbers count from that of the first frame: `[0, 1, 2]`."),
            WITHIN,
        ]]),
        "Exactly the next frames that have a field, by its values.",
    ),
    step(
        "fragments",
        Form::Keys(&[
            &[must("mtu", Form::Number(68, 65_535), "No IP packet is larger.")],
            HEADERS,
            &[must("payload", Form::Payload, "What the fragments carry, put together."), WITHIN],
        ]),
        "The fragments of one datagram.",
    ),
    step(
        "segments",
        Form::Keys(&[&[
            must(
                "range",
                Form::Text,
                "The relative sequence numbers: `\"1:14601\"`, first and the one after the last.",
            ),
            must("mss", Form::Number(1, 65_495), "Bytes of every segment but the last."),
            key("payload", Form::Payload, "What they carry, put together."),
            key(
                "push",
                Form::OneOf(PUSH),
                "`last`: PSH stands on the last segment alone; else wherever a large packet ended.",
            ),
            key("fin", Form::Boolean, "Whether the last segment has FIN."),
            key(
                "vlan",
                Form::Number(0, 4094),
                "The VLAN that all of them have the tag of; without it they have none.",
            ),
            key("ack", Form::Number(0, 0xffff_ffff), "The acknowledgement number of all of them, relative."),
            WITHIN,
        ]]),
        "The segments of a stretch of a TCP stream.",
    ),
    RETRANSMISSIONS,
    step("inject", Form::Keys(INJECT), "A frame of the peer."),
    step("wait", Form::Duration, "Lets time pass."),
    step("quiet", Form::Duration, "Nothing is pending, and nothing comes for this long."),
    step("check", Form::Keys(&[CHECK]), "Counters and states."),
    step(
        "conserve",
        Form::AllOrSome(CONSERVE),
        "Counters add up exactly to the frames on the wire since the first step: `all`, or these groups. A rig holds what it has.",
    ),
];

/// The keys of a step.
#[must_use]
pub fn keys_of(step: &str) -> &'static [&'static [Key]] {
    match STEPS.iter().find(|shape| shape.name == step) {
        Some(StepShape { form: Form::Keys(keys) | Form::Program(keys), .. }) => keys,
        _ => &[],
    }
}
