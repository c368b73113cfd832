//! A lab: a port under test, and the port at the other end of its cable, so that the suite judges any NIC driver of Linux.
//!
//! ```text
//! file → ports (may they be taken?) → restore (written down) → cable (taken, set up, proved)
//!          trial → reset → LinuxRig on the port … trial → reset → …
//!                                      → restore (put back)
//! ```
//!
//! Both ports are taken once a run, as a real link takes seconds to come up.

mod ability;
pub(in crate::rig) mod cable;
pub mod file;
mod glance;
mod hardware;
pub mod link;
pub(in crate::rig) mod missed;
pub(in crate::rig) mod ports;
pub(in crate::rig) mod program;
pub(in crate::rig) mod proof;
mod records;
mod reset;
pub(in crate::rig) mod restore;
mod settings;
pub(in crate::rig) mod stamps;
mod statistics;
pub(in crate::rig) mod wire;

pub use cable::settle;
pub use restore::{in_use, left, recover};
pub use statistics::statistics;

use super::Happening;
use super::namespace::Namespace;
use super::qdisc::StandIn;
use super::tap::DEVICE;
use crate::case::model::{Action, CheckItem, Trial, topology};
use crate::rig::vfio::of_qemu;
use ability::Ability;
use cable::Place;
use file::LabFile;
use link::End;
use ports::Found;
use reset::State;
use restore::StateFile;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wire::{Attached, WirePort};

/// The two ports, for a run. They go back when it is dropped.
#[derive(Debug)]
pub struct Lab {
    ports: [Found; 2],
    state: StateFile,
    /// A thread where the ports were found.
    home: Namespace,
    home_place: Place,
    under_test: Mutex<UnderTest>,
    wire_namespace: Arc<Namespace>,
    wire: Option<WirePort>,
    ability: Option<Ability>,
    /// Whether the port under test does not see its cable pulled.
    fixed: bool,
    /// How fast the link of each port is, in Mbit/s.
    speeds: [Option<u32>; 2],
    notes: Vec<String>,
    is_back: bool,
}

/// The namespace of the port under test, and what it is like before a trial.
#[derive(Debug)]
struct UnderTest {
    namespace: Arc<Namespace>,
    base: Option<State>,
    default_qdisc: StandIn,
}

/// What a trial begins with.
#[derive(Debug)]
pub(super) struct Ready {
    /// The namespace of the port under test.
    pub namespace: Arc<Namespace>,
    /// The other end of its cable.
    pub wire: Attached,
    /// Whether its default qdisc is one that stands in.
    pub default_qdisc: StandIn,
}

/// Both ends while they are taken.
fn ends<'a>(port: &'a Namespace, wire: &'a Namespace, names: [&'a str; 2]) -> [End<'a>; 2] {
    [
        End { namespace: port, device: DEVICE, name: names[0] },
        End { namespace: wire, device: names[1], name: names[1] },
    ]
}

/// How many queue pairs a trial gives the port at most, where it has them made anew.
fn makes_queues(trial: &Trial) -> Option<u16> {
    let commands = trial.steps.iter().filter_map(|step| match &step.action {
        Action::Run(commands) => Some(commands.iter().filter(|command| command.error.is_none())),
        _ => None,
    });
    let counts = commands.flatten().filter_map(|command| match command.words.as_slice() {
        [ethtool, option, _, rest @ ..] if ethtool == "ethtool" && option == "-L" => {
            let at = rest.iter().position(|word| word == "combined")?;
            rest.get(at + 1)?.parse().ok()
        }
        _ => None,
    });
    counts.max()
}

impl Lab {
    /// Takes the ports, sets them up, and proves the cable. It may take seconds, as links do.
    ///
    /// # Errors
    /// Why that cannot be; the ports are as they were.
    pub fn open(file: &LabFile) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err(
                "a lab moves ports between network namespaces, and that takes root: sudo wireproof …"
                    .to_owned(),
            );
        }
        let home = Namespace::here().map_err(|e| e.to_string())?;
        let asked = file.clone();
        let look = move || {
            let done = recover();
            (
                done,
                restore::free(&[&asked.port, &asked.wire])
                    .and_then(|()| ports::survey(&[&asked.port, &asked.wire], &asked.allow)),
            )
        };
        let (done, found) = home.run(look).map_err(|e| e.to_string())?;
        let mut notes: Vec<_> = done.into_iter().map(|done| done.unwrap_or_else(|why| why)).collect();
        // Where a port is not there, what became of it is a part of the answer.
        let found = found.map_err(|why| notes.drain(..).chain([why]).collect::<Vec<_>>().join("\n"))?;
        let ports: [Found; 2] = found.try_into().map_err(|_| "there are not two ports".to_owned())?;
        let known = ports.clone();
        let (under_test, wire_namespace) = (cable::namespace()?, cable::namespace()?);
        let home_place = Place::of(&home)?;
        let state = home.run(move || StateFile::write(&known, None)).map_err(|e| e.to_string())??;
        let mut lab = Self {
            ports,
            state,
            home,
            home_place,
            under_test: Mutex::new(UnderTest {
                namespace: Arc::new(under_test),
                base: None,
                default_qdisc: StandIn::NotNeeded,
            }),
            wire_namespace: Arc::new(wire_namespace),
            wire: None,
            ability: None,
            fixed: file.fixed,
            speeds: [None; 2],
            notes,
            is_back: false,
        };
        match lab.set_up(file.speed) {
            Ok(()) => Ok(lab),
            Err(why) => {
                let left = lab.close();
                Err([vec![why], left].concat().join("\n"))
            }
        }
    }

    /// Takes both ports and looks at what they are then.
    fn set_up(&mut self, speed: Option<u32>) -> Result<(), String> {
        let [port, wire] = self.ports.clone();
        let wire_namespace = Arc::clone(&self.wire_namespace);
        let there = Place::of(&wire_namespace)?;
        let (name, path) = (wire.name.clone(), there.path());
        self.home.run(move || cable::take(&name, &path, &name)).map_err(|e| e.to_string())??;
        let name = wire.name.clone();
        let about = wire_namespace.run(move || cable::set_up_wire(&wire)).map_err(|e| e.to_string())??;
        self.notes.extend(about);
        let namespace = Arc::clone(&self.under_test().namespace);
        let about = self.move_port(&port.name, &self.home, &namespace)?;
        self.notes.extend(about);
        let names = [port.name.as_str(), name.as_str()];
        cable::wait_for_carrier(&namespace, &wire_namespace, names)?;
        let reader = WirePort::new(&wire_namespace, &name)?;
        self.prove(&namespace, &reader, names)?;
        let ends = ends(&namespace, &wire_namespace, names);
        self.speeds = ends.map(link::speed);
        for (end, found) in ends.iter().zip(self.speeds) {
            link::as_fast_as(speed, found, end.name)?;
        }
        self.wire = Some(reader);
        let look = || Ok::<_, String>((cable::default_qdisc()?, reset::look()?));
        let (default_qdisc, base) = namespace.run(look).map_err(|e| e.to_string())??;
        let has_statistics = namespace
            .run(|| statistics().is_ok_and(|counters| !counters.is_empty()))
            .map_err(|e| e.to_string())?;
        self.ability = Some(Ability {
            kind: port.kind,
            driver: port.driver,
            hardware: namespace.run(|| hardware::Hardware::read(DEVICE)).map_err(|e| e.to_string())?,
            has_statistics,
        });
        let mut under_test = self.under_test();
        (under_test.base, under_test.default_qdisc) = (Some(base), default_qdisc);
        drop(under_test);
        Ok(())
    }

    /// Proves the cable with a frame each way; or tells where the ports lead.
    fn prove(&self, port: &Namespace, wire: &WirePort, names: [&str; 2]) -> Result<(), String> {
        cable::prove(port, wire, names).map_err(|why| {
            let frame = cable::frame([0xff; 6], topology::SUT_MAC);
            link::elsewhere(&self.home, ends(port, &self.wire_namespace, names), &frame).unwrap_or(why)
        })
    }

    /// How fast the link is at the port under test, and at the wire port, in Mbit/s; `None`: the driver does not say.
    #[must_use]
    pub fn speeds(&self) -> [Option<u32>; 2] {
        self.speeds
    }

    /// Moves the port under test from one namespace to another, and sets it up there. Gives notes.
    fn move_port(&self, name: &str, from: &Namespace, to: &Arc<Namespace>) -> Result<Vec<String>, String> {
        let place = Place::of(to)?;
        let (name, path) = (name.to_owned(), place.path());
        from.run(move || cable::take(&name, &path, DEVICE)).map_err(|e| e.to_string())??;
        let port = self.ports[0].clone();
        to.run(move || cable::set_up_port(&port)).map_err(|e| e.to_string())?
    }

    fn under_test(&self) -> MutexGuard<'_, UnderTest> {
        // A thread that panicked in between leaves a state that the next reset looks at.
        self.under_test.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is different from what one may expect of ports, for people.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the kernel's igb drives the port.
    #[must_use]
    pub fn is_igb(&self) -> bool {
        self.ports[0].driver == "igb"
    }

    /// Why the port cannot run a trial; `None`: it can.
    #[must_use]
    pub fn missing(&self, trial: &Trial) -> Option<String> {
        let of_qemu = || self.ports[0].is_of_qemu().then(|| of_qemu::missing(trial)).flatten();
        file::pulls_a_fixed_cable(self.fixed, trial)
            .or_else(of_qemu)
            .or_else(|| self.ability.as_ref()?.missing(trial))
    }

    /// Why an item of a check cannot be read of this port; `None`: it can.
    #[must_use]
    pub fn unreadable(&self, item: &CheckItem) -> Option<String> {
        self.ability.as_ref()?.unreadable(item)
    }

    /// The namespace of the port as every trial finds it, and the wire; frames go to `to`. Trials run one at a time.
    ///
    /// # Errors
    /// What the trial before has left and could not be removed; that there is no carrier; that another trial runs.
    pub(super) fn ready(&self, to: Sender<Happening>, trial: &Trial) -> Result<Ready, String> {
        let wire =
            self.wire.as_ref().filter(|wire| wire.is_read()).ok_or("the wire port is read no longer")?;
        // It holds the turn.
        let (waiting, _) = std::sync::mpsc::channel();
        let turn = wire.attach(waiting)?;
        let mut under_test = self.under_test();
        let base = under_test.base.clone().ok_or("the lab is not set up")?;
        let namespace = Arc::clone(&under_test.namespace);
        let clean = namespace
            .run(move || match (reset::reset(&base), reset::lingers()) {
                // What lingers asks for its neighbour again; a new namespace has neither.
                (_, true) => Ok(None),
                (reset, false) => reset.map(Some),
            })
            .map_err(|e| e.to_string())?;
        match (&clean, &mut under_test.base) {
            (Ok(Some(glance)), Some(base)) => base.is_now(glance.clone()),
            _ => self.renew(&mut under_test)?,
        }
        // It fails the trial that found it; those that follow have a new namespace.
        clean?;
        let namespace = Arc::clone(&under_test.namespace);
        let count = makes_queues(trial).filter(|_| self.is_igb());
        if count.is_some() {
            self.count_anew(&namespace)?;
        }
        let default = under_test.default_qdisc;
        let keeps_mq = count.is_some_and(|count| count > 1);
        let renew = move || if keeps_mq { default.leave_out() } else { default.renew() };
        let default_qdisc = namespace.run(renew).and_then(|renewed| renewed).map_err(|e| e.to_string())?;
        let names = self.ports.each_ref().map(|port| port.name.as_str());
        cable::wait_for_carrier(&namespace, &self.wire_namespace, names)?;
        drop(turn);
        Ok(Ready { namespace, wire: wire.attach(to)?, default_qdisc })
    }

    /// New queues of an igb count from nothing. For a trial that makes some the first do so too: of a counter that is not
    /// smaller than it was, nobody could tell that it began anew.
    fn count_anew(&self, namespace: &Namespace) -> Result<(), String> {
        let Some(ability) = &self.ability else { return Ok(()) };
        let hardware = ability.hardware.clone();
        let done = namespace.run(move || {
            hardware.make_queues_anew(DEVICE);
            settle();
        });
        done.map_err(|e| e.to_string())
    }

    /// A new namespace for the port: what the kernel does not forget otherwise goes with the old one.
    fn renew(&self, under_test: &mut UnderTest) -> Result<(), String> {
        let old = Arc::clone(&under_test.namespace);
        let new = Arc::new(cable::namespace()?);
        // From here on it is there, wherever it comes to.
        let moved = self.move_port(DEVICE, &old, &new);
        let there = new.run(|| std::path::Path::new("/sys/class/net").join(DEVICE).exists());
        if there.unwrap_or(false) {
            under_test.namespace = Arc::clone(&new);
        }
        moved?;
        // What it is like is looked at with its cable in, as at the beginning: a card takes seconds.
        let names = self.ports.each_ref().map(|port| port.name.as_str());
        cable::wait_for_carrier(&new, &self.wire_namespace, names)?;
        let look = || Ok::<_, String>((cable::default_qdisc()?, reset::look()?));
        let (default_qdisc, base) = new.run(look).map_err(|e| e.to_string())??;
        (under_test.base, under_test.default_qdisc) = (Some(base), default_qdisc);
        Ok(())
    }

    /// Puts both ports back; gives what could not be. Once is enough.
    pub fn close(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.is_back, true) {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        if let Some(mut wire) = self.wire.take()
            && !wire.stop()
        {
            wrong.push("the reader of the wire port did not end".to_owned());
        }
        let path = self.home_place.path();
        let away = [Arc::clone(&self.under_test().namespace), Arc::clone(&self.wire_namespace)];
        for (port, (namespace, is_wire)) in
            self.ports.clone().into_iter().zip(away.into_iter().zip([false, true]))
        {
            let (one, home) = (port.clone(), path.clone());
            let sent = namespace.run(move || {
                let now = restore::away(&one, is_wire);
                let exists = program::output(&["ip", "link", "show", "dev", now]).is_ok();
                // It may not have been taken yet.
                exists.then(|| restore::send_home(&one, now, &home))
            });
            match sent {
                Ok(Some(Err(why))) => wrong.push(why),
                Err(e) => wrong.push(e.to_string()),
                Ok(_) => {}
            }
            let right = self.home.run(move || restore::put_right(&port, &port.name));
            wrong.extend(right.unwrap_or_else(|e| vec![e.to_string()]));
        }
        for port in self.ports.clone() {
            let right = self.home.run(move || restore::routes(&port));
            wrong.extend(right.unwrap_or_else(|e| vec![e.to_string()]));
        }
        if wrong.is_empty() {
            self.state.remove();
        } else {
            let path = self.state.path().display().to_string();
            wrong.push(format!(
                "what the ports were is in {path}; the next run, or `wireproof doctor --repair`, tries again"
            ));
        }
        wrong
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for why in self.close() {
            crate::report::output::complain(&why);
        }
    }
}
