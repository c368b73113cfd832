//! The two ports of a vfio lab: one taken from the kernel, the other put where the kernel says nothing on it; and both given back.

use super::binding::{Address, Binding, VFIO_PCI};
use super::device::{Device, Interrupts};
use super::of_qemu;
use super::wire::Wire;
use crate::case::model::Trial;
use crate::rig::linux::lab::cable::{self, Place};
use crate::rig::linux::lab::file::{LabFile, Sabotage, pulls_a_fixed_cable};
use crate::rig::linux::lab::link;
use crate::rig::linux::lab::missed::{between, missed};
use crate::rig::linux::lab::ports::{self, Found};
use crate::rig::linux::lab::program::{fails, output};
use crate::rig::linux::lab::recover;
use crate::rig::linux::lab::restore::{self, StateFile};
use crate::rig::linux::namespace::Namespace;
use stack_under_test::drivers::igb::ids;
use stack_under_test::skb::PoolConfig;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a trial needs of the lab, and has for itself meanwhile.
#[derive(Debug)]
pub struct Ends {
    /// The port under test.
    pub device: Device,
    /// Its PCI device id.
    pub id: u16,
    /// The other end of its cable.
    pub wire: Wire,
    /// What the card of the wire port had missed when the trial began.
    missed_before: Option<u64>,
}

/// What trials share.
#[derive(Debug)]
pub struct Shared {
    ends: Mutex<Option<Ends>>,
    /// Where the wire port is, to pull its cable.
    wire_namespace: Namespace,
    wire_name: String,
    /// The port under test.
    pub address: Address,
    /// What is done to each trial once it is up.
    pub sabotage: Option<Sabotage>,
    /// How fast the link must be, in Mbit/s; `None`: any.
    speed: Option<u32>,
}

impl Shared {
    fn ends(&self) -> MutexGuard<'_, Option<Ends>> {
        // What a thread that panicked left is whole: there, or not.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ends, for one trial.
    ///
    /// # Errors
    /// When another has them, or they are gone.
    pub fn take(&self) -> Result<Ends, String> {
        let ends = self.ends().take();
        let mut ends = ends.ok_or("another trial runs on the ports of the lab: one runs at a time there")?;
        ends.missed_before = self.missed();
        Ok(ends)
    }

    fn missed(&self) -> Option<u64> {
        missed(&self.wire_namespace, &self.wire_name)
    }

    /// Frames that did not reach us on their way from the cable, since the trial took the ends.
    pub fn lost(&self, ends: &mut Ends) -> u64 {
        ends.wire.lost() + between(ends.missed_before, self.missed())
    }

    /// The trial is over.
    pub fn give_back(&self, ends: Ends) {
        *self.ends() = Some(ends);
    }

    /// Holds the speed of the link, once there is one, against that of the lab's file.
    ///
    /// # Errors
    /// When it is another.
    pub fn check_speed(&self) -> Result<(), String> {
        let (namespace, name) = (&self.wire_namespace, self.wire_name.as_str());
        let found = || link::speed(link::End { namespace, device: name, name });
        self.speed.map_or(Ok(()), |wanted| link::as_fast_as(Some(wanted), found(), name))
    }

    /// Sets the wire port up or down: the port under test sees the cable pulled.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn set_carrier(&self, up: bool) -> Result<(), String> {
        let (name, state) = (self.wire_name.clone(), if up { "up" } else { "down" });
        let failed = self.wire_namespace.run(move || fails(&["ip", "link", "set", "dev", &name, state]));
        failed.map_err(|e| e.to_string())?.map_or(Ok(()), Err)
    }
}

/// The ports, for a run. They go back when it is dropped.
#[derive(Debug)]
pub struct VfioLab {
    shared: Arc<Shared>,
    /// The interface of the port under test, if it had one.
    port: Option<Found>,
    wire: Found,
    binding: Binding,
    /// Whether the port under test does not see its cable pulled.
    fixed: bool,
    state: StateFile,
    /// A thread where the ports were found.
    home: Namespace,
    home_place: Place,
    notes: Vec<String>,
    is_back: bool,
}

/// Everything that is known before something is touched.
struct Survey {
    binding: Binding,
    group: u32,
    port: Option<Found>,
    wire: Found,
}

impl VfioLab {
    /// Whether the ports could be taken, without touching one; gives the interface of the port under test, if it has one.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn look(file: &LabFile) -> Result<Option<String>, String> {
        let address = which(file)?;
        let found = ports_of(file, &address)?;
        Ok(found.0.map(|port| port.name))
    }

    /// The device under test.
    ///
    /// # Errors
    /// When there is none, or our driver knows no such.
    pub fn which(file: &LabFile) -> Result<Address, String> {
        which(file)
    }

    /// Takes the ports and sets them up.
    ///
    /// # Errors
    /// Why that cannot be; the ports are as they were.
    pub fn open(file: &LabFile) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err(
                "a lab takes a driver from its port, and that takes root: sudo wireproof …".to_owned()
            );
        }
        let home = Namespace::here().map_err(|e| e.to_string())?;
        let asked = file.clone();
        let look = move || (recover(), survey(&asked));
        let (done, found) = home.run(look).map_err(|e| e.to_string())?;
        let mut notes: Vec<_> = done.into_iter().map(|done| done.unwrap_or_else(|why| why)).collect();
        // Where a port is not there, what became of it is a part of the answer.
        let found = found.map_err(|why| notes.drain(..).chain([why]).collect::<Vec<_>>().join("\n"))?;
        let Survey { binding, group, port, wire } = found;
        let wire_namespace = cable::namespace()?;
        let home_place = Place::of(&home)?;
        let known: Vec<_> = port.iter().chain([&wire]).cloned().collect();
        let bound = binding.clone();
        let state = home.run(move || StateFile::write(&known, Some(&bound))).map_err(|e| e.to_string())??;
        let shared = Arc::new(Shared {
            ends: Mutex::default(),
            wire_namespace,
            wire_name: wire.name.clone(),
            address: binding.address.clone(),
            sabotage: file.sabotage,
            speed: file.speed,
        });
        let fixed = file.fixed;
        let mut lab =
            Self { shared, port, wire, binding, fixed, state, home, home_place, notes, is_back: false };
        match lab.set_up(group, file.interrupts) {
            Ok(()) => Ok(lab),
            Err(why) => {
                let left = lab.close();
                Err([vec![why], left].concat().join("\n"))
            }
        }
    }

    fn set_up(&mut self, group: u32, interrupts: Interrupts) -> Result<(), String> {
        let there = Place::of(&self.shared.wire_namespace)?;
        let (name, path) = (self.wire.name.clone(), there.path());
        self.home.run(move || cable::take(&name, &path, &name)).map_err(|e| e.to_string())??;
        let found = self.wire.clone();
        let set_up = move || Ok::<_, String>((cable::set_up_wire(&found)?, Wire::open(&found.name)?));
        let (about, wire) = self.shared.wire_namespace.run(set_up).map_err(|e| e.to_string())??;
        self.notes.extend(about);
        self.binding.take()?;
        let address = &self.binding.address;
        let device = Device::open(address, group, interrupts, PoolConfig::default().bytes())?;
        let (_, id) = device.ids()?;
        device.stop()?;
        if of_qemu::version().is_some() {
            self.notes.push(of_qemu::NOTE.to_owned());
            device.keep_link()?;
        }
        self.shared.give_back(Ends { device, id, wire, missed_before: None });
        Ok(())
    }

    /// What trials work with.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What is different from what one may expect of ports, for people.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Why a trial cannot run here; `None`: it can.
    #[must_use]
    pub fn missing(&self, trial: &Trial) -> Option<String> {
        pulls_a_fixed_cable(self.fixed, trial)
            .or_else(|| of_qemu::version().and_then(|_| of_qemu::missing(trial)))
    }

    /// Puts both ports back; gives what could not be. Once is enough.
    pub fn close(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.is_back, true) {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        // The device is let go first: its driver could not have it.
        if let Some(ends) = self.shared.ends().take() {
            let (spared, stuck) = ends.device.account();
            if !stuck.is_empty() {
                let list: Vec<_> = stuck.iter().take(8).map(ToString::to_string).collect();
                crate::report::output::complain(&format!(
                    "the link was kept for {spared} trials, and not for all: after a reset by writes {}",
                    list.join("; ")
                ));
            }
            wrong.extend(ends.device.stop().err());
        }
        let (wire, path) = (self.wire.clone(), self.home_place.path());
        let send = move || {
            // It may not have been taken yet.
            let exists = output(&["ip", "link", "show", "dev", &wire.name]).is_ok();
            if exists { restore::send_home(&wire, &wire.name, &path) } else { Ok(()) }
        };
        let sent = self.shared.wire_namespace.run(send);
        wrong.extend(sent.map_err(|e| e.to_string()).and_then(|sent| sent).err());
        wrong.extend(self.binding.back().err());
        let (port, wire) = (self.port.clone(), self.wire.clone());
        let right = self.home.run(move || put_right(port.as_ref(), &wire));
        wrong.extend(right.unwrap_or_else(|e| vec![e.to_string()]));
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

impl Drop for VfioLab {
    fn drop(&mut self) {
        for why in self.close() {
            crate::report::output::complain(&why);
        }
    }
}

/// Both interfaces are at home: they become what they were.
fn put_right(port: Option<&Found>, wire: &Found) -> Vec<String> {
    let mut wrong = restore::put_right(wire, &wire.name);
    if let Some(port) = port {
        restore::wait_for(port);
        match restore::whereabouts(port) {
            Ok(Some(now)) => wrong.extend(restore::put_right(port, &now)),
            Ok(None) => wrong.push(format!("port {} has no interface again", port.name)),
            Err(why) => wrong.push(why),
        }
    }
    wrong.extend(port.into_iter().chain([wire]).flat_map(restore::routes));
    wrong
}

/// Looks at both ports in the namespace of the calling thread, and at what VFIO needs.
fn survey(lab: &LabFile) -> Result<Survey, String> {
    let address = which(lab)?;
    let (port, wire) = ports_of(lab, &address)?;
    let group = address.group()?;
    if let Some((other, driver)) = address.companions().first() {
        return Err(format!(
            "{address} shares IOMMU group {group} with {other}, which {driver} drives; VFIO takes only all of a group: unbind it, \
             or put the card into another slot"
        ));
    }
    load()?;
    Ok(Survey { binding: Binding::of(&address)?, group, port, wire })
}

/// The device under test, if our driver can have it. Asked before anything is touched: it could be the controller of a disk.
fn which(lab: &LabFile) -> Result<Address, String> {
    // Of a port that another run has, the kernel shows no interface.
    let by_place = Address::parse(&lab.port).map(|address| address.to_string());
    restore::free(&[by_place.as_deref().unwrap_or(&lab.port), &lab.wire])?;
    let address = match Address::parse(&lab.port) {
        Some(address) if address.is_there() => address,
        Some(address) => return Err(format!("there is no PCI device {address}; `lspci` lists them")),
        None => behind(&lab.port)?,
    };
    if let Some(whole) = address.in_tree(Path::new("/sys")).physical_function() {
        return Err(format!(
            "{address} is a virtual function of {whole}, and the driver is for whole ports: name {whole}"
        ));
    }
    let (vendor, id) = address.ids();
    if vendor != ids::VENDOR || ids::mac_of(id).is_none() {
        return Err(format!(
            "{address} is {vendor:04x}:{id:04x}, and the driver knows no such device; it is igb's, for copper"
        ));
    }
    Ok(address)
}

/// Both ports as they are found: the one under test, if it has an interface, and that at the other end.
fn ports_of(lab: &LabFile, address: &Address) -> Result<(Option<Found>, Found), String> {
    let interface = address.interface();
    if interface.as_deref() == Some(&lab.wire) {
        return Err(format!(
            "{} is the port under test, {address}; name the one at the other end of the cable",
            lab.wire
        ));
    }
    let names: Vec<_> = interface.iter().map(String::as_str).chain([lab.wire.as_str()]).collect();
    restore::free(&names)?;
    let mut found = ports::survey(&names, &lab.allow)?;
    let wire = found.pop().ok_or("there is no wire port")?;
    Ok((found.pop(), wire))
}

/// Loads vfio-pci and its IOMMU driver, where they are not there.
///
/// # Errors
/// When the kernel has none, or it takes root.
pub fn load() -> Result<(), String> {
    if !Path::new("/sys/bus/pci/drivers").join(VFIO_PCI).exists() {
        output(&["modprobe", VFIO_PCI]).map_err(|why| format!("the kernel has no {VFIO_PCI}: {why}"))?;
    }
    // Where it is a module, no device file tells that it is missing.
    drop(output(&["modprobe", "vfio_iommu_type1"]));
    Ok(())
}

/// The PCI device behind an interface.
fn behind(interface: &str) -> Result<Address, String> {
    if !Path::new("/sys/class/net").join(interface).exists() {
        return ports::survey(&[interface], &[]).map(drop).and(Err(format!("there is no port {interface}")));
    }
    let device = ports::device(interface);
    let name = Path::new(&device).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Address::parse(name).ok_or_else(|| format!("port {interface} is no PCI device: VFIO takes only such"))
}
