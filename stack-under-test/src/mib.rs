//! Counters of `/proc/net/snmp` and `/proc/net/netstat`, by Linux's names (RFC 4293, RFC 4113; `Documentation/networking/snmp_counter`).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

macro_rules! mib {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A counter; [`Counter::name`] is what Linux calls it, as `Group.Name`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $variant,)* }

        impl Counter {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// `Ip.OutRequests`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

mib! {
    /// An IPv4 packet came in, before anything was looked at.
    IpInReceives = "Ip.InReceives",
    /// Its header was wrong: version, length, checksum, options.
    IpInHdrErrors = "Ip.InHdrErrors",
    /// It was for an address that is not ours, and we do not forward.
    IpInAddrErrors = "Ip.InAddrErrors",
    /// No protocol takes it.
    IpInUnknownProtos = "Ip.InUnknownProtos",
    /// It was dropped for want of memory.
    IpInDiscards = "Ip.InDiscards",
    /// It was handed to a protocol.
    IpInDelivers = "Ip.InDelivers",
    /// A protocol asked for a packet to be sent; a datagram that is fragmented counts once.
    IpOutRequests = "Ip.OutRequests",
    /// A packet was dropped on the way out, without an error of its own.
    IpOutDiscards = "Ip.OutDiscards",
    /// No route to the destination.
    IpOutNoRoutes = "Ip.OutNoRoutes",
    /// A datagram was not whole in time.
    IpReasmTimeout = "Ip.ReasmTimeout",
    /// A fragment came in.
    IpReasmReqds = "Ip.ReasmReqds",
    /// A datagram was put together.
    IpReasmOks = "Ip.ReasmOKs",
    /// A datagram could not be put together: time, overlap, memory.
    IpReasmFails = "Ip.ReasmFails",
    /// A datagram was cut into fragments.
    IpFragOks = "Ip.FragOKs",
    /// A datagram could not be cut, for DF or want of memory.
    IpFragFails = "Ip.FragFails",
    /// A fragment was made.
    IpFragCreates = "Ip.FragCreates",
    /// A packet, or a fragment of one, was handed to a device.
    IpOutTransmits = "Ip.OutTransmits",
    /// A packet was shorter than its header says.
    IpInTruncatedPkts = "IpExt.InTruncatedPkts",
    /// A datagram was given up because its fragments overlap.
    IpExtReasmOverlaps = "IpExt.ReasmOverlaps",
    /// Bytes of IPv4 packets that came in.
    IpExtInOctets = "IpExt.InOctets",
    /// Bytes of IPv4 packets handed to a device, before fragmentation.
    IpExtOutOctets = "IpExt.OutOctets",
    /// A packet whose header checksum was wrong; it counts as `Ip.InHdrErrors` too.
    IpExtInCsumErrors = "IpExt.InCsumErrors",
    /// A packet came in whose sender does not know ECN (RFC 3168).
    IpExtInNoEctPkts = "IpExt.InNoECTPkts",
    /// It was marked ECT(1).
    IpExtInEct1Pkts = "IpExt.InECT1Pkts",
    /// It was marked ECT(0).
    IpExtInEct0Pkts = "IpExt.InECT0Pkts",
    /// It was marked by a congested router.
    IpExtInCePkts = "IpExt.InCEPkts",
    /// A packet to a group came in.
    IpExtInMcastPkts = "IpExt.InMcastPkts",
    /// A packet to a group, or a fragment of one, was handed to a device.
    IpExtOutMcastPkts = "IpExt.OutMcastPkts",
    /// A packet to everybody came in.
    IpExtInBcastPkts = "IpExt.InBcastPkts",
    /// A packet to everybody, or a fragment of one, was handed to a device.
    IpExtOutBcastPkts = "IpExt.OutBcastPkts",
    /// Bytes of IPv4 packets to groups that came in.
    IpExtInMcastOctets = "IpExt.InMcastOctets",
    /// Bytes of IPv4 packets to groups handed to a device.
    IpExtOutMcastOctets = "IpExt.OutMcastOctets",
    /// Bytes of IPv4 packets to everybody that came in.
    IpExtInBcastOctets = "IpExt.InBcastOctets",
    /// Bytes of IPv4 packets to everybody handed to a device.
    IpExtOutBcastOctets = "IpExt.OutBcastOctets",
    /// An ICMP message came in.
    IcmpInMsgs = "Icmp.InMsgs",
    /// It was malformed, or could not be acted on.
    IcmpInErrors = "Icmp.InErrors",
    /// Its checksum was wrong.
    IcmpInCsumErrors = "Icmp.InCsumErrors",
    /// Destination unreachable came in.
    IcmpInDestUnreachs = "Icmp.InDestUnreachs",
    /// Time exceeded came in.
    IcmpInTimeExcds = "Icmp.InTimeExcds",
    /// Parameter problem came in.
    IcmpInParmProbs = "Icmp.InParmProbs",
    /// A source quench came in, which nobody acts on (RFC 6633).
    IcmpInSrcQuenchs = "Icmp.InSrcQuenchs",
    /// A redirect came in; this stack does not follow it.
    IcmpInRedirects = "Icmp.InRedirects",
    /// A request for the time came in; this stack does not answer it.
    IcmpInTimestamps = "Icmp.InTimestamps",
    /// An answer with the time came in.
    IcmpInTimestampReps = "Icmp.InTimestampReps",
    /// A request for an address mask came in (RFC 6918: obsolete).
    IcmpInAddrMasks = "Icmp.InAddrMasks",
    /// An answer with an address mask came in.
    IcmpInAddrMaskReps = "Icmp.InAddrMaskReps",
    /// An echo request came in.
    IcmpInEchos = "Icmp.InEchos",
    /// An echo reply came in.
    IcmpInEchoReps = "Icmp.InEchoReps",
    /// An ICMP message was sent.
    IcmpOutMsgs = "Icmp.OutMsgs",
    /// It was not sent because the destination gets too many.
    IcmpOutRateLimitHost = "Icmp.OutRateLimitHost",
    /// Destination unreachable was sent.
    IcmpOutDestUnreachs = "Icmp.OutDestUnreachs",
    /// Time exceeded was sent.
    IcmpOutTimeExcds = "Icmp.OutTimeExcds",
    /// Parameter problem was sent.
    IcmpOutParmProbs = "Icmp.OutParmProbs",
    /// An echo reply was sent.
    IcmpOutEchoReps = "Icmp.OutEchoReps",
    /// An application read a datagram.
    UdpInDatagrams = "Udp.InDatagrams",
    /// A datagram came for a port that nobody has bound.
    UdpNoPorts = "Udp.NoPorts",
    /// A datagram was lost for another reason: length, checksum, full queue.
    UdpInErrors = "Udp.InErrors",
    /// A datagram was sent.
    UdpOutDatagrams = "Udp.OutDatagrams",
    /// A datagram was lost because the socket's queue was full.
    UdpRcvbufErrors = "Udp.RcvbufErrors",
    /// A datagram could not be sent for want of memory, or was dropped by the qdisc.
    UdpSndbufErrors = "Udp.SndbufErrors",
    /// A datagram had a wrong checksum.
    UdpInCsumErrors = "Udp.InCsumErrors",
    /// A datagram to everybody or to a group came, and no socket wanted it.
    UdpIgnoredMulti = "Udp.IgnoredMulti",
    /// A connection was asked for.
    TcpActiveOpens = "Tcp.ActiveOpens",
    /// A connection failed before it was established.
    TcpAttemptFails = "Tcp.AttemptFails",
    /// How many connections are in ESTABLISHED or CLOSE-WAIT; goes down, too.
    TcpCurrEstab = "Tcp.CurrEstab",
    /// A connection went from ESTABLISHED or CLOSE-WAIT to CLOSED.
    TcpEstabResets = "Tcp.EstabResets",
    /// A segment had a wrong checksum.
    TcpInCsumErrors = "Tcp.InCsumErrors",
    /// A segment was wrong: length, checksum, a SYN on a connection.
    TcpInErrs = "Tcp.InErrs",
    /// A segment came in.
    TcpInSegs = "Tcp.InSegs",
    /// A reset went out.
    TcpOutRsts = "Tcp.OutRsts",
    /// A segment went out that was not sent before.
    TcpOutSegs = "Tcp.OutSegs",
    /// A connection came to a listener.
    TcpPassiveOpens = "Tcp.PassiveOpens",
    /// A segment was sent again.
    TcpRetransSegs = "Tcp.RetransSegs",
    /// A connection was reset as it was closed with unread data.
    TcpExtAbortOnClose = "TcpExt.TCPAbortOnClose",
    /// A connection was reset as data came that nobody would read.
    TcpExtAbortOnData = "TcpExt.TCPAbortOnData",
    /// A connection was reset for TCP_LINGER2.
    TcpExtAbortOnLinger = "TcpExt.TCPAbortOnLinger",
    /// A connection was reset as there were too many orphans.
    TcpExtAbortOnMemory = "TcpExt.TCPAbortOnMemory",
    /// A connection was given up after too many retransmissions.
    TcpExtAbortOnTimeout = "TcpExt.TCPAbortOnTimeout",
    /// A challenge ACK was kept back for its rate.
    TcpExtAckSkippedChallenge = "TcpExt.TCPACKSkippedChallenge",
    /// An answer to an old timestamp was kept back for its rate.
    TcpExtAckSkippedPaws = "TcpExt.TCPACKSkippedPAWS",
    /// An answer to a number out of the window was kept back for its rate.
    TcpExtAckSkippedSeq = "TcpExt.TCPACKSkippedSeq",
    /// An answer in SYN-RECEIVED was kept back for its rate.
    TcpExtAckSkippedSynRecv = "TcpExt.TCPACKSkippedSynRecv",
    /// An answer in TIME-WAIT was kept back for its rate.
    TcpExtAckSkippedTimeWait = "TcpExt.TCPACKSkippedTimeWait",
    /// A challenge ACK went out (RFC 5961).
    TcpExtChallengeAck = "TcpExt.TCPChallengeACK",
    /// Segments that were delivered, as ACKs and selective ACKs tell.
    TcpExtDelivered = "TcpExt.TCPDelivered",
    /// Those of them whose ACK told of congestion.
    TcpExtDeliveredCe = "TcpExt.TCPDeliveredCE",
    /// The last ACK of a handshake had no data, which the listener waits for.
    TcpExtDeferAcceptDrop = "TcpExt.TCPDeferAcceptDrop",
    /// Data came again, perhaps because an ACK was lost.
    TcpExtDelayedAckLost = "TcpExt.DelayedACKLost",
    /// An ACK waited for company in vain.
    TcpExtDelayedAcks = "TcpExt.DelayedACKs",
    /// The peer told of a duplicate that cannot be: of more than it ever had room for, or than was sent again.
    TcpExtDsackIgnoredDubious = "TcpExt.TCPDSACKIgnoredDubious",
    /// A block of a duplicate was not plausible.
    TcpExtDsackIgnoredOld = "TcpExt.TCPDSACKIgnoredOld",
    /// The peer told of a duplicate out of order.
    TcpExtDsackOfoRecv = "TcpExt.TCPDSACKOfoRecv",
    /// The peer was told of a duplicate out of order.
    TcpExtDsackOfoSent = "TcpExt.TCPDSACKOfoSent",
    /// The peer was told of a duplicate of old data.
    TcpExtDsackOldSent = "TcpExt.TCPDSACKOldSent",
    /// The peer told of a duplicate.
    TcpExtDsackRecv = "TcpExt.TCPDSACKRecv",
    /// Segments of which the peer told that they came twice.
    TcpExtDsackRecvSegs = "TcpExt.TCPDSACKRecvSegs",
    /// A reduction was taken back for duplicates.
    TcpExtDsackUndo = "TcpExt.TCPDSACKUndo",
    /// A request was reset.
    TcpExtEmbryonicRsts = "TcpExt.EmbryonicRsts",
    /// A segment was sent again in fast recovery.
    TcpExtFastRetrans = "TcpExt.TCPFastRetrans",
    /// The window that is offered is no longer zero.
    TcpExtFromZeroWindowAdv = "TcpExt.TCPFromZeroWindowAdv",
    /// A reduction was taken back when all was acknowledged.
    TcpExtFullUndo = "TcpExt.TCPFullUndo",
    /// An ACK that was predicted went the short way: the window as before, and nothing but progress.
    TcpExtHpAcks = "TcpExt.TCPHPAcks",
    /// Data that was predicted went the short way.
    TcpExtHpHits = "TcpExt.TCPHPHits",
    /// A keepalive went out.
    TcpExtKeepAlive = "TcpExt.TCPKeepAlive",
    /// A SYN or the last ACK of a handshake was dropped by a listener.
    TcpExtListenDrops = "TcpExt.ListenDrops",
    /// The accept queue was full.
    TcpExtListenOverflows = "TcpExt.ListenOverflows",
    /// A retransmission was lost, too.
    TcpExtLostRetransmit = "TcpExt.TCPLostRetransmit",
    /// The timer fired again.
    TcpExtLossFailures = "TcpExt.TCPLossFailures",
    /// A tail loss probe repaired a loss.
    TcpExtLossProbeRecovery = "TcpExt.TCPLossProbeRecovery",
    /// A tail loss probe went out.
    TcpExtLossProbes = "TcpExt.TCPLossProbes",
    /// A reduction after the timer was taken back.
    TcpExtLossUndo = "TcpExt.TCPLossUndo",
    /// Memory for data to be sent was out.
    TcpExtMemoryPressures = "TcpExt.TCPMemoryPressures",
    /// A packet out of order was dropped for want of room.
    TcpExtOfoDrop = "TcpExt.TCPOFODrop",
    /// A packet out of order was there already.
    TcpExtOfoMerge = "TcpExt.TCPOFOMerge",
    /// A packet out of order was dropped to make room.
    TcpExtOfoPruned = "TcpExt.OfoPruned",
    /// A packet came out of order.
    TcpExtOfoQueue = "TcpExt.TCPOFOQueue",
    /// A segment of the stream went out for the first time.
    TcpExtOrigDataSent = "TcpExt.TCPOrigDataSent",
    /// An ICMP error quoted a number that is not under way.
    TcpExtOutOfWindowIcmps = "TcpExt.OutOfWindowIcmps",
    /// A reduction was taken back at a partial ACK.
    TcpExtPartialUndo = "TcpExt.TCPPartialUndo",
    /// A SYN-ACK was refused for its echo.
    TcpExtPawsActive = "TcpExt.PAWSActive",
    /// A segment was refused for its old timestamp.
    TcpExtPawsEstab = "TcpExt.PAWSEstab",
    /// The receive buffer was over its limit.
    TcpExtPruneCalled = "TcpExt.PruneCalled",
    /// An ACK without data came.
    TcpExtPureAcks = "TcpExt.TCPPureAcks",
    /// A packet was put behind the one before it, in the receive queue or out of order.
    TcpExtRcvCoalesce = "TcpExt.TCPRcvCoalesce",
    /// Payload that waited was copied together with other, to take less memory.
    TcpExtRcvCollapsed = "TcpExt.TCPRcvCollapsed",
    /// A packet was dropped as the receive buffer stayed over its limit.
    TcpExtRcvPruned = "TcpExt.RcvPruned",
    /// A packet in order was dropped for want of room.
    TcpExtRcvqDrop = "TcpExt.TCPRcvQDrop",
    /// The timer fired after duplicate ACKs.
    TcpExtRenoFailures = "TcpExt.TCPRenoFailures",
    /// Fast recovery began, without SACK.
    TcpExtRenoRecovery = "TcpExt.TCPRenoRecovery",
    /// The timer fired in fast recovery without SACK.
    TcpExtRenoRecoveryFail = "TcpExt.TCPRenoRecoveryFail",
    /// The SYN queue was full.
    TcpExtReqQFullDrop = "TcpExt.TCPReqQFullDrop",
    /// A segment could not be sent again.
    TcpExtRetransFail = "TcpExt.TCPRetransFail",
    /// A selective block was not plausible.
    TcpExtSackDiscard = "TcpExt.TCPSACKDiscard",
    /// The timer fired after selective ACKs.
    TcpExtSackFailures = "TcpExt.TCPSackFailures",
    /// Fast recovery began, with SACK.
    TcpExtSackRecovery = "TcpExt.TCPSackRecovery",
    /// The timer fired in fast recovery with SACK.
    TcpExtSackRecoveryFail = "TcpExt.TCPSackRecoveryFail",
    /// The peer dropped what it had acknowledged selectively.
    TcpExtSackReneging = "TcpExt.TCPSACKReneging",
    /// Reordering was seen by SACK.
    TcpExtSackReorder = "TcpExt.TCPSACKReorder",
    /// A packet that was acknowledged selectively would be joined with the one before it.
    TcpExtSackMerged = "TcpExt.TCPSackMerged",
    /// Part of a packet that was acknowledged selectively would be joined with the one before it.
    TcpExtSackShifted = "TcpExt.TCPSackShifted",
    /// A packet that was acknowledged selectively could not be joined with the one before it.
    TcpExtSackShiftFallback = "TcpExt.TCPSackShiftFallback",
    /// A segment was sent again after the timer.
    TcpExtSlowStartRetrans = "TcpExt.TCPSlowStartRetrans",
    /// The timer had fired for nothing (F-RTO).
    TcpExtSpuriousRtos = "TcpExt.TCPSpuriousRTOs",
    /// A segment was not sent again, for the first time round it had not left the host yet.
    TcpExtSpuriousRtxHostQueues = "TcpExt.TCPSpuriousRtxHostQueues",
    /// A challenge ACK was due for a SYN.
    TcpExtSynChallenge = "TcpExt.TCPSYNChallenge",
    /// A SYN or SYN-ACK was sent again.
    TcpExtSynRetrans = "TcpExt.TCPSynRetrans",
    /// There were too many records of TIME-WAIT.
    TcpExtTimeWaitOverflow = "TcpExt.TCPTimeWaitOverflow",
    /// After a time-out the connection was given another hash, so that the network may choose another path.
    TcpExtTimeoutRehash = "TcpExt.TcpTimeoutRehash",
    /// The retransmission timer fired, or that of a request.
    TcpExtTimeouts = "TcpExt.TCPTimeouts",
    /// The window that is offered became zero.
    TcpExtToZeroWindowAdv = "TcpExt.TCPToZeroWindowAdv",
    /// Reordering was seen, with timestamps.
    TcpExtTsReorder = "TcpExt.TCPTSReorder",
    /// A record of TIME-WAIT was made.
    TcpExtTw = "TcpExt.TW",
    /// A record was made that lives four seconds or less: FIN-WAIT-2 without an owner.
    TcpExtTwKilled = "TcpExt.TWKilled",
    /// A record of TIME-WAIT gave way to a new connection.
    TcpExtTwRecycled = "TcpExt.TWRecycled",
    /// The window would be zero, but was promised.
    TcpExtWantZeroWindowAdv = "TcpExt.TCPWantZeroWindowAdv",
    /// A probe of a closed window went out.
    TcpExtWinProbe = "TcpExt.TCPWinProbe",
    /// Data came into a window of zero.
    TcpExtZeroWindowDrop = "TcpExt.TCPZeroWindowDrop",
}

/// ICMP messages by their type: `IcmpMsg.InType3`, `IcmpMsg.OutType8`. A type is there once there was a message of it.
#[derive(Debug, Default)]
pub struct IcmpMsgs(BTreeMap<(bool, u8), u64>);

impl IcmpMsgs {
    /// One more message of a type came in.
    pub fn came_in(&mut self, kind: u8) {
        *self.0.entry((false, kind)).or_default() += 1;
    }

    /// One more message of a type was sent.
    pub fn went_out(&mut self, kind: u8) {
        *self.0.entry((true, kind)).or_default() += 1;
    }

    /// Each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        self.0.iter().map(|((out, kind), count)| {
            (format!("IcmpMsg.{}Type{kind}", if *out { "Out" } else { "In" }), *count)
        })
    }
}

/// All counters of a stack.
#[derive(Debug)]
pub struct Mib {
    counters: [u64; Counter::ALL.len()],
    /// ICMP messages by their type.
    pub icmp_msgs: IcmpMsgs,
}

impl Default for Mib {
    fn default() -> Self {
        Self { counters: [0; Counter::ALL.len()], icmp_msgs: IcmpMsgs::default() }
    }
}

impl Mib {
    /// One more.
    #[inline]
    pub fn inc(&mut self, counter: Counter) {
        self.counters[counter as usize] += 1;
    }

    /// One less: for what counts what is there now.
    #[inline]
    pub fn dec(&mut self, counter: Counter) {
        let value = &mut self.counters[counter as usize];
        *value = value.saturating_sub(1);
    }

    /// `n` more.
    #[inline]
    pub fn add(&mut self, counter: Counter, n: usize) {
        self.counters[counter as usize] += n as u64;
    }

    /// Its value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn icmp_messages_are_counted_by_direction_and_type() {
        let mut messages = IcmpMsgs::default();
        messages.came_in(8);
        messages.came_in(8);
        messages.went_out(0);
        let all: Vec<_> = messages.iter().collect();
        let expected = [("IcmpMsg.InType8", 2), ("IcmpMsg.OutType0", 1)];
        assert_eq!(all, expected.map(|(name, count)| (String::from(name), count)));
    }
}
