//! Driving the stack: time, interrupts, timers, and what is done before it returns.

use super::{Stack, TICK_NS};
use crate::netdev::softirq::Softirq;
use crate::time::{Instant, earliest};
use crate::trace::Context;

/// Work that the stack does as one CPU, at a time.
pub type Work = fn(&mut Stack, Instant);

/// The longest that softirqs may keep a CPU in one call, in rounds of timers; more is left for the next call.
const TIMER_ROUNDS_MAX: u32 = 64;

impl Stack {
    /// Looks for the device and starts to reset it. [`Stack::is_started`] says when it is ready to be brought up.
    pub fn start(&mut self, now: Instant) {
        self.enter(now, 0, Context::Process);
        let (igb, mut ctx) = self.driver();
        igb.probe(&mut ctx);
        self.leave_process();
    }

    /// Whether the device was found and reset.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.dev.igb.is_probed()
    }

    /// Whether no reset, bring-up or shut-down of the device is under way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.dev.igb.is_settled()
    }

    /// Whether the driver has given the device up: it is gone, or its last reset did not end.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.dev.igb.is_given_up()
    }

    /// Whether the device is up and has carrier, so that packets leave.
    #[must_use]
    pub fn carrier(&self) -> bool {
        self.dev.active
    }

    /// Whether an administrator switched the device on.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.dev.up
    }

    /// The CPU that the interrupt of this vector goes to, its affinity: they are spread over all CPUs, from that of the first queue
    /// pair on.
    #[must_use]
    pub fn cpu_of_vector(&self, vector: u16) -> u8 {
        (usize::from(vector.saturating_sub(1)) % self.cpus.len()) as u8
    }

    /// The CPU as which the stack did its last work.
    #[must_use]
    pub fn cpu(&self) -> u8 {
        self.cpu
    }

    /// The calls that follow are made on this CPU, where they do not name one themselves; on CPU 0 if there is no such CPU.
    pub fn run_on(&mut self, cpu: u8) {
        let cpu = if usize::from(cpu) < self.cpus.len() { cpu } else { 0 };
        self.process_cpu = cpu;
        self.cpu = cpu;
        self.trace.cpu = cpu;
    }

    /// The device sent the message of this vector.
    pub fn interrupt(&mut self, now: Instant, vector: u16) {
        if let Some(taken) = self.dev.interrupts.get_mut(usize::from(vector)) {
            *taken += 1;
        }
        self.enter(now, self.cpu_of_vector(vector), Context::HardIrq);
        self.handle_irq(vector);
        self.settle();
    }

    /// Does what is due at `now`.
    pub fn run_timers(&mut self, now: Instant) {
        self.run_timers_on(now, &mut |stack, _, work| work(stack, now));
    }

    /// [`Self::run_timers`] with somebody who has each piece of work done on its CPU: `on` is given the CPU and the work.
    pub fn run_timers_on(&mut self, now: Instant, on: &mut dyn FnMut(&mut Self, u8, Work)) {
        self.enter(now, 0, Context::Process);
        for _ in 0..TIMER_ROUNDS_MAX {
            if self.next_deadline().is_none_or(|deadline| deadline > now) {
                break;
            }
            for cpu in 0..self.cpus.len() {
                if self.cpus[cpu].softirq.is_pending() {
                    self.cpu = cpu as u8;
                    self.trace.cpu = cpu as u8;
                    on(self, cpu as u8, Self::ksoftirqd);
                }
            }
            on(self, 0, Self::timer_interrupt);
        }
    }

    /// What softirqs have left to do, on the CPU that runs (`run_ksoftirqd`).
    fn ksoftirqd(&mut self, _: Instant) {
        self.do_softirq_now();
    }

    /// What timers have to do, on the CPU that has them all.
    fn timer_interrupt(&mut self, now: Instant) {
        self.enter(now, 0, Context::Process);
        if self.timer_deadline().is_some_and(|deadline| deadline <= now) {
            self.raise_softirq(Softirq::Timer);
            self.do_softirq();
        }
        if self.dev.qdisc.next_deadline().is_some_and(|deadline| deadline <= now) {
            // The watchdog of a shaper is a high-resolution timer; what it does is to reschedule the qdisc.
            for queue in 0..self.dev.real_num_tx_queues {
                if self.dev.qdisc.expired(now, queue) {
                    self.netif_schedule(queue);
                }
            }
            self.do_softirq();
        }
        self.settle();
    }

    /// The TIMER softirq: neighbours, reassembly, TCP, path MTUs, and the driver's watchdog.
    #[inline(never)]
    pub(crate) fn run_timer_softirq(&mut self) {
        let now = self.now;
        if self.neigh_deadline().is_some_and(|deadline| deadline <= now) {
            self.neigh_timer();
        }
        self.ip_expire();
        if self.tcp.timers.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.tcp_run_timers();
        }
        self.path_mtus.expire(now);
        if self.dev.igb.next_deadline().is_some_and(|deadline| deadline <= now) {
            let (igb, mut ctx) = self.driver();
            igb.timer(&mut ctx);
            self.follow_carrier();
        }
        self.serve_wakeups();
    }

    fn timer_deadline(&mut self) -> Option<Instant> {
        let stack = earliest(self.neigh_deadline(), self.reassembly.next_deadline());
        let paths = earliest(self.path_mtus.next_deadline(), self.dev.igb.next_deadline());
        earliest(earliest(stack, paths), self.tcp.timers.next_deadline())
    }

    /// When [`Stack::run_timers`] is to be called next, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let pending = self.cpus.iter().any(|cpu| cpu.softirq.is_pending()).then_some(self.now);
        earliest(pending, earliest(self.timer_deadline(), self.dev.qdisc.next_deadline()))
    }

    /// Time goes on to `now`; it never goes back.
    #[inline(always)]
    pub(crate) fn advance_clock(&mut self, now: Instant) {
        if now > self.now {
            self.now = now;
            self.jiffies = now.0 / TICK_NS;
        }
        if self.trace.is_on() {
            self.trace.now = self.now;
        }
    }

    #[inline(always)]
    pub(crate) fn enter(&mut self, now: Instant, cpu: u8, context: Context) {
        self.advance_clock(now);
        self.cpu = if usize::from(cpu) < self.cpus.len() { cpu } else { 0 };
        if self.trace.is_on() {
            self.trace.cpu = self.cpu;
            self.trace.context = context;
        }
    }

    /// A system call begins on a CPU.
    #[inline(always)]
    pub(crate) fn enter_process(&mut self, now: Instant, cpu: u8) {
        self.enter(now, cpu, Context::Process);
    }

    /// A system call ends: softirqs that it raised run (`local_bh_enable`).
    #[inline(always)]
    pub(crate) fn leave_process(&mut self) {
        self.do_softirq();
        self.settle();
    }

    /// What is left to do before others run: wake those who wait for room.
    #[inline(always)]
    pub(crate) fn settle(&mut self) {
        if !self.skbs.woken.is_empty() {
            self.wake_writers();
        }
    }

    /// `linkwatch`: the device takes packets while it is up with carrier. Without, what its qdisc holds is dropped.
    #[inline(always)]
    pub(crate) fn follow_carrier(&mut self) {
        if self.dev.igb.take_carrier_change().is_some() {
            self.linkwatch_event();
        }
    }

    #[inline(never)]
    fn linkwatch_event(&mut self) {
        let carrier = self.dev.igb.carrier();
        for oif in self.interfaces() {
            self.fib.set_carrier(oif, carrier);
        }
        self.set_active(self.dev.up && carrier);
    }

    /// `dev_activate`, `dev_deactivate`.
    pub(crate) fn set_active(&mut self, active: bool) {
        if self.dev.active == active {
            return;
        }
        self.dev.active = active;
        self.dev.update_plain();
        if active {
            self.trace.function(0, "netif_carrier_on");
            (0..self.dev.real_num_tx_queues).for_each(|queue| self.netif_schedule(queue));
        } else {
            self.trace.function(0, "netif_carrier_off");
            let (qdisc, mut cx) = self.qdisc();
            qdisc.reset(&mut cx);
            for oif in self.interfaces() {
                let (neigh, mut cx) = self.neigh_of(oif);
                neigh.carrier_down(&mut cx);
                self.do_neigh_actions(oif);
            }
        }
    }
}
