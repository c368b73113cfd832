//! NAPI and softirqs: `net_rx_action`, `__do_softirq`, and which CPU does it (Linux 6.12).

use super::softirq::Softirq;
use crate::stack::Stack;
use crate::trace::Context;

/// `netdev_budget`: packets that one NET_RX softirq may take.
const NETDEV_BUDGET: u32 = 300;
/// `NAPI_POLL_WEIGHT`: packets that one poll may take.
const NAPI_POLL_WEIGHT: u32 = 64;
/// `MAX_SOFTIRQ_RESTART`: rounds of softirqs before ksoftirqd has to go on.
const MAX_SOFTIRQ_RESTART: u32 = 10;

impl Stack {
    /// `raise_softirq` on the CPU that runs.
    #[inline]
    pub(crate) fn raise_softirq(&mut self, which: Softirq) {
        self.cpus[usize::from(self.cpu)].softirq.raise(which);
        self.softirq_raised = true;
    }

    /// `napi_schedule` on the CPU that runs.
    pub(crate) fn napi_schedule(&mut self, napi: u16) {
        let cpu = &mut self.cpus[usize::from(self.cpu)];
        if cpu.poll_list.is_empty() || !cpu.poll_list.contains(&napi) {
            cpu.poll_list.push(napi);
        }
        self.raise_softirq(Softirq::NetRx);
    }

    /// Runs what is pending on the CPU that runs, at the end of an interrupt or where a system call lets softirqs in
    /// again. What is left after ten rounds is ksoftirqd's: the next deadline is now.
    #[inline(always)]
    pub(crate) fn do_softirq(&mut self) {
        if self.softirq_raised {
            self.do_softirq_now();
        }
    }

    /// [`Self::do_softirq`], whoever raised what is pending.
    #[inline(never)]
    pub(crate) fn do_softirq_now(&mut self) {
        self.irq_exit();
    }

    /// [`Self::do_softirq`] at the end of an interrupt, which nearly always raised something.
    #[inline(always)]
    pub(crate) fn irq_exit(&mut self) {
        let before = self.trace.context;
        for _ in 0..MAX_SOFTIRQ_RESTART {
            let pending = self.cpus[usize::from(self.cpu)].softirq.take_all();
            if pending.is_empty() {
                break;
            }
            if pending.has(Softirq::Timer) {
                self.trace.context = Context::Softirq(Softirq::Timer);
                self.run_timer_softirq();
                self.settle();
            }
            if pending.has(Softirq::NetTx) {
                self.trace.context = Context::Softirq(Softirq::NetTx);
                self.net_tx_action();
                self.settle();
            }
            if pending.has(Softirq::NetRx) {
                self.trace.context = Context::Softirq(Softirq::NetRx);
                self.net_rx_action();
                self.settle();
            }
        }
        self.trace.context = before;
        self.softirq_raised = false;
    }

    /// `net_rx_action`: polls who asked for it, each at most 64 packets, at most 300 in all.
    #[inline(always)]
    fn net_rx_action(&mut self) {
        let cpu = usize::from(self.cpu);
        let mut budget = NETDEV_BUDGET;
        if !self.backlog.is_empty() {
            budget -= self.process_backlog(NAPI_POLL_WEIGHT);
        }
        // Once around: what is put back has its turn when the softirq runs again.
        let mut rounds = self.cpus[cpu].poll_list.len();
        while let Some(napi) = self.cpus[cpu].take_napi() {
            rounds -= 1;
            let work = self.napi_poll(napi);
            if work >= NAPI_POLL_WEIGHT {
                self.cpus[cpu].poll_list.push(napi);
            } else {
                self.dev.igb.napi_complete(&mut *self.bus, napi);
            }
            budget = budget.saturating_sub(work);
            if budget == 0 {
                self.cpus[cpu].time_squeeze += 1;
                break;
            }
            if rounds == 0 {
                break;
            }
        }
        if !self.cpus[cpu].poll_list.is_empty() || !self.backlog.is_empty() {
            self.raise_softirq(Softirq::NetRx);
        }
    }

    /// `__napi_poll`, and what it took in goes up. Gives how many packets that were.
    #[inline(always)]
    fn napi_poll(&mut self, napi: u16) -> u32 {
        let (igb, mut ctx) = self.driver();
        let work = igb.poll(&mut ctx, napi, NAPI_POLL_WEIGHT);
        if !self.dev.rx.is_empty() {
            let mut frames = core::mem::take(&mut self.dev.rx);
            for skb in frames.drain(..) {
                self.napi_gro_receive(skb);
            }
            self.dev.rx = frames;
            self.napi_gro_flush();
        }
        self.serve_wakeups();
        work
    }
}
