//! What the vfio rig needs of a machine, what of it is here, and how to get the rest.

use super::binding::{Address, VFIO_PCI};
use crate::rig::linux::Finding;
use crate::rig::linux::lab;
use stack_under_test::drivers::igb::ids;
use stack_under_test::skb::PoolConfig;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Looks for everything; changes nothing but what a run that was killed has left.
#[must_use]
pub fn doctor() -> Vec<Finding> {
    let mut findings = vec![iommu(), remapping(), module(), rights(), locked(), huge_pages()];
    findings.extend(ports());
    findings.extend(lab::recover().into_iter().map(|done| {
        let (ok, detail) = done.map_or_else(|why| (false, why), |told| (true, told));
        finding(
            "ports of a lab",
            ok,
            detail,
            "sudo wireproof doctor --rig vfio, in the first network namespace",
        )
    }));
    findings
}

fn finding(what: &str, ok: bool, detail: impl Into<String>, remedy: &str) -> Finding {
    let remedy = (!ok && !remedy.is_empty()).then(|| remedy.to_owned());
    Finding { what: what.to_owned(), ok, detail: detail.into(), remedy }
}

fn entries(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// An IOMMU that is on gives groups of devices.
fn iommu() -> Finding {
    let groups = entries("/sys/kernel/iommu_groups").len();
    if groups > 0 {
        return finding("an IOMMU", true, format!("{groups} groups of devices"), "");
    }
    let units = entries("/sys/class/iommu");
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let (detail, remedy) = if !units.is_empty() || Path::new("/sys/firmware/acpi/tables/DMAR").exists() {
        ("there, and off", "boot with intel_iommu=on on the kernel's command line")
    } else if line.contains("iommu=on") {
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
fn remapping() -> Finding {
    let what = "remapping of interrupts";
    let unsafe_ones = fs::read_to_string("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
    // `IR-PCI-MSI` and the like.
    let remapped = fs::read_to_string("/proc/interrupts").is_ok_and(|text| text.contains(" IR-"));
    match unsafe_ones.as_deref().map(str::trim) {
        _ if remapped => finding(what, true, "on", ""),
        Ok("Y") => finding(what, true, "off, and allowed to be", ""),
        _ => finding(
            what,
            false,
            "off",
            "an IOMMU that remaps them; or, where a device is no danger: modprobe vfio_iommu_type1 allow_unsafe_interrupts=1",
        ),
    }
}

fn module() -> Finding {
    let what = "the driver vfio-pci";
    if Path::new("/sys/bus/pci/drivers").join(VFIO_PCI).exists() {
        return finding(what, true, "loaded", "");
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let list = format!("/lib/modules/{}/modules.dep", release.trim());
    let is_module = fs::read_to_string(list).is_ok_and(|list| list.contains("/vfio-pci.ko"));
    if is_module {
        return finding(what, true, "a module; a run loads it", "");
    }
    finding(
        what,
        false,
        "this kernel has none",
        "a kernel with CONFIG_VFIO_PCI, as Debian's; then `modprobe vfio-pci`",
    )
}

fn rights() -> Finding {
    let what = "the right to take a driver from a port";
    if nix::unistd::geteuid().is_root() {
        return finding(what, true, "root", "");
    }
    finding(what, false, "an ordinary user", "sudo wireproof run --rig vfio --lab FILE")
}

/// The memory of the stack must stay where it is.
fn locked() -> Finding {
    let what = "memory that may be locked";
    let needed = PoolConfig::default().bytes().next_multiple_of(2 << 20) as u64;
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK);
    match limit {
        // CAP_IPC_LOCK needs no limit.
        Ok((soft, _)) if soft < needed && !nix::unistd::geteuid().is_root() => finding(
            what,
            false,
            format!("{} KiB, of {} KiB that are needed", soft >> 10, needed >> 10),
            &format!("ulimit -l {}", needed >> 10),
        ),
        _ => finding(what, true, format!("{} KiB, which are needed", needed >> 10), ""),
    }
}

fn huge_pages() -> Finding {
    let read = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let free = read.ok().and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
    let told =
        if free > 0 { format!("{free} of 2 MiB are free") } else { "none; ordinary pages do".to_owned() };
    finding("huge pages", true, told, "")
}

/// The ports that the driver knows, with who shares their groups.
fn ports() -> Vec<Finding> {
    let known = |text: &String| {
        Address::parse(text).is_some_and(|address| {
            let (vendor, id) = address.ids();
            vendor == ids::VENDOR && ids::mac_of(id).is_some()
        })
    };
    let found: Vec<_> = entries("/sys/bus/pci/devices").into_iter().filter(known).collect();
    if found.is_empty() {
        let remedy =
            "a card with an 82576 (an I350 or I210 is untested), or `ci/vfio-guest`, which needs none";
        return vec![finding("a port that the driver knows", false, "there is none", remedy)];
    }
    let addresses: BTreeMap<_, _> =
        found.iter().filter_map(|text| Some((text, Address::parse(text)?))).collect();
    addresses.into_iter().map(|(text, address)| port(text, &address)).collect()
}

fn port(text: &str, address: &Address) -> Finding {
    let name = address.interface().unwrap_or_else(|| "no interface".to_owned());
    let driver = address.driver().unwrap_or_else(|| "none".to_owned());
    let what = format!("port {text} ({name}, driver {driver})");
    match (address.group(), address.companions().first()) {
        (Err(_), _) => finding(&what, false, "in no IOMMU group", "see above: the IOMMU"),
        (Ok(group), Some((other, driver))) => finding(
            &what,
            false,
            format!("shares IOMMU group {group} with {other} ({driver})"),
            &format!(
                "echo {other} > /sys/bus/pci/devices/{other}/driver/unbind, or put the card into another slot"
            ),
        ),
        (Ok(group), None) => finding(&what, true, format!("alone in IOMMU group {group}"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_missing_comes_with_what_gets_it() {
        let findings = doctor();
        assert!(findings.iter().any(|finding| finding.what == "an IOMMU"));
        for finding in findings.iter().filter(|finding| !finding.ok) {
            assert!(finding.remedy.is_some(), "{finding:?}");
        }
    }
}
