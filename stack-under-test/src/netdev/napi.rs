//! NAPI and softirqs: `net_rx_action`, `__do_softirq`, and which CPU does it (Linux 6.12).

use super::softirq::Softirq;
use crate::stack::{Cpu, Stack};
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
    #[inline]
    pub(crate) fn do_softirq_now(&mut self) {
        self.run_softirqs(MAX_SOFTIRQ_RESTART);
    }

    /// Whether nothing is pending on the CPU that runs, and nobody waits to be polled there.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        let idle = |cpu: &Cpu| !cpu.softirq.is_pending() && cpu.poll_list.is_empty();
        self.cpus.get(usize::from(self.cpu)).is_some_and(idle) && self.backlog.is_empty()
    }

    /// The driver's handler of an interrupt, and the softirqs that follow it. On a quiet CPU a NAPI is polled without having been
    /// put on a list for it.
    #[inline(always)]
    pub(crate) fn handle_irq(&mut self, vector: u16) {
        let quiet = self.is_quiet();
        let (igb, mut ctx) = self.driver();
        let napi = igb.interrupt(&mut ctx, vector).napi;
        if let (Some(napi), true) = (napi, quiet) {
            let before = core::mem::replace(&mut ctx.trace.context, Context::Softirq(Softirq::NetRx));
            let work = igb.poll(&mut ctx, napi, NAPI_POLL_WEIGHT);
            return self.irq_exit_polled(napi, work, before);
        }
        self.follow_carrier();
        if let Some(napi) = napi {
            self.napi_schedule(napi);
        }
        self.do_softirq();
    }

    /// The end of an interrupt whose NAPI was polled at once.
    #[inline(always)]
    fn irq_exit_polled(&mut self, napi: u16, work: u32, before: Context) {
        if let Some(cpu) = self.cpus.get_mut(usize::from(self.cpu)) {
            cpu.softirq.ran(Softirq::NetRx);
        }
        self.napi_polled(napi, work);
        if !self.backlog.is_empty() {
            self.raise_softirq(Softirq::NetRx);
        }
        self.settle();
        self.trace.context = before;
        self.follow_carrier();
        if self.softirq_raised {
            self.run_softirqs(MAX_SOFTIRQ_RESTART - 1);
        }
    }

    /// Runs what is pending on the CPU that runs, so many rounds at most.
    #[inline(never)]
    fn run_softirqs(&mut self, rounds: u32) {
        let before = self.trace.context;
        for _ in 0..rounds {
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

    /// `__napi_poll`. Gives how many packets it took in.
    #[inline(always)]
    fn napi_poll(&mut self, napi: u16) -> u32 {
        let (igb, mut ctx) = self.driver();
        let work = igb.poll(&mut ctx, napi, NAPI_POLL_WEIGHT);
        self.napi_polled(napi, work);
        work
    }

    /// What a poll took in goes up. Who was not done by then has its turn when the softirq runs again.
    #[inline(always)]
    fn napi_polled(&mut self, napi: u16, work: u32) {
        if !self.dev.rx.is_empty() {
            if self.dev.rx.len() == 1
                && let Some(skb) = self.dev.rx.pop()
            {
                self.napi_gro_receive(skb);
            } else {
                self.napi_gro_receive_all();
            }
            self.napi_gro_flush();
        }
        self.serve_wakeups();
        if work < NAPI_POLL_WEIGHT {
            self.dev.igb.napi_complete(&mut *self.bus, napi);
        } else {
            self.napi_schedule(napi);
        }
    }

    #[inline(never)]
    fn napi_gro_receive_all(&mut self) {
        let mut frames = core::mem::take(&mut self.dev.rx);
        for skb in frames.drain(..) {
            self.napi_gro_receive(skb);
        }
        self.dev.rx = frames;
    }
}
