//! Routing: tables of prefixes, policy rules, and the way out of a packet.
//!
//! [`Fib`] holds all of it: the links and their addresses ([`link`]), the tables ([`table`]), the rules ([`rule`]). It
//! answers [`Fib::output`] for packets that this host sends and [`Fib::input`] for those that it received. Whatever changes
//! an answer advances [`Fib::generation`], so that callers may keep answers while it stands.

pub mod address;
pub mod change;
pub mod dump;
pub mod fib;
pub mod input;
pub mod link;
pub mod output;
pub mod prefix;
pub(crate) mod remembered;
pub mod rule;
pub mod table;

pub use address::Address;
pub use change::{NewRoute, RouteError, RouteQuery, RouteVerb};
pub use fib::Fib;
pub use link::OifId;
pub use output::{FlowKey, RouteResult};
pub use prefix::Prefix;
pub use rule::{Rule, RuleAction};
pub use table::Route;

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

impl RouteKind {
    /// The word that `ip route` uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Multicast => "multicast",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Blackhole => "blackhole",
        }
    }

    /// The error that a packet meets here: Linux's `fib_props`.
    #[must_use]
    pub const fn error(self) -> Option<crate::errno::Errno> {
        match self {
            Self::Unreachable => Some(crate::errno::Errno::EHOSTUNREACH),
            Self::Prohibit => Some(crate::errno::Errno::EACCES),
            Self::Blackhole => Some(crate::errno::Errno::EINVAL),
            _ => None,
        }
    }
}

/// How far away a destination or an address is: `rtm_scope`. Greater is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Scope {
    /// Anywhere.
    #[default]
    Global = 0,
    /// Within the site.
    Site = 200,
    /// On this link.
    Link = 253,
    /// On this host.
    Host = 254,
    /// Nowhere; the scope of the next hop of a local route.
    Nowhere = 255,
}

/// `rtm_protocol` of routes that the kernel made.
pub const RTPROT_KERNEL: u8 = 2;
/// `rtm_protocol` that `ip route` gives by default.
pub const RTPROT_BOOT: u8 = 3;
/// `rtm_protocol` of routes that an administrator declares static.
pub const RTPROT_STATIC: u8 = 4;

/// The table `default`.
pub const RT_TABLE_DEFAULT: u32 = 253;
/// The table `main`.
pub const RT_TABLE_MAIN: u32 = 254;
/// The table `local`.
pub const RT_TABLE_LOCAL: u32 = 255;
