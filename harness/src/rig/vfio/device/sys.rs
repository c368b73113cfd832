//! What VFIO needs `unsafe` for: ioctls of container, group and device, memory that is mapped, and words of registers. The only
//! such file of the rig.
#![expect(unsafe_code, reason = "ioctls take raw pointers, and mapped memory is reached through one")]

use nix::errno::Errno;
use nix::libc;
use stack_under_test::dma::DmaMemory;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::ptr::{NonNull, null_mut};
use vfio_bindings::bindings::vfio::{
    VFIO_BASE, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_TYPE, vfio_group_status,
    vfio_iommu_type1_dma_map, vfio_iommu_type1_dma_unmap, vfio_irq_info, vfio_region_info,
};

/// `_IO(';', 100 + number)`.
const fn request(number: u32) -> libc::c_ulong {
    nix::request_code_none!(VFIO_TYPE, VFIO_BASE + number)
}

nix::ioctl_none_bad!(get_api_version, request(0));
nix::ioctl_write_int_bad!(check_extension_of, request(1));
nix::ioctl_write_int_bad!(set_iommu_of, request(2));
nix::ioctl_read_bad!(group_get_status, request(3), vfio_group_status);
nix::ioctl_write_ptr_bad!(group_set_container, request(4), libc::c_int);
nix::ioctl_write_ptr_bad!(group_get_device_fd, request(6), libc::c_char);
nix::ioctl_read_bad!(device_get_region_info, request(8), vfio_region_info);
nix::ioctl_read_bad!(device_get_irq_info, request(9), vfio_irq_info);
nix::ioctl_write_ptr_bad!(device_set_irqs, request(10), u32);
nix::ioctl_none_bad!(device_reset, request(11));
nix::ioctl_read_bad!(iommu_get_info, request(12), u64);
nix::ioctl_write_ptr_bad!(iommu_map_dma, request(13), vfio_iommu_type1_dma_map);
nix::ioctl_read_bad!(iommu_unmap_dma, request(14), vfio_iommu_type1_dma_unmap);

/// `size_of`, as `argsz` takes it.
fn size<T>() -> u32 {
    size_of::<T>() as u32
}

/// VFIO_GET_API_VERSION.
///
/// # Errors
/// What the kernel says.
pub fn api_version(container: &File) -> Result<i32, Errno> {
    // SAFETY: it takes no argument.
    unsafe { get_api_version(container.as_raw_fd()) }
}

/// VFIO_CHECK_EXTENSION.
///
/// # Errors
/// What the kernel says.
pub fn has_extension(container: &File, extension: u32) -> Result<bool, Errno> {
    // SAFETY: it takes a number.
    unsafe { check_extension_of(container.as_raw_fd(), extension as i32) }.map(|has| has > 0)
}

/// VFIO_SET_IOMMU.
///
/// # Errors
/// EPERM without interrupt remapping, unless `vfio_iommu_type1.allow_unsafe_interrupts` is on.
pub fn set_iommu(container: &File, kind: u32) -> Result<(), Errno> {
    // SAFETY: it takes a number.
    unsafe { set_iommu_of(container.as_raw_fd(), kind as i32) }.map(drop)
}

/// VFIO_GROUP_GET_STATUS: the flags.
///
/// # Errors
/// What the kernel says.
pub fn group_flags(group: &File) -> Result<u32, Errno> {
    let mut status = vfio_group_status { argsz: size::<vfio_group_status>(), flags: 0 };
    // SAFETY: the pointer is to a whole structure of the size that it says.
    unsafe { group_get_status(group.as_raw_fd(), &raw mut status) }?;
    Ok(status.flags)
}

/// VFIO_GROUP_SET_CONTAINER.
///
/// # Errors
/// What the kernel says.
pub fn set_container(group: &File, container: &File) -> Result<(), Errno> {
    let fd = container.as_raw_fd();
    // SAFETY: the pointer is to an int that outlives the call; the kernel only reads it.
    unsafe { group_set_container(group.as_raw_fd(), &raw const fd) }.map(drop)
}

/// VFIO_GROUP_GET_DEVICE_FD: the device with this PCI address.
///
/// # Errors
/// What the kernel says; ENODEV when it is not in the group.
pub fn device_of(group: &File, address: &str) -> Result<File, Errno> {
    let name = CString::new(address).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the pointer is to a string with its end, which outlives the call.
    let fd = unsafe { group_get_device_fd(group.as_raw_fd(), name.as_ptr()) }?;
    // SAFETY: the kernel just made the descriptor, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// VFIO_DEVICE_GET_REGION_INFO.
///
/// # Errors
/// EINVAL when there is no such region.
pub fn region(device: &File, index: u32) -> Result<vfio_region_info, Errno> {
    let mut info = vfio_region_info { argsz: size::<vfio_region_info>(), index, ..Default::default() };
    // SAFETY: the pointer is to a whole structure of the size that it says; capabilities are not written beyond it.
    unsafe { device_get_region_info(device.as_raw_fd(), &raw mut info) }?;
    Ok(info)
}

/// VFIO_DEVICE_GET_IRQ_INFO: how many interrupts there are of a kind.
///
/// # Errors
/// EINVAL when there is no such kind.
pub fn irq_count(device: &File, index: u32) -> Result<u32, Errno> {
    let mut info = vfio_irq_info { argsz: size::<vfio_irq_info>(), index, ..Default::default() };
    // SAFETY: as in `region`.
    unsafe { device_get_irq_info(device.as_raw_fd(), &raw mut info) }?;
    Ok(info.count)
}

/// VFIO_DEVICE_SET_IRQS: `flags` for as many interrupts from the first, with an eventfd for each of `fds`, or no data.
///
/// # Errors
/// What the kernel says.
pub fn set_irqs(device: &File, flags: u32, index: u32, count: u32, fds: &[RawFd]) -> Result<(), Errno> {
    // `struct vfio_irq_set`: five words, and the data.
    let length = 4 * (5 + fds.len() as u32);
    let mut words = vec![length, flags, index, 0, count];
    words.extend(fds.iter().map(|fd| fd.cast_unsigned()));
    // SAFETY: the pointer is to as many bytes as the first word says; the kernel only reads them.
    unsafe { device_set_irqs(device.as_raw_fd(), words.as_ptr()) }.map(drop)
}

/// VFIO_DEVICE_RESET.
///
/// # Errors
/// EINVAL or ENOTTY when the device cannot be reset on its own.
pub fn reset(device: &File) -> Result<(), Errno> {
    // SAFETY: it takes no argument.
    unsafe { device_reset(device.as_raw_fd()) }.map(drop)
}

/// VFIO_IOMMU_GET_INFO with its capabilities, as 64-bit words: `struct vfio_iommu_type1_info`, and what it points to.
///
/// # Errors
/// What the kernel says.
pub fn iommu_info(container: &File) -> Result<Vec<u64>, Errno> {
    let mut words = vec![0_u64; 512];
    // `argsz` is the first 32-bit word; the other half is written by the kernel.
    words[0] = 8 * words.len() as u64;
    // SAFETY: the pointer is to as many bytes as `argsz` says.
    unsafe { iommu_get_info(container.as_raw_fd(), words.as_mut_ptr()) }?;
    Ok(words)
}

/// VFIO_IOMMU_MAP_DMA: the device finds the mapping at `iova`, to read and to write.
///
/// # Errors
/// ENOMEM beyond the limit of locked memory; EINVAL outside what the IOMMU can reach.
pub fn map_dma(container: &File, memory: &Mapping, iova: u64) -> Result<(), Errno> {
    let map = vfio_iommu_type1_dma_map {
        argsz: size::<vfio_iommu_type1_dma_map>(),
        flags: VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        vaddr: memory.base.as_ptr() as u64,
        iova,
        size: memory.len as u64,
    };
    // SAFETY: the pointer is to a whole structure. The pages are pinned until they are unmapped: a device that writes into them
    // writes into this mapping, even when it is no longer there.
    unsafe { iommu_map_dma(container.as_raw_fd(), &raw const map) }.map(drop)
}

/// VFIO_IOMMU_UNMAP_DMA: the device reaches nothing there any more.
///
/// # Errors
/// What the kernel says.
pub fn unmap_dma(container: &File, iova: u64, len: u64) -> Result<(), Errno> {
    let argsz = size::<vfio_iommu_type1_dma_unmap>();
    let mut unmap = vfio_iommu_type1_dma_unmap { argsz, iova, size: len, ..Default::default() };
    // SAFETY: the pointer is to a whole structure of the size that it says.
    unsafe { iommu_unmap_dma(container.as_raw_fd(), &raw mut unmap) }.map(drop)
}

/// Memory that was mapped, unmapped with the value.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: it is a range of addresses of the process, the same for every thread; accesses through `&self` are volatile and of
// whole words, or go to a device.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of a device's region, which begins at `offset` of the file.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn of_region(device: &File, offset: u64, len: usize) -> Result<Self, Errno> {
        let offset = libc::off_t::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let at = unsafe { libc::mmap(null_mut(), len, prot, libc::MAP_SHARED, device.as_raw_fd(), offset) };
        Self::checked(at, len)
    }

    /// Maps `len` zeroed bytes of memory; of huge pages (2 MiB, so must be `len`) or not.
    ///
    /// # Errors
    /// What mmap(2) says: ENOMEM where there are no huge pages.
    pub fn of_memory(len: usize, huge: bool) -> Result<Self, Errno> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let huge = if huge { libc::MAP_HUGETLB | libc::MAP_HUGE_2MB } else { 0 };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE | huge;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let at = unsafe { libc::mmap(null_mut(), len, prot, flags, -1, 0) };
        Self::checked(at, len)
    }

    fn checked(at: *mut libc::c_void, len: usize) -> Result<Self, Errno> {
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let base = NonNull::new(at.cast()).ok_or(Errno::EFAULT)?;
        Ok(Self { base, len })
    }

    /// Its size in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len
    }

    /// The register at `offset`; all ones beyond the end, or where it is no whole word: nobody is there.
    #[must_use]
    pub fn read32(&self, offset: usize) -> u32 {
        if !self.has_word(offset) {
            return u32::MAX;
        }
        // SAFETY: within the mapping and aligned (checked; the base is aligned to a page).
        u32::from_le(unsafe { self.base.as_ptr().add(offset).cast::<u32>().read_volatile() })
    }

    /// Writes the register at `offset`; nothing beyond the end.
    pub fn write32(&self, offset: usize, value: u32) {
        if self.has_word(offset) {
            // SAFETY: as in `read32`.
            unsafe { self.base.as_ptr().add(offset).cast::<u32>().write_volatile(value.to_le()) }
        }
    }

    fn has_word(&self, offset: usize) -> bool {
        offset.is_multiple_of(4) && offset.checked_add(4).is_some_and(|end| end <= self.len)
    }

    /// The mapping as the stack's memory, which the device finds at `bus`. Whoever has it keeps the mapping until it is gone, and makes
    /// no second one meanwhile: [`super::Lease`] is who.
    pub(super) fn as_dma(&self, bus: u64) -> DmaMemory {
        // SAFETY: valid for all its length and aligned to a page; alive and reached by nobody else by the rule above, as the words
        // of a mapping of memory are read by nobody in this program.
        unsafe { DmaMemory::from_raw(self.base, self.len, bus) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and unmapped once.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_where_they_were_written_and_beyond_the_end_nobody_is_there() {
        let memory = Mapping::of_memory(4096, false).expect("there is memory");
        memory.write32(4092, 0x1234_5678);
        assert_eq!(memory.read32(4092), 0x1234_5678);
        for offset in [4096, 4094, usize::MAX - 1] {
            memory.write32(offset, 1);
            assert_eq!(memory.read32(offset), u32::MAX);
        }
        assert_eq!(memory.read32(0), 0);
    }

    #[test]
    fn requests_are_those_of_the_kernel() {
        // `_IO(';', 100 + 13)`.
        assert_eq!(request(13), 0x3b71);
    }
}
