//! Routes, and the answer to `ip route get`, in the words of iproute2 6.1.

use super::output::{FlowKey, RouteResult};
use super::{
    Fib, RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN, RTPROT_BOOT, RTPROT_KERNEL, RTPROT_STATIC,
};
use super::{Route, RouteKind, Scope};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

fn table_name(table: u32) -> String {
    match table {
        RT_TABLE_DEFAULT => "default".to_string(),
        RT_TABLE_MAIN => "main".to_string(),
        RT_TABLE_LOCAL => "local".to_string(),
        other => other.to_string(),
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Global => "global",
        Scope::Site => "site",
        Scope::Link => "link",
        Scope::Host => "host",
        Scope::Nowhere => "nowhere",
    }
}

fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "redirect".to_string(),
        RTPROT_KERNEL => "kernel".to_string(),
        RTPROT_STATIC => "static".to_string(),
        16 => "dhcp".to_string(),
        other => other.to_string(),
    }
}

/// Appends `word value` to a line.
fn push(line: &mut String, word: &str, value: impl core::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(line, "{word} {value} ");
}

impl Fib {
    /// The routes of a table, or of all, in the order of `ip route show`: `main` and others before `local`, by address, then
    /// longest prefix first.
    #[must_use]
    pub fn dump(&self, table: Option<u32>) -> Vec<&Route> {
        let mut routes: Vec<&Route> =
            self.routes().iter().filter(|r| table.is_none_or(|t| t == r.table)).collect();
        routes.sort_by_key(|r| (r.table == RT_TABLE_LOCAL, r.table != RT_TABLE_MAIN, r.table, r.to.base()));
        routes
    }

    /// A line of `ip route show`, without the blank at its end. `with_table`: of `table all`.
    #[must_use]
    pub fn route_line(&self, route: &Route, with_table: bool) -> String {
        let mut line = String::new();
        if route.kind != RouteKind::Unicast {
            line += route.kind.name();
            line.push(' ');
        }
        line += &format!("{} ", route.to);
        if route.tos != 0 {
            push(&mut line, "tos", format_args!("{:#04x}", route.tos));
        }
        if let Some(gateway) = route.gateway {
            push(&mut line, "via", gateway);
        }
        if let Some(dev) = route.dev.and_then(|dev| self.link_name(dev)) {
            push(&mut line, "dev", dev);
        }
        if with_table && route.table != RT_TABLE_MAIN {
            push(&mut line, "table", table_name(route.table));
        }
        if route.protocol != RTPROT_BOOT {
            push(&mut line, "proto", protocol_name(route.protocol));
        }
        if route.scope != Scope::Global {
            push(&mut line, "scope", scope_name(route.scope));
        }
        if let Some(src) = route.prefsrc {
            push(&mut line, "src", src);
        }
        if route.metric != 0 {
            push(&mut line, "metric", route.metric);
        }
        if route.onlink {
            line += "onlink ";
        }
        let link = route.dev.and_then(|dev| self.link(dev));
        if link.is_some_and(|link| !link.carrier) && route.nh_scope != Scope::Nowhere {
            line += "linkdown ";
        }
        if route.mtu != 0 {
            push(&mut line, if route.mtu_lock { "mtu lock" } else { "mtu" }, route.mtu);
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The first line of `ip route get`, without ` uid 0` and what follows, for the way `result` of a packet `key`.
    #[must_use]
    pub fn get_line(&self, key: &FlowKey, result: &RouteResult) -> String {
        let mut line = String::new();
        if result.kind != RouteKind::Unicast {
            line += result.kind.name();
            line.push(' ');
        }
        line += &format!("{} ", key.dst);
        if let Some(src) = key.src {
            push(&mut line, "from", src);
        }
        if key.tos != 0 {
            push(&mut line, "tos", format_args!("{:#04x}", key.tos));
        }
        if let Some(gateway) = result.gateway {
            push(&mut line, "via", gateway);
        }
        push(&mut line, "dev", self.link_name(result.oif).as_deref().unwrap_or("?"));
        // Until a rule is changed, Linux answers from `local` and `main` as one table, which it calls main.
        if result.table != RT_TABLE_MAIN && (self.custom_rules || result.table != RT_TABLE_LOCAL) {
            push(&mut line, "table", table_name(result.table));
        }
        if key.src.is_none() {
            push(&mut line, "src", result.src);
        }
        if key.mark != 0 {
            push(&mut line, "mark", key.mark);
        }
        line.truncate(line.trim_end().len());
        line
    }
}
