//! Why a packet was dropped, by the names of Linux's `enum skb_drop_reason` (6.12, `include/net/dropreason-core.h`).

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a packet was dropped. [`DropReason::name`] gives Linux's name without `SKB_DROP_REASON_`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropReason { $($(#[$doc])* $variant,)* }

        impl DropReason {
            /// Linux's name, without the prefix `SKB_DROP_REASON_`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// No reason was given by the place that dropped it.
    NotSpecified = "NOT_SPECIFIED",
    /// No socket listens on the port.
    NoSocket = "NO_SOCKET",
    /// Shorter than its headers say.
    PktTooSmall = "PKT_TOO_SMALL",
    /// A UDP checksum that is wrong.
    UdpCsum = "UDP_CSUM",
    /// The receive buffer of the socket is full.
    SocketRcvbuff = "SOCKET_RCVBUFF",
    /// The protocol has no memory left for it.
    ProtoMem = "PROTO_MEM",
    /// A netfilter rule or policy said so.
    NetfilterDrop = "NETFILTER_DROP",
    /// Addressed to another station.
    OtherHost = "OTHERHOST",
    /// An IPv4 header checksum that is wrong.
    IpCsum = "IP_CSUM",
    /// An IPv4 header that contradicts itself.
    IpInHdr = "IP_INHDR",
    /// A source address that cannot be one.
    IpInvalidSource = "IP_INVALID_SOURCE",
    /// A destination on the local network that is not valid.
    IpLocalnet = "IP_LOCALNET",
    /// An ICMP checksum that is wrong.
    IcmpCsum = "ICMP_CSUM",
    /// No protocol takes this IP payload.
    IpNoProto = "IP_NOPROTO",
    /// No route to the destination.
    IpOutNoRoutes = "IP_OUTNOROUTES",
    /// No route on the way in.
    IpInNoRoutes = "IP_INNOROUTES",
    /// The neighbour entry could not be made.
    NeighCreateFail = "NEIGH_CREATEFAIL",
    /// The neighbour did not answer.
    NeighFailed = "NEIGH_FAILED",
    /// The queue of packets that wait for the neighbour's address is full.
    NeighQueueFull = "NEIGH_QUEUEFULL",
    /// The neighbour entry was removed while the packet waited.
    NeighDead = "NEIGH_DEAD",
    /// The qdisc is full.
    QdiscDrop = "QDISC_DROP",
    /// The queue that it lay in was emptied as a whole.
    QueuePurge = "QUEUE_PURGE",
    /// The device has no carrier or is down.
    DevReady = "DEV_READY",
    /// The device is being torn down with the packet in its ring.
    DevReset = "DEV_RESET",
    /// The header of the link layer is invalid.
    DevHdr = "DEV_HDR",
    /// The device flagged the frame as damaged.
    RxFrameError = "RX_FRAME_ERROR",
    /// Nobody handles the ethertype.
    UnhandledProto = "UNHANDLED_PROTO",
    /// A large packet that could not be cut.
    SkbGsoSeg = "SKB_GSO_SEG",
    /// Out of packet memory.
    NoMem = "NOMEM",
    /// Larger than may leave.
    PktTooBig = "PKT_TOO_BIG",
    /// A fragment that was already there, or that overlaps one.
    DupFrag = "DUP_FRAG",
    /// The rest of the datagram did not come in time.
    FragReasmTimeout = "FRAG_REASM_TIMEOUT",
    /// Too much memory is held by datagrams that are not whole.
    FragTooFar = "FRAG_TOO_FAR",
    /// The ARP packet is malformed, or not for Ethernet and IPv4.
    ArpMalformed = "ARP_MALFORMED",
    /// An ICMP message that is not acted on.
    IcmpUnhandled = "ICMP_UNHANDLED",
    /// Too many packets wait for the CPU.
    CpuBacklog = "CPU_BACKLOG",
    /// The socket was closed with the packet in its queue.
    SocketClose = "SOCKET_CLOSE",
    /// Data for a socket that was closed.
    TcpAbortOnData = "TCP_ABORT_ON_DATA",
    /// It acknowledges what was never sent.
    TcpAckUnsentData = "TCP_ACK_UNSENT_DATA",
    /// The connection is closed.
    TcpClose = "TCP_CLOSE",
    /// A TCP checksum that is wrong.
    TcpCsum = "TCP_CSUM",
    /// Flags that make no sense here.
    TcpFlags = "TCP_FLAGS",
    /// Its acknowledgement does not belong to this handshake.
    TcpInvalidAckSequence = "TCP_INVALID_ACK_SEQUENCE",
    /// All of it lies behind the window.
    TcpInvalidSequence = "TCP_INVALID_SEQUENCE",
    /// A SYN on a connection.
    TcpInvalidSyn = "TCP_INVALID_SYN",
    /// A queue of the listener is full.
    TcpListenOverflow = "TCP_LISTEN_OVERFLOW",
    /// There is no room for data out of order, or it was overtaken.
    TcpOfoDrop = "TCP_OFO_DROP",
    /// Data out of order that is there already.
    TcpOfoMerge = "TCP_OFOMERGE",
    /// Data out of order, dropped to make room.
    TcpOfoQueuePrune = "TCP_OFO_QUEUE_PRUNE",
    /// It acknowledges what was acknowledged before.
    TcpOldAck = "TCP_OLD_ACK",
    /// Its data was there already.
    TcpOldData = "TCP_OLD_DATA",
    /// All of it lies before the window.
    TcpOldSequence = "TCP_OLD_SEQUENCE",
    /// Its data lies behind the window.
    TcpOverwindow = "TCP_OVERWINDOW",
    /// A reset, which ends here.
    TcpReset = "TCP_RESET",
    /// A SYN that came before.
    TcpRetransmit = "TCP_RETRANSMIT",
    /// Its timestamp is old (RFC 7323).
    TcpRfc7323Paws = "TCP_RFC7323_PAWS",
    /// The connection is in TIME-WAIT.
    TcpTimewait = "TCP_TIMEWAIT",
    /// It acknowledges what was acknowledged long ago.
    TcpTooOldAck = "TCP_TOO_OLD_ACK",
    /// The window is closed.
    TcpZeroWindow = "TCP_ZEROWINDOW",
}
