//! What needs `unsafe`: the guest's memory, mapped from the file that QEMU shares, and QEMU's life tied to ours.
#![expect(
    unsafe_code,
    reason = "shared memory is mapped and handed on as a raw region; a child is prepared after fork"
)]

use stack_under_test::dma::DmaMemory;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::{NonNull, null_mut};

/// A mapping of the whole file, unmapped with the value.
pub struct GuestMemory {
    base: NonNull<u8>,
    len: usize,
}

impl GuestMemory {
    /// Maps the first `len` bytes of `file`.
    pub fn map(file: &File, len: usize) -> Result<Self, String> {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let at = unsafe { libc::mmap(null_mut(), len, prot, flags, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(format!("cannot map the guest's memory: {}", io::Error::last_os_error()));
        }
        let base = NonNull::new(at.cast()).ok_or("the guest's memory was mapped at 0")?;
        Ok(Self { base, len })
    }

    /// The bytes from `offset` on as a DMA region, which the device finds at the same address. It must not outlive the
    /// mapping: [`super::rig::Rig`] drops it first.
    pub fn region(&self, offset: usize, len: usize) -> DmaMemory {
        assert!(offset + len <= self.len);
        // SAFETY: within the mapping (asserted), page-aligned as the mapping and the offset are; the words that this file
        // reads lie outside of it, and the rig drops the region before the mapping.
        unsafe { DmaMemory::from_raw(self.base.add(offset), len, offset as u64) }
    }

    /// Reads the 32-bit word at `offset`, and writes zero there: a message that the device may have sent.
    pub fn take_word(&self, offset: usize) -> u32 {
        assert!(offset + 4 <= self.len && offset.is_multiple_of(4));
        // SAFETY: within the mapping and aligned (both asserted); the device writes it as one word.
        unsafe {
            let word = self.base.add(offset).cast::<u32>();
            let value = word.read_volatile();
            if value != 0 {
                word.write_volatile(0);
            }
            value
        }
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and unmapped once.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// The child that `command` starts gets killed when the thread that started it dies without running a destructor.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: only one system call is made between fork and exec; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(io::Error::from)
        });
    }
}
