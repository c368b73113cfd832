//! The doctor of trees of files that look as `/sys` and `/proc` do on machines of several kinds.

use super::*;
use rstest::rstest;
use std::os::unix::fs::symlink;

/// A port of igb at this place.
const PORT: &str = "0000:03:00.0";

/// A machine with an igb port, alone in its group, and all that VFIO needs.
struct Tree(tempfile::TempDir);

impl Tree {
    fn good() -> Self {
        let tree = Self(tempfile::tempdir().expect("there is room for a folder"));
        tree.file("proc/cmdline", "quiet intel_iommu=on");
        tree.file("proc/interrupts", " 24:  7  IR-PCI-MSI-0000:03:00.0  0-edge  eth0\n");
        tree.file("proc/sys/kernel/osrelease", "6.12.9\n");
        tree.file("proc/sys/kernel/modules_disabled", "0\n");
        tree.file("proc/sys/kernel/dmesg_restrict", "1\n");
        tree.file(
            "lib/modules/6.12.9/modules.dep",
            "kernel/drivers/vfio/pci/vfio-pci.ko.xz: a\nkernel/drivers/vfio/vfio_iommu_type1.ko.xz:\n",
        );
        tree.file("sys/firmware/acpi/tables/DMAR", "");
        tree.file("sys/class/iommu/dmar0/x", "");
        tree.device(PORT, (0x8086, 0x10c9), Some("igb"), Some(7));
        tree.file(&format!("sys/bus/pci/devices/{PORT}/net/eth0/mtu"), "1500\n");
        tree
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn gone(&self, path: &str) {
        let path = self.0.path().join(path);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("it was there");
    }

    /// As sysfs has them: links to the driver, to the group, and from the group back.
    fn device(&self, address: &str, (vendor, id): (u16, u16), driver: Option<&str>, group: Option<u32>) {
        let place = format!("sys/bus/pci/devices/{address}");
        self.file(&format!("{place}/vendor"), &format!("0x{vendor:04x}\n"));
        self.file(&format!("{place}/device"), &format!("0x{id:04x}\n"));
        let folder = self.0.path().join(&place);
        if let Some(driver) = driver {
            self.file(&format!("sys/bus/pci/drivers/{driver}/bind"), "");
            symlink(format!("../../drivers/{driver}"), folder.join("driver")).expect("a link");
        }
        if let Some(group) = group {
            let devices = self.0.path().join(format!("sys/kernel/iommu_groups/{group}/devices"));
            fs::create_dir_all(&devices).expect("a folder");
            symlink(&folder, devices.join(address)).expect("a link");
            symlink(format!("../../../../kernel/iommu_groups/{group}"), folder.join("iommu_group"))
                .expect("a link");
        }
    }

    fn machine(&self, is_root: bool) -> Machine {
        Machine { root: self.0.path().to_owned(), is_root, lockable: Some(8 << 20) }
    }

    /// What is missing, as it is printed.
    fn missing(&self, is_root: bool) -> Vec<String> {
        let findings = self.machine(is_root).findings(None);
        let missing = findings.into_iter().filter(|finding| !finding.ok);
        missing.map(|f| format!("{}: {} -> {}", f.what, f.detail, f.remedy.unwrap_or_default())).collect()
    }
}

#[test]
fn nothing_is_missing_on_a_machine_that_has_all() {
    assert_eq!(Tree::good().missing(true), [""; 0]);
}

#[rstest]
#[case::none_and_not_asked_for(&["sys/kernel", "sys/class", "sys/firmware"], "quiet", "an IOMMU: no IOMMU groups -> boot with intel_iommu=on or amd")]
#[case::there_and_off(&["sys/kernel"], "quiet", "an IOMMU: there, and off -> boot with intel_iommu=on")]
#[case::asked_for_in_vain(&["sys/kernel", "sys/class", "sys/firmware"], "intel_iommu=on", "an IOMMU: asked for on the kernel's command line, and there is none -> switch VT-d")]
fn a_machine_without_iommu_is_told_why(#[case] gone: &[&str], #[case] line: &str, #[case] words: &str) {
    let tree = Tree::good();
    gone.iter().for_each(|path| tree.gone(path));
    tree.gone(&format!("sys/bus/pci/devices/{PORT}/iommu_group"));
    tree.file("proc/cmdline", line);
    let missing = tree.missing(true);
    assert!(missing[0].starts_with(words), "{missing:?}");
    assert!(missing[1].starts_with("port 0000:03:00.0 (eth0, driver igb): in no IOMMU group"), "{missing:?}");
    assert_eq!(missing.len(), 2, "{missing:?}");
}

#[rstest]
#[case::the_kernel_has_none("lib/modules/6.12.9/modules.dep", "", &["vfio-pci: the kernel 6.12.9 has none -> a kernel with CONFIG_VFIO_PCI", "vfio_iommu_type1: the kernel 6.12.9 has none -> a kernel with CONFIG_VFIO_IOMMU_TYPE1"])]
#[case::no_module_may_be_loaded("proc/sys/kernel/modules_disabled", "1\n", &["vfio-pci: not loaded, and this kernel loads none any more -> boot anew", "vfio_iommu_type1: not loaded, and this"])]
#[case::interrupts_are_not_remapped("proc/interrupts", " 24: 7 PCI-MSI eth0", &["remapping of interrupts: off -> an IOMMU that remaps"])]
fn without_vfio_the_kernel_is_named(#[case] path: &str, #[case] text: &str, #[case] words: &[&str]) {
    let tree = Tree::good();
    tree.file(path, text);
    let missing = tree.missing(true);
    assert_eq!(missing.len(), words.len(), "{missing:?}");
    for (missing, words) in missing.iter().zip(words) {
        assert!(missing.contains(words), "{missing:?}");
    }
}

#[test]
fn what_is_in_the_kernel_needs_no_file() {
    let tree = Tree::good();
    tree.gone("lib");
    tree.file("sys/bus/pci/drivers/vfio-pci/new_id", "");
    tree.file("sys/module/vfio_iommu_type1/refcnt", "0");
    assert_eq!(tree.missing(true), [""; 0]);
}

#[test]
fn an_ordinary_user_lacks_the_rights_and_may_lock_too_little() {
    let missing = Tree::good().missing(false);
    assert!(
        missing[0].starts_with("the right to take a driver from a port: an ordinary user -> sudo wireproof")
    );
    assert!(
        missing[1].starts_with("memory that may be locked: 8192 KiB, of ")
            && missing[1].contains("ulimit -l ")
    );
    assert_eq!(missing.len(), 2, "{missing:?}");
}

#[test]
fn all_who_share_a_group_are_named_with_what_frees_it() {
    let tree = Tree::good();
    tree.device("0000:03:00.2", (0x8086, 0x1), Some("ahci"), Some(7));
    tree.device("0000:03:00.1", (0x8086, 0x10c9), Some("igb"), Some(7));
    // Neither of these is in the way.
    tree.device("0000:00:1c.0", (0x8086, 0x2), Some("pcieport"), Some(7));
    tree.device("0000:03:00.3", (0x8086, 0x3), None, Some(7));
    let missing = tree.missing(true);
    let words = "port 0000:03:00.0 (eth0, driver igb): shares IOMMU group 7 with 0000:03:00.1 (igb), 0000:03:00.2 (ahci) -> \
                 echo 0000:03:00.1 > /sys/bus/pci/devices/0000:03:00.1/driver/unbind; echo 0000:03:00.2 >";
    assert!(missing[0].starts_with(words), "{missing:?}");
    // The other port has the first for company.
    assert_eq!(missing.len(), 2, "{missing:?}");
    let one = Address::parse(PORT);
    let of_one = tree.machine(true).findings(one.as_ref()).into_iter().filter(|finding| !finding.ok);
    assert_eq!(of_one.count(), 1);
}

#[test]
fn a_machine_without_such_a_port_is_told_where_there_is_one() {
    let tree = Tree::good();
    tree.file(&format!("sys/bus/pci/devices/{PORT}/device"), "0x1533\n");
    assert!(tree.missing(true).is_empty(), "an I210 is in the driver's table");
    tree.file(&format!("sys/bus/pci/devices/{PORT}/device"), "0x10ca\n");
    let missing = tree.missing(true);
    assert!(
        missing[0].contains("there is none -> a card with an 82576") && missing[0].contains("ci/vfio-guest")
    );
}

#[test]
fn whatever_is_missing_here_comes_with_what_gets_it() {
    let findings = doctor(None);
    assert!(findings.iter().any(|finding| finding.what == "an IOMMU"));
    for finding in findings.iter().filter(|finding| !finding.ok) {
        assert!(finding.remedy.is_some(), "{finding:?}");
    }
}
