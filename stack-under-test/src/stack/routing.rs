//! Routing as the rest of the stack asks for it: the tables' answer, narrowed by what was learned of the path.

use super::Stack;
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::ip::SendError;
use crate::route::remembered::Received;
use crate::route::{FlowKey, OifId, RouteKind, RouteResult};
use crate::skb::{Dst, Skb};
use crate::socket::Fd;
use crate::wire::ipv4::Ipv4;

impl Stack {
    /// `ip_route_output_flow`, with the path MTU.
    ///
    /// # Errors
    /// As [`crate::route::Fib::output`].
    #[inline(always)]
    pub(crate) fn route_output(&mut self, key: &FlowKey) -> Result<RouteResult, Errno> {
        let known = self.routes.output(self.route_generation(), key, self.fib.has_rules());
        match known {
            Some(route) if self.path_mtus.is_empty() && !self.trace.is_on() => Ok(*route),
            // By value, so that a question that was asked before is put together nowhere.
            _ => self.route_output_anew(*key),
        }
    }

    #[inline(never)]
    fn route_output_anew(&mut self, key: FlowKey) -> Result<RouteResult, Errno> {
        self.trace.function(self.trace.making, "ip_route_output_flow");
        self.trace.function(self.trace.making, "fib_lookup");
        let generation = self.route_generation();
        if let Some(route) = self.routes.output(generation, &key, self.fib.has_rules())
            && self.path_mtus.is_empty()
        {
            return Ok(*route);
        }
        let answer = self.route_lookup(&key);
        match &answer {
            Ok(route) => self.routes.keep_output(generation, &key, route),
            Err(Errno::ENETUNREACH) => self.mib.inc(crate::mib::Counter::IpOutNoRoutes),
            Err(_) => {}
        }
        answer
    }

    /// [`crate::route::Fib::input`] for a received packet, or what it said when it was asked the same before.
    ///
    /// # Errors
    /// As [`crate::route::Fib::input`].
    #[inline(always)]
    pub(crate) fn route_input(
        &mut self,
        header: &Ipv4,
        mark: u32,
        iif: OifId,
    ) -> Result<RouteKind, DropReason> {
        let question = Received {
            generation: self.fib.generation(),
            src: header.src,
            dst: header.dst,
            tos: header.tos,
            iif,
        };
        if self.routes.is_local(&question) {
            return Ok(RouteKind::Local);
        }
        self.route_input_slow(header, mark, question)
    }

    #[inline(never)]
    fn route_input_slow(
        &mut self,
        header: &Ipv4,
        mark: u32,
        question: Received,
    ) -> Result<RouteKind, DropReason> {
        let (tos, protocol) = (header.tos, header.protocol);
        let key =
            FlowKey { dst: header.dst, src: Some(header.src), tos, mark, protocol, ..FlowKey::default() };
        let kind = self.fib.input(&key, question.iif)?;
        if kind == RouteKind::Local && !self.fib.has_rules() {
            self.routes.keep_local(question);
        }
        Ok(kind)
    }

    /// The same for somebody who only asks: nothing is counted, and no packet goes this way.
    ///
    /// # Errors
    /// As [`crate::route::Fib::output`].
    #[inline]
    pub(crate) fn route_lookup(&self, key: &FlowKey) -> Result<RouteResult, Errno> {
        let mut route = self.fib.output(key)?;
        if !self.path_mtus.is_empty()
            && !route.mtu_locked
            && let Some(path) = self.path_mtus.get(route.dst, self.now)
        {
            route.mtu = route.mtu.min(path.mtu);
            route.mtu_locked = path.locked;
        }
        Ok(route)
    }

    /// Changes with everything that a remembered route depends on.
    #[inline]
    pub(crate) fn route_generation(&self) -> u64 {
        u64::from(self.fib.generation()) << 32 | (self.path_mtus.generation() & 0xffff_ffff)
    }

    /// IP_MTU of a connected socket.
    pub(crate) fn path_mtu(&mut self, fd: Fd) -> Result<u32, Errno> {
        let socket = self.sockets.get(fd)?;
        if let Some(tp) = self.tcp.sock(crate::socket::SocketTable::slot(fd)) {
            let key = tp.flow_key();
            // Also while it is being made and when it is over: `sk_dst_get` gives the way until it is disconnected.
            let connected = tp.dport != 0;
            return if connected {
                self.route_lookup(&key).map(|route| route.mtu)
            } else {
                Err(Errno::ENOTCONN)
            };
        }
        let peer = socket.peer.ok_or(Errno::ENOTCONN)?;
        let key = socket.flow_key(*peer.ip(), peer.port());
        self.route_lookup(&key).map(|route| route.mtu)
    }

    /// `ip_route_me_harder`: a chain of type `route` changed what routing depends on.
    pub(crate) fn ip_route_me_harder(&mut self, skb: Skb) -> Result<Skb, SendError> {
        let (src, dst) = self.ip_addresses(&skb);
        let ip = self.skbs.header(&skb, self.skbs[&skb].network_header);
        let (tos, protocol, mark) = (ip[1] & 0x1c, ip[9], self.skbs[&skb].mark);
        let key = FlowKey { dst, src: Some(src), tos, mark, protocol, ..FlowKey::default() };
        match self.route_output(&key) {
            Ok(route) => {
                let dst = Dst { nexthop: route.nexthop(), mtu: route.mtu, kind: route.kind, oif: route.oif };
                self.skbs[&skb].dst = Some(dst);
                Ok(skb)
            }
            Err(errno) => {
                self.skbs.drop(&mut self.trace, skb, DropReason::IpOutNoRoutes);
                Err(SendError::Errno(errno))
            }
        }
    }
}
