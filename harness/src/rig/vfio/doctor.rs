//! What the vfio rig needs of a machine, what of it is here, and how to get the rest.

use super::binding::{Address, VFIO_PCI};
use super::lab::VfioLab;
use crate::rig::linux::doctor::{Finding, left_by_runs};
use crate::rig::linux::lab::file::LabFile;
use crate::rig::linux::lab::proof;
use nix::sys::resource::{Resource, getrlimit};
use stack_under_test::drivers::igb::ids;
use stack_under_test::skb::PoolConfig;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Looks for everything, and tries the cable where a lab is given; else changes nothing.
#[must_use]
pub fn doctor(lab: Option<&LabFile>) -> Vec<Finding> {
    // Where a lab is given, other ports are none of its business.
    let only = lab.and_then(|file| VfioLab::which(file).ok());
    let mut findings = Machine::this().findings(only.as_ref());
    findings.extend(left_by_runs());
    if let Some(file) = lab {
        findings.extend(of_a_lab(file));
    }
    findings
}

/// The two ports that a file names.
fn of_a_lab(file: &LabFile) -> Vec<Finding> {
    let port = match VfioLab::look(file) {
        Ok(interface) => interface,
        Err(why) => {
            let remedy = "what the line above says; `ip link` and `lspci` list what there is";
            return vec![finding(proof::PORTS, false, why, remedy)];
        }
    };
    let mut findings = vec![finding(proof::PORTS, true, "may be taken", "")];
    findings.extend(match port {
        Some(port) => proof::findings(&LabFile { port, ..file.clone() }, "vfio"),
        None => vec![finding(
            proof::CABLE,
            true,
            "not tried: the port under test has no interface to send from; a trial tells",
            "",
        )],
    });
    findings
}

/// What is looked at: this machine, or in tests a tree of files.
struct Machine {
    /// Above `sys`, `proc`, `lib`.
    root: PathBuf,
    is_root: bool,
    /// How much memory may be locked, in bytes; `None`: nobody knows.
    lockable: Option<u64>,
}

impl Machine {
    fn this() -> Self {
        let lockable = getrlimit(Resource::RLIMIT_MEMLOCK).ok().map(|(soft, _)| soft);
        Self { root: PathBuf::from("/"), is_root: nix::unistd::geteuid().is_root(), lockable }
    }

    fn findings(&self, only: Option<&Address>) -> Vec<Finding> {
        let mut findings = vec![
            self.iommu(),
            self.remapping(),
            self.module(VFIO_PCI, "CONFIG_VFIO_PCI"),
            self.module("vfio_iommu_type1", "CONFIG_VFIO_IOMMU_TYPE1"),
            self.rights(),
            self.locked(),
            self.huge_pages(),
            self.log(),
        ];
        findings.extend(self.ports(only));
        findings
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn entries(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// An IOMMU that is on gives groups of devices.
    fn iommu(&self) -> Finding {
        let groups = self.entries("sys/kernel/iommu_groups").len();
        if groups > 0 {
            return finding("an IOMMU", true, format!("{groups} groups of devices"), "");
        }
        let tables = ["DMAR", "IVRS"].map(|table| self.at("sys/firmware/acpi/tables").join(table));
        let is_there =
            !self.entries("sys/class/iommu").is_empty() || tables.iter().any(|table| table.exists());
        let (detail, remedy) = if is_there {
            ("there, and off", "boot with intel_iommu=on (or amd_iommu=on) on the kernel's command line")
        } else if self.read("proc/cmdline").contains("iommu=on") {
            (
                "asked for on the kernel's command line, and there is none",
                "switch VT-d or AMD-Vi on in the firmware's settings",
            )
        } else {
            (
                "no IOMMU groups",
                "boot with intel_iommu=on or amd_iommu=on on a machine that has one (VT-d or AMD-Vi, in the firmware's settings)",
            )
        };
        finding("an IOMMU", false, detail, remedy)
    }

    /// Without it, VFIO takes a device only when it is told that interrupts are no danger.
    fn remapping(&self) -> Finding {
        let what = "remapping of interrupts";
        let unsafe_ones = self.read("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
        // `IR-PCI-MSI` and the like.
        let remapped = self.read("proc/interrupts").contains(" IR-");
        match unsafe_ones.trim() {
            _ if remapped => finding(what, true, "on", ""),
            "Y" => finding(what, true, "off, and allowed to be", ""),
            _ => finding(
                what,
                false,
                "off",
                "an IOMMU that remaps them; or, where a device is no danger: modprobe vfio_iommu_type1 allow_unsafe_interrupts=1",
            ),
        }
    }

    /// Whether a module is in the kernel, or can be loaded into it.
    fn module(&self, name: &str, option: &str) -> Finding {
        let what = format!("the module {name}");
        let plain = name.replace('-', "_");
        if self.at("sys/module").join(&plain).exists() || self.at("sys/bus/pci/drivers").join(name).exists() {
            return finding(&what, true, "in the kernel", "");
        }
        let release = self.read("proc/sys/kernel/osrelease");
        let lists = ["modules.dep", "modules.builtin"]
            .map(|list| self.read(&format!("lib/modules/{}/{list}", release.trim())));
        let is_in = |list: &String| [name, &plain].iter().any(|name| list.contains(&format!("/{name}.ko")));
        if is_in(&lists[1]) {
            return finding(&what, true, "built into the kernel", "");
        }
        let remedy = format!("a kernel with {option}, as Debian's; then `modprobe {name}`");
        if !is_in(&lists[0]) {
            return finding(&what, false, format!("the kernel {} has none", release.trim()), &remedy);
        }
        if self.read("proc/sys/kernel/modules_disabled").trim() == "1" {
            let remedy = format!("boot anew, and `modprobe {name}` before kernel.modules_disabled is set");
            return finding(&what, false, "not loaded, and this kernel loads none any more", &remedy);
        }
        finding(&what, true, "not loaded; a run loads it", "")
    }

    fn rights(&self) -> Finding {
        let what = "the right to take a driver from a port";
        if self.is_root {
            return finding(what, true, "root", "");
        }
        finding(what, false, "an ordinary user", "sudo wireproof run --rig vfio --lab FILE")
    }

    /// The memory of the stack must stay where it is.
    fn locked(&self) -> Finding {
        let what = "memory that may be locked";
        let needed = PoolConfig::default().bytes().next_multiple_of(2 << 20) as u64;
        match self.lockable {
            // CAP_IPC_LOCK needs no limit.
            Some(limit) if limit < needed && !self.is_root => finding(
                what,
                false,
                format!("{} KiB, of {} KiB that are needed", limit >> 10, needed >> 10),
                &format!(
                    "ulimit -l {}, as root; or a line `memlock` in /etc/security/limits.conf",
                    needed >> 10
                ),
            ),
            _ => finding(what, true, format!("{} KiB, which are needed", needed >> 10), ""),
        }
    }

    fn huge_pages(&self) -> Finding {
        let free = self.read("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
        let told = match free.trim().parse::<u32>() {
            Ok(free) if free > 0 => format!("{free} of 2 MiB are free"),
            _ => "none; ordinary pages do (sysctl vm.nr_hugepages=16 gives some)".to_owned(),
        };
        finding("huge pages", true, told, "")
    }

    /// VFIO does not tell of faults of the IOMMU; the kernel's log does.
    fn log(&self) -> Finding {
        let restricted = self.read("proc/sys/kernel/dmesg_restrict").trim() == "1";
        let told = if restricted && !self.is_root {
            "for root alone: a fault of the IOMMU shows as `descriptor fetched, DD never set`"
        } else {
            "can be read: faults of the IOMMU are told in its words"
        };
        finding("the kernel's log", true, told, "")
    }

    /// The ports that the driver knows, or one of them, with who shares their groups.
    fn ports(&self, only: Option<&Address>) -> Vec<Finding> {
        let sys = self.at("sys");
        let known = |address: &Address| {
            let (vendor, id) = address.in_tree(&sys).ids();
            vendor == ids::VENDOR && ids::mac_of(id).is_some()
        };
        let names = self.entries("sys/bus/pci/devices");
        let found: BTreeMap<_, _> = names
            .iter()
            .filter_map(|text| Some((text, Address::parse(text)?)))
            .filter(|(_, address)| known(address) && only.is_none_or(|only| only == address))
            .collect();
        if found.is_empty() {
            let remedy =
                "a card with an 82576 (an I350 or I210 is untested), or `ci/vfio-guest`, which needs none";
            return vec![finding("a port that the driver knows", false, "there is none", remedy)];
        }
        found.into_iter().map(|(text, address)| port(&sys, text, &address)).collect()
    }
}

fn finding(what: &str, ok: bool, detail: impl Into<String>, remedy: &str) -> Finding {
    let remedy = (!ok && !remedy.is_empty()).then(|| remedy.to_owned());
    Finding { what: what.to_owned(), ok, detail: detail.into(), remedy }
}

fn port(sys: &Path, text: &str, address: &Address) -> Finding {
    let device = address.in_tree(sys);
    let name = device.interface().unwrap_or_else(|| "no interface".to_owned());
    let driver = device.driver().unwrap_or_else(|| "none".to_owned());
    let what = format!("port {text} ({name}, driver {driver})");
    let group = match device.group() {
        Ok(group) => group,
        Err(_) => return finding(&what, false, "in no IOMMU group", "see above: the IOMMU"),
    };
    let others = device.companions();
    if others.is_empty() {
        return finding(&what, true, format!("alone in IOMMU group {group}"), "");
    }
    let named: Vec<_> = others.iter().map(|(other, driver)| format!("{other} ({driver})")).collect();
    let unbind =
        others.iter().map(|(other, _)| format!("echo {other} > /sys/bus/pci/devices/{other}/driver/unbind"));
    finding(
        &what,
        false,
        format!("shares IOMMU group {group} with {}", named.join(", ")),
        &format!("{}; or put the card into another slot", unbind.collect::<Vec<_>>().join("; ")),
    )
}

#[cfg(test)]
mod tests;
