//! `ethtool`: what it changes in the device, and what it prints (the texts of ethtool 6.1).

use super::Stack;
use crate::control::Refusal;
use crate::control::ethtool::{Coalesce, EthtoolCommand, Indirection, Show};
use crate::drivers::igb::{MAX_RING, Pause, TESTS};
use crate::errno::Errno;
use crate::netdev::features::Features;
use alloc::format;
use alloc::string::String;

/// What ethtool prints of an error that the kernel explains.
fn netlink(errno: Errno, explained: &str) -> Refusal {
    Refusal::new(errno, format!("netlink error: {explained}\nnetlink error: {}", errno.strerror()))
}

/// `NON_Q_VECTORS`: the vector of link changes and the like.
const OTHER_VECTORS: u32 = 1;

impl Stack {
    pub(super) fn ethtool_command(&mut self, command: &EthtoolCommand) -> Result<(), Refusal> {
        match command {
            EthtoolCommand::Features(features) => {
                let changed = self.dev.features.change(features);
                self.dev.igb.set_rx_csum(self.dev.has(Features::RXCSUM));
                let strip = self.dev.has(Features::VLAN_CTAG_RX);
                let (igb, mut ctx) = self.driver();
                igb.set_vlan_strip(&mut ctx, strip);
                self.dev.update_plain();
                self.tool_output = changed.map_err(|said| Refusal::new(Errno::EINVAL, said))?;
                Ok(())
            }
            EthtoolCommand::Show(show) => {
                self.tool_output = self.ethtool_show(*show);
                Ok(())
            }
            EthtoolCommand::Coalesce(coalesce) => self.set_coalesce(coalesce),
            EthtoolCommand::Rings { rx, tx } => self.set_rings(*rx, *tx),
            EthtoolCommand::Channels { rx, tx, other, combined } => {
                self.set_channels([*rx, *tx, *other, *combined])
            }
            EthtoolCommand::Rxfh(indirection) => self.set_rxfh(indirection),
            EthtoolCommand::Pause { autoneg, rx, tx } => {
                self.set_pause(*autoneg, *rx, *tx);
                Ok(())
            }
            EthtoolCommand::Negotiate => {
                let (igb, mut ctx) = self.driver();
                igb.nway_reset(&mut ctx);
                Ok(())
            }
            EthtoolCommand::Test { offline } => {
                let (igb, mut ctx) = self.driver();
                igb.diag_test(&mut ctx, *offline);
                self.follow_carrier();
                Ok(())
            }
        }
    }

    /// `igb_set_coalesce`: receive and transmit of a queue pair share a vector, and so one setting.
    fn set_coalesce(&mut self, coalesce: &Coalesce) -> Result<(), Refusal> {
        if coalesce.adaptive_rx.is_some() || coalesce.adaptive_tx.is_some() {
            return Err(netlink(Errno::EINVAL, "cannot modify an unsupported parameter"));
        }
        if coalesce.tx_usecs.is_some_and(|usecs| usecs != 0) {
            return Err(Refusal::new(Errno::EINVAL, "netlink error: Invalid argument"));
        }
        let Some(usecs) = coalesce.rx_usecs else { return Ok(()) };
        self.trace.function(0, "igb_set_coalesce");
        self.dev
            .igb
            .set_coalesce(usecs)
            .map_err(|errno| Refusal::new(errno, format!("netlink error: {}", errno.strerror())))
    }

    /// `ethnl_set_rings`, `igb_set_ringparam`.
    fn set_rings(&mut self, rx: Option<u32>, tx: Option<u32>) -> Result<(), Refusal> {
        let (tx_now, rx_now) = self.dev.igb.ringparam();
        let size = |asked: Option<u32>, now: u16| match asked {
            None => Ok(now),
            Some(count) => u16::try_from(count)
                .ok()
                .filter(|&count| count <= MAX_RING)
                .ok_or_else(|| netlink(Errno::EINVAL, "requested ring size exceeds maximum")),
        };
        let (rx, tx) = (size(rx, rx_now)?, size(tx, tx_now)?);
        self.buffers_for(rx, self.dev.igb.queue_pairs())?;
        let (igb, mut ctx) = self.driver();
        igb.set_ringparam(&mut ctx, tx, rx);
        Ok(())
    }

    /// Whether there are as many buffers as receive rings of this size would take: all were taken at the start.
    fn buffers_for(&self, ring: u16, queues: u16) -> Result<(), Refusal> {
        if u32::from(ring) * u32::from(queues) <= self.skbs.all_heads() {
            return Ok(());
        }
        Err(Refusal::new(Errno::ENOMEM, format!("netlink error: {}", Errno::ENOMEM.strerror())))
    }

    /// `ethnl_set_pause`: what stays as it is does not reach the driver.
    fn set_pause(&mut self, autoneg: Option<bool>, rx: Option<bool>, tx: Option<bool>) {
        let before = self.dev.igb.pauseparam();
        let pause = Pause { rx: rx.unwrap_or(before.1.rx), tx: tx.unwrap_or(before.1.tx) };
        let asked = (autoneg.unwrap_or(before.0), pause);
        if asked != before {
            let (igb, mut ctx) = self.driver();
            igb.set_pauseparam(&mut ctx, asked.0, pause);
            self.follow_carrier();
        }
    }

    /// `ethnl_set_channels`, `igb_set_channels`: receive, transmit, other and combined; what is not asked for stays as it is. igb
    /// has combined ones alone, and one vector for anything else.
    fn set_channels(&mut self, asked: [Option<u32>; 4]) -> Result<(), Refusal> {
        let now = [0, 0, OTHER_VECTORS, u32::from(self.dev.igb.queue_pairs())];
        let most = [0, 0, OTHER_VECTORS, u32::from(self.dev.igb.max_queue_pairs())];
        let wanted = [0, 1, 2, 3].map(|kind| asked[kind].unwrap_or(now[kind]));
        if wanted == now {
            return Ok(());
        }
        if wanted.iter().zip(most).any(|(&wanted, most)| wanted > most) {
            return Err(netlink(Errno::EINVAL, "requested channel count exceeds maximum"));
        }
        let [.., other, combined] = wanted;
        if combined == 0 {
            let explained = "requested channel counts would result in no RX or TX channel being configured";
            return Err(netlink(Errno::EINVAL, explained));
        }
        if other != OTHER_VECTORS {
            return Err(Refusal::new(Errno::EINVAL, "netlink error: Invalid argument"));
        }
        let count = combined as u16;
        let in_use = self.dev.igb.indirection().iter().max().copied().unwrap_or(0);
        if self.dev.rxfh_configured && u16::from(in_use) >= count {
            let explained =
                format!("requested channel counts are too low for existing indirection table ({in_use})");
            return Err(netlink(Errno::EINVAL, &explained));
        }
        self.buffers_for(self.dev.igb.ringparam().1, count)?;
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

    fn ethtool_show(&mut self, show: Show) -> String {
        match show {
            Show::Features => self.dev.features.show("eth0"),
            Show::Channels => {
                let part = |count| format!("RX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t1\nCombined:\t{count}\n");
                let (most, now) = (part(self.dev.igb.max_queue_pairs()), part(self.dev.igb.queue_pairs()));
                format!(
                    "Channel parameters for eth0:\nPre-set maximums:\n{most}Current hardware settings:\n{now}"
                )
            }
            Show::Rxfh => self.show_rxfh(),
            Show::Coalesce => self.show_coalesce(),
            Show::Rings => self.show_rings(),
            Show::Driver => show_driver(),
            Show::Registers => self.show_registers(),
            Show::Statistics => {
                let counters = self.ethtool_stats(self.now);
                let lines = counters.iter().map(|(name, value)| format!("     {name}: {value}\n"));
                String::from("NIC statistics:\n") + &lines.collect::<String>()
            }
            Show::Pause => self.show_pause(),
        }
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
    /// What `ethtool -t` prints once the test is over, and whether all passed. Nothing when none was made.
    #[must_use]
    pub fn self_test(&self) -> (String, bool) {
        let Some(results) = self.dev.igb.self_test() else { return (String::new(), true) };
        let passed = results.iter().all(|&result| result == 0);
        let lines = TESTS.iter().zip(results).map(|(name, result)| format!("{name}\t {result}\n"));
        let verdict = if passed { "PASS" } else { "FAIL" };
        let text =
            format!("The test result is {verdict}\nThe test extra info:\n{}\n", lines.collect::<String>());
        (text, passed)
    }

    fn show_coalesce(&self) -> String {
        let usecs = self.dev.igb.coalesce();
        let none = |names: &[&str]| names.iter().map(|name| format!("{name}: n/a\n")).collect::<String>();
        let head = none(&["stats-block-usecs", "sample-interval", "pkt-rate-low", "pkt-rate-high"]);
        // With receive and transmit on one vector, igb tells nothing of transmit.
        let part = |way: &str, usecs: u32| {
            let rest = [format!("{way}-frames"), format!("{way}-usecs-irq"), format!("{way}-frames-irq")];
            format!("{way}-usecs: {usecs}\n{}\n", none(&rest.each_ref().map(String::as_str)))
        };
        let by_rate = ["low", "high"].map(|rate| {
            let names = ["rx-usecs", "rx-frame", "tx-usecs", "tx-frame"].map(|name| format!("{name}-{rate}"));
            none(&names.each_ref().map(String::as_str)) + "\n"
        });
        format!(
            "Coalesce parameters for eth0:\nAdaptive RX: n/a  TX: n/a\n{head}\n{}{}{}CQE mode RX: n/a  TX: n/a\n\n",
            part("rx", usecs),
            part("tx", 0),
            by_rate.concat()
        )
    }

    fn show_pause(&self) -> String {
        let (autoneg, Pause { rx, tx }) = self.dev.igb.pauseparam();
        let word = |on| if on { "on" } else { "off" };
        let (autoneg, rx, tx) = (word(autoneg), word(rx), word(tx));
        format!("Pause parameters for eth0:\nAutonegotiate:\t{autoneg}\nRX:\t\t{rx}\nTX:\t\t{tx}\n\n")
    }

    fn show_rings(&self) -> String {
        let (tx, rx) = self.dev.igb.ringparam();
        let part = |rx: u16, tx: u16| format!("RX:\t\t{rx}\nRX Mini:\tn/a\nRX Jumbo:\tn/a\nTX:\t\t{tx}\n");
        format!(
            "Ring parameters for eth0:\nPre-set maximums:\n{}Current hardware settings:\n{}\
             RX Buf Len:\t\tn/a\nCQE Size:\t\tn/a\nTX Push:\toff\nTCP data split:\tn/a\n",
            part(MAX_RING, MAX_RING),
            part(rx, tx)
        )
    }
}

/// `ethtool -i`.
fn show_driver() -> String {
    let names = ["statistics", "test", "eeprom-access", "register-dump", "priv-flags"];
    let has = |name: &str| if matches!(name, "statistics" | "test" | "register-dump") { "yes" } else { "no" };
    let supports = names.map(|name| format!("supports-{name}: {}\n", has(name))).concat();
    format!(
        "driver: igb\nversion: {}\nfirmware-version: \nexpansion-rom-version: \nbus-info: \n{supports}",
        env!("CARGO_PKG_VERSION")
    )
}
