//! What the IOMMU says of a device, which VFIO does not tell: faults, out of the kernel's log.

use super::binding::Address;
use nix::libc;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

/// How many faults are told; a device that goes on makes thousands.
const FAULTS_MAX: usize = 4;

/// The log from a moment on.
#[derive(Debug)]
pub struct KernelLog {
    log: Option<File>,
}

impl KernelLog {
    /// From now on. Where it cannot be read (`kernel.dmesg_restrict`), nothing is told.
    #[must_use]
    pub fn from_now() -> Self {
        let mut log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").ok();
        if let Some(file) = &mut log
            && file.seek(SeekFrom::End(0)).is_err()
        {
            log = None;
        }
        Self { log }
    }

    /// The IOMMU's faults of a device since this was last asked.
    pub fn faults(&mut self, address: &Address) -> Vec<String> {
        let mut faults = Vec::new();
        let Some(log) = &mut self.log else { return faults };
        let mut record = [0; 8192];
        loop {
            match log.read(&mut record) {
                // One record a call.
                Ok(length) if length > 0 => {
                    let text = String::from_utf8_lossy(&record[..length]);
                    faults.extend(fault_of(&text, address));
                }
                // Some were overwritten before they were read.
                Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
                _ => break,
            }
        }
        faults.truncate(FAULTS_MAX);
        faults
    }
}

/// `3,1234,5678,-;DMAR: [DMA Read NO_PASID] Request device [00:04.0] fault addr …`: the message, if it is a fault of the device.
fn fault_of(record: &str, address: &Address) -> Option<String> {
    let message = record.split_once(';')?.1.lines().next()?;
    // Intel leaves the domain out.
    let short = address.as_str().split_once(':')?.1;
    let is_fault =
        (message.contains("DMAR:") && message.contains("fault")) || message.contains("IO_PAGE_FAULT");
    (is_fault && message.contains(short)).then(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const INTEL: &str = "3,1,2,-;DMAR: [DMA Read NO_PASID] Request device [00:04.0] fault addr 0x10000000 [fault reason 0x06]";

    #[rstest]
    #[case::of_the_device(INTEL, true)]
    #[case::of_amd(
        "3,1,2,-;vfio-pci 0000:00:04.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x1 address=0x0]",
        true
    )]
    #[case::of_another("3,1,2,-;DMAR: [DMA Write] Request device [00:05.0] fault addr 0x0", false)]
    #[case::something_else("6,1,2,-;vfio-pci 0000:00:04.0: enabling device", false)]
    fn a_fault_of_the_device_is_told_from_the_rest(#[case] record: &str, #[case] is: bool) {
        let address = Address::parse("00:04.0").expect("it is an address");
        assert_eq!(fault_of(record, &address).is_some(), is);
    }
}
