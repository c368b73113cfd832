//! `ip link` on VLAN devices, and how they follow the device below (Linux 6.12, `net/8021q/vlan.c`, `vlan_dev.c`).

use super::Stack;
use crate::control::Refusal;
use crate::control::ip::link::{LinkSet, VlanAdd};
use crate::errno::Errno;
use crate::netdev::vlan::{VLAN_VID_MASK, VlanDevice};
use crate::route::OifId;
use crate::route::link::Link;
use alloc::format;

impl Stack {
    /// `register_vlan_dev`: makes a VLAN device, which is down. The device below lets its frames in from now on.
    pub(super) fn vlan_add(&mut self, vlan: &VlanAdd) -> Result<(), Refusal> {
        if self.oif(vlan.link)? != OifId::ETH0 {
            let message = format!("a VLAN device can be above eth0 alone here, not above {}", vlan.link);
            return Err(Refusal::new(Errno::EOPNOTSUPP, message));
        }
        if vlan.id >= VLAN_VID_MASK {
            return Err(Refusal::new(Errno::ERANGE, "8021q: Invalid VLAN id."));
        }
        if self.fib.link_by_name(&vlan.name).is_some() {
            return Err(Refusal::new(Errno::EEXIST, Errno::EEXIST.strerror()));
        }
        if self.vlans.iter().any(|other| other.id == vlan.id) {
            return Err(Refusal::new(Errno::EEXIST, "8021q: VLAN device already exists."));
        }
        let carrier = self.dev.igb.carrier();
        let oif = self.fib.add_link(Link { name: vlan.name, up: false, carrier, mtu: self.dev.mtu });
        // Of its own, so that what else is random does not depend on it.
        let seed = self.dev.hash_key ^ u64::from(oif.0);
        self.vlans.push(VlanDevice::new(oif, vlan.id, seed));
        self.dev.has_vlans = true;
        self.dev.update_plain();
        let (igb, mut ctx) = self.driver();
        igb.vlan_rx_add_vid(&mut ctx, vlan.id);
        Ok(())
    }

    /// `unregister_vlan_dev`: the device goes, with its addresses, routes and neighbours.
    pub(super) fn vlan_del(&mut self, oif: OifId) {
        self.vlan_link(oif, false);
        let Some(at) = self.vlans.iter().position(|vlan| vlan.oif == oif) else { return };
        let id = self.vlans.remove(at).id;
        self.fib.remove_link(oif);
        let (igb, mut ctx) = self.driver();
        igb.vlan_rx_kill_vid(&mut ctx, id);
    }

    /// `ip link set` on a VLAN device: up, down, and the MTU.
    pub(super) fn vlan_set(&mut self, oif: OifId, set: &LinkSet) -> Result<(), Refusal> {
        let only = LinkSet { dev: set.dev, up: set.up, mtu: set.mtu, ..LinkSet::default() };
        if only != *set {
            let message =
                "of a VLAN device up, down and mtu can be set here; the rest is that of the device below";
            return Err(Refusal::new(Errno::EOPNOTSUPP, message));
        }
        if let Some(mtu) = set.mtu {
            // `vlan_dev_change_mtu`: what leaves by it leaves by the device below.
            if mtu > self.dev.mtu || mtu < crate::drivers::igb::MIN_MTU {
                let errno = if mtu > self.dev.mtu { Errno::ERANGE } else { Errno::EINVAL };
                return Err(Refusal::new(errno, errno.strerror()));
            }
            self.fib.set_link_mtu(oif, mtu);
        }
        match set.up {
            Some(true) if !self.dev.up => Err(Refusal::new(Errno::ENETDOWN, Errno::ENETDOWN.strerror())),
            Some(up) => {
                self.vlan_link(oif, up);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// `vlan_dev_open`, `vlan_dev_stop`.
    fn vlan_link(&mut self, oif: OifId, up: bool) {
        let Some(vlan) = self.vlan(oif) else { return };
        if core::mem::replace(&mut vlan.up, up) == up {
            return;
        }
        self.fib.set_link_up(oif, up);
        if !up {
            self.neigh_ifdown(oif);
        }
    }

    /// NETDEV_UP and NETDEV_DOWN: all VLAN devices go up and down with the device below.
    pub(super) fn vlans_follow_link(&mut self, up: bool) {
        for at in 0..self.vlans.len() {
            self.vlan_link(self.vlans[at].oif, up);
        }
    }

    /// NETDEV_CHANGEMTU: none may send what the device below cannot.
    pub(super) fn vlans_follow_mtu(&mut self, mtu: u32) {
        for at in 0..self.vlans.len() {
            let oif = self.vlans[at].oif;
            if self.fib.link(oif).is_some_and(|link| link.mtu > mtu) {
                self.fib.set_link_mtu(oif, mtu);
            }
        }
    }
}
