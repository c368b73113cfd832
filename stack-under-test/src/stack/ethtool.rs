//! `ethtool`: what it changes in the device, and what it prints (the texts of ethtool 6.1).

use super::Stack;
use crate::control::Refusal;
use crate::control::ethtool::{Coalesce, EthtoolCommand, Indirection, Show};
use crate::drivers::igb::MAX_QUEUE_PAIRS;
use crate::errno::Errno;
use crate::netdev::features::Features;
use alloc::format;
use alloc::string::String;

/// What ethtool prints of an error that the kernel explains.
fn netlink(errno: Errno, explained: &str) -> Refusal {
    Refusal::new(errno, format!("netlink error: {explained}\nnetlink error: {}", errno.strerror()))
}

fn not_yet(what: &str) -> Refusal {
    Refusal::new(Errno::EOPNOTSUPP, format!("{what} is not there yet"))
}

impl Stack {
    pub(super) fn ethtool_command(&mut self, command: &EthtoolCommand) -> Result<(), Refusal> {
        match command {
            EthtoolCommand::Features(features) => {
                let changed = self.dev.features.change(features);
                self.dev.igb.set_rx_csum(self.dev.has(Features::RXCSUM));
                self.dev.update_plain();
                self.tool_output = changed.map_err(|said| Refusal::new(Errno::EINVAL, said))?;
                Ok(())
            }
            EthtoolCommand::Show(show) => {
                self.tool_output = self.ethtool_show(*show)?;
                Ok(())
            }
            EthtoolCommand::Coalesce(coalesce) => self.set_coalesce(coalesce),
            EthtoolCommand::Rings { rx, tx } => {
                let (tx_now, rx_now) = self.dev.igb.ringparam();
                let size =
                    |asked: Option<u32>, now: u16| asked.map_or(now, |n| n.min(u32::from(u16::MAX)) as u16);
                let (tx, rx) = (size(*tx, tx_now), size(*rx, rx_now));
                let (igb, mut ctx) = self.driver();
                igb.set_ringparam(&mut ctx, tx, rx);
                Ok(())
            }
            EthtoolCommand::Channels { combined } => self.set_channels(*combined),
            EthtoolCommand::Rxfh(indirection) => self.set_rxfh(indirection),
            EthtoolCommand::Pause { .. } => Err(not_yet("setting pause frames")),
            EthtoolCommand::Test { .. } => Err(not_yet("the self-test")),
        }
    }

    fn set_coalesce(&mut self, coalesce: &Coalesce) -> Result<(), Refusal> {
        match coalesce.rx_usecs {
            Some(usecs) => self
                .dev
                .igb
                .set_coalesce(usecs)
                .map_err(|errno| Refusal::new(errno, "rx-usecs: 0, 1, 3, or 10 to 10000")),
            None => Err(not_yet("coalescing other than rx-usecs")),
        }
    }

    /// `ethnl_set_channels`, `igb_set_channels`.
    fn set_channels(&mut self, combined: u32) -> Result<(), Refusal> {
        let Some(count) = u16::try_from(combined).ok().filter(|&count| count <= MAX_QUEUE_PAIRS) else {
            return Err(netlink(Errno::EINVAL, "requested channel count exceeds maximum"));
        };
        if count == 0 {
            let explained = "requested channel counts would result in no RX or TX channel being configured";
            return Err(netlink(Errno::EINVAL, explained));
        }
        if count == self.dev.igb.queue_pairs() {
            return Ok(());
        }
        let in_use = self.dev.igb.indirection().iter().max().copied().unwrap_or(0);
        if self.dev.rxfh_configured && u16::from(in_use) >= count {
            let explained = "requested channel counts are too low for existing indirection table settings";
            return Err(netlink(Errno::EINVAL, explained));
        }
        let (igb, mut ctx) = self.driver();
        igb.set_channels(&mut ctx, count).map_err(|errno| Refusal::new(errno, errno.strerror()))?;
        self.follow_carrier();
        self.set_real_num_tx_queues(count);
        Ok(())
    }

    /// `ethtool_set_rxfh`.
    fn set_rxfh(&mut self, indirection: &Indirection) -> Result<(), Refusal> {
        let queues = self.dev.igb.queue_pairs();
        let size = self.dev.igb.indirection().len();
        let queue_of = |entry| u16::try_from(indirection.queue(entry, size, queues)).unwrap_or(u16::MAX);
        let (igb, mut ctx) = self.driver();
        igb.set_indirection(&mut ctx, queue_of).map_err(|errno| {
            Refusal::new(errno, format!("Cannot set RX flow hash configuration: {}", errno.strerror()))
        })?;
        self.dev.rxfh_configured = *indirection != Indirection::Default;
        Ok(())
    }

    fn ethtool_show(&mut self, show: Show) -> Result<String, Refusal> {
        Ok(match show {
            Show::Features => self.dev.features.show("eth0"),
            Show::Channels => {
                let part = |count| format!("RX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t1\nCombined:\t{count}\n");
                let (most, now) = (part(MAX_QUEUE_PAIRS), part(self.dev.igb.queue_pairs()));
                format!(
                    "Channel parameters for eth0:\nPre-set maximums:\n{most}Current hardware settings:\n{now}"
                )
            }
            Show::Rxfh => self.show_rxfh(),
            Show::Coalesce
            | Show::Rings
            | Show::Pause
            | Show::Driver
            | Show::Registers
            | Show::Statistics => {
                return Err(not_yet("showing this"));
            }
        })
    }

    fn show_rxfh(&self) -> String {
        let queues = self.dev.igb.queue_pairs();
        let mut text = format!("RX flow hash indirection table for eth0 with {queues} RX ring(s):\n");
        for (line, entries) in self.dev.igb.indirection().chunks(8).enumerate() {
            text += &format!("{:5}: ", 8 * line);
            for entry in entries {
                text += &format!(" {entry:5}");
            }
            text.push('\n');
        }
        // igb tells no key.
        text + "RSS hash key:\nOperation not supported\nRSS hash function:\n    toeplitz: on\n    xor: off\n    crc32: off\n"
    }
}
