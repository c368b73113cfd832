//! Which driver a PCI device has: taken from it for vfio-pci, and given back, through sysfs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The driver that hands a device to a program.
pub const VFIO_PCI: &str = "vfio-pci";
/// Where the kernel tells of devices.
const SYS: &str = "/sys";
/// How long a driver may take to be there once it was asked for.
const BIND: Duration = Duration::from_secs(10);

/// The address of a PCI device, as sysfs has it: `0000:03:00.0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address(String);

impl Address {
    /// Reads one; the domain may be left out. `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let full = if text.matches(':').count() == 1 { format!("0000:{text}") } else { text.to_owned() };
        let (rest, function) = full.rsplit_once('.')?;
        let parts: Vec<_> = rest.split(':').collect();
        let hex = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
        let [domain, bus, device] = parts[..] else { return None };
        let right =
            hex(domain, 4) && hex(bus, 2) && hex(device, 2) && matches!(function.as_bytes(), [b'0'..=b'7']);
        right.then(|| Self(full.to_ascii_lowercase()))
    }

    /// As sysfs has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folder(&self) -> PathBuf {
        self.in_tree(Path::new(SYS)).folder
    }

    /// The device as a sysfs tells of it, which is at `/sys` but for tests.
    #[must_use]
    pub fn in_tree(&self, sys: &Path) -> Device<'_> {
        Device { address: self, folder: sys.join("bus/pci/devices").join(&self.0) }
    }

    fn device(&self) -> Device<'_> {
        self.in_tree(Path::new(SYS))
    }

    /// Whether there is such a device.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.folder().exists()
    }

    /// Its vendor and device id; zeros where it is not there.
    #[must_use]
    pub fn ids(&self) -> (u16, u16) {
        self.device().ids()
    }

    /// Its driver; `None`: it has none.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        self.device().driver()
    }

    /// The name of its network interface, in the namespace of the calling thread; `None`: it has none.
    #[must_use]
    pub fn interface(&self) -> Option<String> {
        self.device().interface()
    }

    /// The number of its IOMMU group.
    ///
    /// # Errors
    /// As [`Device::group`].
    pub fn group(&self) -> Result<u32, String> {
        self.device().group()
    }

    /// As [`Device::companions`].
    #[must_use]
    pub fn companions(&self) -> Vec<(Self, String)> {
        self.device().companions()
    }
}

/// A PCI device in a sysfs.
#[derive(Debug)]
pub struct Device<'a> {
    address: &'a Address,
    folder: PathBuf,
}

impl Device<'_> {
    /// Its vendor and device id; zeros where it is not there.
    #[must_use]
    pub fn ids(&self) -> (u16, u16) {
        let read = |file: &str| {
            let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
            u16::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap_or(0)
        };
        (read("vendor"), read("device"))
    }

    /// Its driver; `None`: it has none.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        name_of(&fs::read_link(self.folder.join("driver")).ok()?)
    }

    /// The name of its network interface; `None`: it has none.
    #[must_use]
    pub fn interface(&self) -> Option<String> {
        let entry = fs::read_dir(self.folder.join("net")).ok()?.next()?.ok()?;
        entry.file_name().into_string().ok()
    }

    /// The physical function that it is a virtual one of; `None`: it is none.
    #[must_use]
    pub fn physical_function(&self) -> Option<String> {
        name_of(&fs::read_link(self.folder.join("physfn")).ok()?)
    }

    /// The number of its IOMMU group.
    ///
    /// # Errors
    /// What there is instead, and what would help.
    pub fn group(&self) -> Result<u32, String> {
        let address = self.address;
        let link = fs::read_link(self.folder.join("iommu_group")).map_err(|_| {
            format!(
                "{address} is in no IOMMU group: boot with intel_iommu=on or amd_iommu=on, on a machine that has one switched on"
            )
        })?;
        name_of(&link)
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| format!("{address}: {}", link.display()))
    }

    /// The devices that share its IOMMU group and have a driver of the kernel, by their addresses: VFIO takes the group only without.
    /// Bridges are none.
    #[must_use]
    pub fn companions(&self) -> Vec<(Address, String)> {
        let group = self.folder.join("iommu_group/devices");
        let entries = fs::read_dir(&group).into_iter().flatten().flatten();
        let others = entries
            .filter_map(|entry| Address::parse(entry.file_name().to_str()?))
            .filter(|other| other != self.address);
        let harmless = [VFIO_PCI, "pcieport", "pci-stub"];
        let driver = |other: &Address| name_of(&fs::read_link(group.join(&other.0).join("driver")).ok()?);
        let mut found: Vec<_> = others
            .filter_map(|other| driver(&other).map(|driver| (other, driver)))
            .filter(|(_, driver)| !harmless.contains(&driver.as_str()))
            .collect();
        found.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
        found
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn name_of(link: &Path) -> Option<String> {
    Some(link.file_name()?.to_str()?.to_owned())
}

/// What a device was bound to when it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The device.
    pub address: Address,
    /// Its driver.
    pub driver: Option<String>,
    /// What `driver_override` said; empty where it said nothing.
    pub wanted: String,
}

impl Binding {
    /// As it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(address: &Address) -> Result<Self, String> {
        let path = address.folder().join("driver_override");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let wanted = text.trim().trim_start_matches("(null)").to_owned();
        Ok(Self { address: address.clone(), driver: address.driver(), wanted })
    }

    /// Binds the device to vfio-pci.
    ///
    /// # Errors
    /// What the kernel says; the device is as it was.
    pub fn take(&self) -> Result<(), String> {
        if self.address.driver().as_deref() == Some(VFIO_PCI) {
            return Ok(());
        }
        let taken = rebind(&self.address, VFIO_PCI, true).and_then(|()| match self.address.driver() {
            Some(driver) if driver == VFIO_PCI => Ok(()),
            other => Err(format!(
                "{} is not taken by vfio-pci (driver: {}); `modprobe vfio-pci`, and `dmesg` tells more",
                self.address,
                other.as_deref().unwrap_or("none")
            )),
        });
        taken.map_err(|why| match self.back() {
            Ok(()) => why,
            Err(also) => format!("{why}\n{also}"),
        })
    }

    /// Gives the device what it had.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn back(&self) -> Result<(), String> {
        let address = &self.address;
        if !address.is_there() {
            return Err(format!("{address} is not there any more"));
        }
        if address.driver() == self.driver {
            return write(&address.folder().join("driver_override"), &format!("{}\n", self.wanted));
        }
        rebind(address, &self.wanted, self.driver.is_some())?;
        let deadline = Instant::now() + BIND;
        while address.driver() != self.driver {
            if Instant::now() >= deadline {
                let had = self.driver.as_deref().unwrap_or("none");
                let has = address.driver().unwrap_or_else(|| "none".to_owned());
                return Err(format!(
                    "the driver of {address} is {has}, not {had}; echo {address} > /sys/bus/pci/drivers_probe"
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Takes the driver away that there is, and has the kernel look for one again, if `probe`.
fn rebind(address: &Address, wanted: &str, probe: bool) -> Result<(), String> {
    write(&address.folder().join("driver_override"), &format!("{wanted}\n"))?;
    if address.driver().is_some() {
        write(&address.folder().join("driver/unbind"), address.as_str())?;
    }
    if probe { write(Path::new("/sys/bus/pci/drivers_probe"), address.as_str()) } else { Ok(()) }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|e| {
            let help = if e.kind() == io::ErrorKind::PermissionDenied { "; it takes root" } else { "" };
            format!("{}: {e}{help}", path.display())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::whole("0000:03:00.1", Some("0000:03:00.1"))]
    #[case::without_its_domain("03:00.1", Some("0000:03:00.1"))]
    #[case::in_capitals("0000:0A:1F.7", Some("0000:0a:1f.7"))]
    #[case::an_interface("eth0", None)]
    #[case::no_such_function("0000:03:00.8", None)]
    #[case::a_path("../0:03:00.1", None)]
    fn an_address_is_that_of_sysfs(#[case] text: &str, #[case] address: Option<&str>) {
        assert_eq!(Address::parse(text).as_ref().map(Address::as_str), address);
    }

    #[test]
    fn a_device_that_is_not_there_has_no_driver_and_cannot_be_given_back() {
        let address = Address::parse("ffff:ff:1f.7").expect("it is an address");
        assert_eq!((address.is_there(), address.driver(), address.interface()), (false, None, None));
        assert!(address.group().expect_err("there is none").contains("intel_iommu=on"));
        assert!(Binding::of(&address).is_err());
    }
}
