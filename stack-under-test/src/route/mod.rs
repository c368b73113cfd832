//! Routing: tables of prefixes, policy rules, and the way out of a packet.

/// What a route says of the packets that match it: `rtm_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RouteKind {
    /// Through a gateway, or to a neighbour on the link.
    #[default]
    Unicast,
    /// An address of this host.
    Local,
    /// A broadcast address of a link.
    Broadcast,
    /// A group.
    Multicast,
    /// `unreachable`: EHOSTUNREACH.
    Unreachable,
    /// `prohibit`: EACCES.
    Prohibit,
    /// `blackhole`: EINVAL for the sender, silence for others.
    Blackhole,
}
