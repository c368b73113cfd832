//! The files in which runs write down what their ports were: those that can be read, and what is to be said of those that cannot.

use crate::rig::vfio::binding::VFIO_PCI;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long nobody takes to write a record: a part of one that is older was left by a kill, before a port was touched.
const WRITTEN: Duration = Duration::from_secs(60);

/// Where records are: of the machine, or of the user where that cannot be written.
pub fn folders() -> Vec<PathBuf> {
    let user = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    [Some(PathBuf::from("/run")), user].into_iter().flatten().map(|folder| folder.join("wireproof")).collect()
}

/// The records in some folders, or why one cannot be read.
pub fn all<R: DeserializeOwned>(folders: &[PathBuf]) -> Vec<(PathBuf, Result<R, String>)> {
    let record = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|e| e.to_string());
        let record = text.and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()));
        (path, record)
    };
    files(folders, "json").into_iter().map(record).collect()
}

/// Removes what kills in the middle of a write have left.
pub fn sweep(folders: &[PathBuf]) {
    for part in files(folders, "part") {
        let age = fs::metadata(&part).and_then(|part| part.modified()).map(|at| at.elapsed());
        if age.is_ok_and(|age| age.is_ok_and(|age| age > WRITTEN)) {
            remove(&part);
        }
    }
}

fn files(folders: &[PathBuf], extension: &str) -> Vec<PathBuf> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths
}

/// A record that is no longer needed goes, and its folder with the last one.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    if let Some(folder) = path.parent() {
        let _ = fs::remove_dir(folder);
    }
}

/// What to do about a record that cannot be read: what it was about nobody knows, but for what is on vfio-pci below `sys`.
#[must_use]
pub fn unreadable(path: &Path, why: &str, sys: &Path) -> String {
    let mut told = format!(
        "{} cannot be read ({why}), so what the ports of that run were is not known: look at `ip link` and `lspci -k`, put right what is \
         not as it should be, and remove the file",
        path.display()
    );
    for address in bound(sys) {
        let device = format!("/sys/bus/pci/devices/{address}");
        told += &format!(
            "; {address} is on {VFIO_PCI}: echo > {device}/driver_override; echo {address} > {device}/driver/unbind; \
             echo {address} > /sys/bus/pci/drivers_probe"
        );
    }
    told
}

/// What is bound to vfio-pci because somebody wanted just that (`driver_override`), by its address.
fn bound(sys: &Path) -> Vec<String> {
    let devices = fs::read_dir(sys.join("bus/pci/devices")).into_iter().flatten().flatten();
    let is_ours = |device: &Path| {
        let wanted = fs::read_to_string(device.join("driver_override")).unwrap_or_default();
        let driver = fs::read_link(device.join("driver")).unwrap_or_default();
        wanted.trim() == VFIO_PCI && driver.file_name().is_some_and(|name| name == VFIO_PCI)
    };
    let mut addresses: Vec<_> = devices
        .filter(|device| is_ours(&device.path()))
        .map(|device| device.file_name().to_string_lossy().into_owned())
        .collect();
    addresses.sort();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_cut_off_is_told_and_not_passed_over() {
        let folder = tempfile::tempdir().expect("there is room");
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it is written");
        put("lab-a.json", "[1, 2]");
        put("lab-b.json", "[1, ");
        put("lab-c.json.part", "[");
        let found = all::<Vec<u32>>(&[folder.path().to_path_buf(), folder.path().join("nowhere")]);
        let [(_, Ok(whole)), (path, Err(why))] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((whole.as_slice(), path.file_name()), ([1, 2].as_slice(), Some("lab-b.json".as_ref())));
        assert!(why.contains("EOF"), "{why}");
        sweep(&[folder.path().to_path_buf()]);
        assert!(folder.path().join("lab-c.json.part").exists(), "somebody may be writing it");
        let part = fs::File::options()
            .append(true)
            .open(folder.path().join("lab-c.json.part"))
            .expect("it is there");
        part.set_modified(std::time::SystemTime::now() - 2 * WRITTEN).expect("it is ours");
        sweep(&[folder.path().to_path_buf()]);
        assert!(!folder.path().join("lab-c.json.part").exists());
    }

    #[test]
    fn of_a_lost_record_the_devices_on_vfio_pci_are_named() {
        let sys = tempfile::tempdir().expect("there is room");
        for (address, wanted, driver) in [
            ("0000:00:04.0", "vfio-pci", "vfio-pci"),
            ("0000:00:05.0", "(null)", "vfio-pci"),
            ("0000:00:08.0", "(null)", "igb"),
        ] {
            let device = sys.path().join("bus/pci/devices").join(address);
            fs::create_dir_all(&device).expect("there is room");
            fs::write(device.join("driver_override"), format!("{wanted}\n")).expect("it is written");
            std::os::unix::fs::symlink(format!("../../drivers/{driver}"), device.join("driver"))
                .expect("it is made");
        }
        let told = unreadable(Path::new("/run/wireproof/lab-eth0.json"), "EOF", sys.path());
        assert!(told.starts_with("/run/wireproof/lab-eth0.json cannot be read (EOF)"), "{told}");
        assert!(told.contains("0000:00:04.0 is on vfio-pci: echo > ") && !told.contains("00:05.0"), "{told}");
    }
}
