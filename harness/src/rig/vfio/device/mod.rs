//! A PCI device through VFIO: registers, memory that it shares with the stack, interrupts, configuration space, reset.

mod kept;
mod sys;

use super::binding::Address;
use super::write_back;
use kept::Keeper;
pub use kept::Stuck;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::dma::DmaMemory;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use sys::Mapping;
use vfio_bindings::bindings::vfio::{
    VFIO_API_VERSION, VFIO_GROUP_FLAGS_VIABLE, VFIO_IOMMU_INFO_CAPS, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_REGION_INFO_FLAG_MMAP, VFIO_TYPE1v2_IOMMU,
};

/// Where the device finds the stack's memory, if the IOMMU reaches there: above 4 GiB, so that an address that was cut shows.
const WANTED_IOVA: u64 = 0x1_2340_0000;
/// The size of a huge page, and what the size of the memory is a multiple of.
const HUGE_BYTES: usize = 2 << 20;
/// The most MSI-X vectors that the driver uses: one for all else, and one for each of eight queue pairs.
const VECTORS_MAX: u32 = 9;
/// Words of configuration space (PCI Local Bus Specification 3.0, section 6.2): vendor and device, command.
const PCI_ID: u64 = 0;
const PCI_COMMAND: u64 = 4;
const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_MASTER: u16 = 1 << 2;

/// How the device tells of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// A message for each vector.
    Msix,
    /// One wire for all; the kernel masks it until it is served.
    Intx,
}

/// An open device, with memory mapped for it.
#[derive(Debug)]
pub struct Device {
    // In this order they are dropped: the kernel resets the device with its last descriptor, and unpins the memory with the
    // container.
    file: File,
    _group: File,
    container: File,
    registers: Arc<Mapping>,
    memory: Arc<Mapping>,
    iova: u64,
    /// Where configuration space begins in `file`.
    config: u64,
    interrupts: Interrupts,
    vectors: Vec<EventFd>,
    address: Address,
    /// For the bus of a trial, and from one to the next.
    keeper: Arc<Mutex<Keeper>>,
}

impl Device {
    /// Opens the device of a group that is bound to vfio-pci, and maps `bytes` of memory for it.
    ///
    /// # Errors
    /// What is wrong, and what would mend it.
    pub fn open(address: &Address, group: u32, interrupts: Interrupts, bytes: usize) -> Result<Self, String> {
        let (container, group) = open_group(group)?;
        let file =
            sys::device_of(&group, address.as_str()).map_err(|e| said("VFIO_GROUP_GET_DEVICE_FD", e))?;
        let bar = sys::region(&file, VFIO_PCI_BAR0_REGION_INDEX).map_err(|e| said("BAR 0", e))?;
        if bar.flags & VFIO_REGION_INFO_FLAG_MMAP == 0 {
            return Err(format!("BAR 0 of {address} cannot be mapped: it is no memory"));
        }
        let len = usize::try_from(bar.size).map_err(|e| e.to_string())?;
        let registers = Mapping::of_region(&file, bar.offset, len).map_err(|e| said("BAR 0", e))?;
        let config =
            sys::region(&file, VFIO_PCI_CONFIG_REGION_INDEX).map_err(|e| said("configuration space", e))?;
        let (memory, iova) = map_memory(&container, bytes)?;
        let count = match interrupts {
            Interrupts::Msix => sys::irq_count(&file, VFIO_PCI_MSIX_IRQ_INDEX),
            Interrupts::Intx => sys::irq_count(&file, VFIO_PCI_INTX_IRQ_INDEX),
        };
        let count = count.map_err(|e| said("VFIO_DEVICE_GET_IRQ_INFO", e))?.min(VECTORS_MAX);
        if count == 0 {
            return Err(format!(
                "{address} has no interrupts of the kind {interrupts:?}: `interrupts:` chooses another"
            ));
        }
        let vector = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let vectors =
            (0..count).map(|_| vector()).collect::<Result<_, _>>().map_err(|e| said("an eventfd", e))?;
        Ok(Self {
            file,
            _group: group,
            container,
            registers: Arc::new(registers),
            memory: Arc::new(memory),
            iova,
            config: config.offset,
            interrupts,
            vectors,
            address: address.clone(),
            keeper: Arc::default(),
        })
    }

    /// From now on its link outlasts a trial: the first reset of the next one is done register by register, and proved.
    ///
    /// # Errors
    /// When the device cannot be reset on its own.
    pub fn keep_link(&self) -> Result<(), String> {
        self.stop()?;
        self.set_command(COMMAND_MEMORY, 0)?;
        self.keeper().learn(&self.registers);
        Ok(())
    }

    /// A trial is over: stopped as by [`Device::stop`], but that the link stays where it can.
    ///
    /// # Errors
    /// When the device cannot be reset on its own.
    pub fn park(&self) -> Result<(), String> {
        if !self.keeper().keeps(&self.registers) {
            return self.stop();
        }
        self.cut_off()
    }

    /// How many resets were spared since the link is kept, and why one was not.
    #[must_use]
    pub fn account(&self) -> (u32, Vec<Stuck>) {
        self.keeper().account()
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        // What a thread that panicked left is whole.
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its vendor and its device id.
    ///
    /// # Errors
    /// When configuration space cannot be read.
    pub fn ids(&self) -> Result<(u16, u16), String> {
        Ok((self.config_read(PCI_ID)?, self.config_read(PCI_ID + 2)?))
    }

    /// As after power on, and stopped: no interrupts, no access to memory.
    ///
    /// # Errors
    /// When the device cannot be reset on its own.
    pub fn stop(&self) -> Result<(), String> {
        self.cut_off()?;
        self.keeper().was_reset();
        self.reset()
    }

    /// No interrupts, no access to memory.
    fn cut_off(&self) -> Result<(), String> {
        self.set_command(0, COMMAND_MASTER)?;
        // Of interrupts that are not enabled this is an error, which says nothing.
        let _ = sys::set_irqs(
            &self.file,
            VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
            self.index(),
            0,
            &[],
        );
        Ok(())
    }

    /// VFIO_DEVICE_RESET, which may be asked for again while another reset of the bus is under way.
    fn reset(&self) -> Result<(), String> {
        let mut tries = 0;
        loop {
            match sys::reset(&self.file) {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN) if tries < 10 => {
                    tries += 1;
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                Err(e) => return Err(said(&format!("reset of {}", self.address), e)),
            }
        }
    }

    /// Lets the device reach memory, and tell by interrupts.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn start(&self) -> Result<(), String> {
        let fds: Vec<_> = self.vectors.iter().map(|vector| vector.as_fd().as_raw_fd()).collect();
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        sys::set_irqs(&self.file, flags, self.index(), fds.len() as u32, &fds)
            .map_err(|e| said("VFIO_DEVICE_SET_IRQS", e))?;
        // What came before is of a run before.
        for vector in 0..self.vectors.len() {
            let _ = self.take_interrupt(vector);
        }
        self.set_command(COMMAND_MEMORY | COMMAND_MASTER, 0)
    }

    fn index(&self) -> u32 {
        match self.interrupts {
            Interrupts::Msix => VFIO_PCI_MSIX_IRQ_INDEX,
            Interrupts::Intx => VFIO_PCI_INTX_IRQ_INDEX,
        }
    }

    /// How it tells of something.
    #[must_use]
    pub fn interrupts(&self) -> Interrupts {
        self.interrupts
    }

    /// What becomes readable when an interrupt comes, by vector.
    pub fn vectors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.vectors.iter().map(AsFd::as_fd)
    }

    /// Whether an interrupt of this vector came since the last time.
    #[must_use]
    pub fn take_interrupt(&self, vector: usize) -> bool {
        self.vectors.get(vector).is_some_and(|vector| vector.read().is_ok())
    }

    /// The interrupt that was taken is served: the next may come. Only INTx waits for that.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn served(&self) -> Result<(), String> {
        if self.interrupts == Interrupts::Msix {
            return Ok(());
        }
        let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
        sys::set_irqs(&self.file, flags, self.index(), 1, &[]).map_err(|e| said("unmasking INTx", e))
    }

    /// What a driver of the stack works with: its bus, and its memory.
    #[must_use]
    pub fn lease(&mut self) -> Lease {
        let bus = VfioBus {
            registers: Arc::clone(&self.registers),
            _memory: Arc::clone(&self.memory),
            keeper: Arc::clone(&self.keeper),
        };
        Lease { memory: self.memory.as_dma(self.iova), bus }
    }

    /// Takes the memory away from the device, under its hands: whatever it reaches for is a fault of the IOMMU.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn take_memory_away(&self) -> Result<(), String> {
        sys::unmap_dma(&self.container, self.iova, self.memory.bytes() as u64)
            .map_err(|e| said("VFIO_IOMMU_UNMAP_DMA", e))
    }

    /// What is wrong, if it fetched a descriptor and never wrote it back. It may take 100 ms to be sure.
    #[must_use]
    pub fn unwritten(&self) -> Option<String> {
        let memory = |at: u64| {
            let offset = usize::try_from(at.checked_sub(self.iova)?).ok()?;
            (offset + 4 <= self.memory.bytes()).then(|| self.memory.read32(offset))
        };
        write_back::missing(&|offset| self.registers.read32(offset as usize), &memory)
    }

    /// Whether the device is still there: one that was pulled reads as all ones.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.ids().is_ok_and(|ids| ids.0 != u16::MAX)
    }

    fn set_command(&self, on: u16, off: u16) -> Result<(), String> {
        let command = self.config_read(PCI_COMMAND)? & !off | on;
        self.file
            .write_all_at(&command.to_le_bytes(), self.config + PCI_COMMAND)
            .map_err(|e| format!("configuration space of {}: {e}", self.address))
    }

    fn config_read(&self, register: u64) -> Result<u16, String> {
        let mut bytes = [0; 2];
        self.file
            .read_exact_at(&mut bytes, self.config + register)
            .map_err(|e| format!("configuration space of {}: {e}", self.address))?;
        Ok(u16::from_le_bytes(bytes))
    }
}

/// The bus and the memory of one stack at a time.
#[derive(Debug)]
pub struct Lease {
    /// The memory, for the stack that has the bus; the bus keeps it alive.
    pub memory: DmaMemory,
    /// The registers.
    pub bus: VfioBus,
}

/// Registers as loads and stores. All memory is lent all the time: lending and taking back cost nothing.
#[derive(Debug)]
pub struct VfioBus {
    registers: Arc<Mapping>,
    _memory: Arc<Mapping>,
    keeper: Arc<Mutex<Keeper>>,
}

impl VfioBus {
    /// What a write to a register that has to do with the link becomes.
    fn kept(&self, offset: u32, value: u32) -> Option<u32> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.written(&self.registers, offset, value)
    }
}

impl Bus for VfioBus {
    fn read32(&mut self, offset: u32) -> u32 {
        self.registers.read32(offset as usize)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        fence(Ordering::SeqCst);
        let value = if Keeper::watches(offset) { self.kept(offset, value) } else { Some(value) };
        if let Some(value) = value {
            self.registers.write32(offset as usize, value);
        }
    }

    fn dma_map(&mut self, _addr: u64, _len: u32, _direction: Direction) {}

    fn dma_unmap(&mut self, _addr: u64, _len: u32) {}
}

/// The container and the group in it, with a type 1 (v2) IOMMU.
fn open_group(group: u32) -> Result<(File, File), String> {
    let open = |path: &str| {
        OpenOptions::new().read(true).write(true).open(path).map_err(|e| {
            let help = match e.kind() {
                std::io::ErrorKind::NotFound => "; `modprobe vfio-pci` makes it",
                std::io::ErrorKind::PermissionDenied => "; it takes root, or a right to the file (chown)",
                _ if e.raw_os_error() == Some(16) => "; another program has it open",
                _ => "",
            };
            format!("{path}: {e}{help}")
        })
    };
    let container = open("/dev/vfio/vfio")?;
    let version = sys::api_version(&container).map_err(|e| said("VFIO_GET_API_VERSION", e))?;
    if version != VFIO_API_VERSION as i32 {
        return Err(format!("VFIO of this kernel is version {version}, not {VFIO_API_VERSION}"));
    }
    if !sys::has_extension(&container, VFIO_TYPE1v2_IOMMU).unwrap_or(false) {
        return Err("VFIO has no type 1 IOMMU here; `modprobe vfio_iommu_type1` gets it".to_owned());
    }
    let path = format!("/dev/vfio/{group}");
    let group = open(&path)?;
    if sys::group_flags(&group).map_err(|e| said(&path, e))? & VFIO_GROUP_FLAGS_VIABLE == 0 {
        return Err(format!("{path} is not viable: another device of the group has a driver of the kernel"));
    }
    sys::set_container(&group, &container).map_err(|e| said("VFIO_GROUP_SET_CONTAINER", e))?;
    sys::set_iommu(&container, VFIO_TYPE1v2_IOMMU).map_err(|e| match e {
        Errno::EPERM => {
            "the IOMMU does not remap interrupts, and VFIO refuses it for that; where that is no danger: \
             echo 1 > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
                .to_owned()
        }
        e => said("VFIO_SET_IOMMU", e),
    })?;
    Ok((container, group))
}

/// At least so many bytes, of huge pages where there are any, and where the device finds them.
fn map_memory(container: &File, bytes: usize) -> Result<(Mapping, u64), String> {
    let bytes = bytes.next_multiple_of(HUGE_BYTES);
    let memory = Mapping::of_memory(bytes, true).or_else(|_| Mapping::of_memory(bytes, false));
    let memory = memory.map_err(|e| said(&format!("{bytes} bytes of memory"), e))?;
    let info = sys::iommu_info(container).map_err(|e| said("VFIO_IOMMU_GET_INFO", e))?;
    let ranges = iova_ranges(&info);
    let iova =
        place(&ranges, bytes as u64).ok_or_else(|| format!("the IOMMU has no room for {bytes} bytes"))?;
    sys::map_dma(container, &memory, iova).map_err(|e| match e {
        Errno::ENOMEM => {
            format!("{bytes} bytes cannot be locked; `ulimit -l` must be {} or more", bytes >> 10)
        }
        e => said("VFIO_IOMMU_MAP_DMA", e),
    })?;
    Ok((memory, iova))
}

fn said(what: &str, error: Errno) -> String {
    format!("{what}: {} ({error:?})", error.desc())
}

/// The ranges of addresses that the IOMMU lets a device use, first and last, out of `struct vfio_iommu_type1_info`; empty where
/// the kernel does not say (before Linux 5.4): then all are taken to be.
fn iova_ranges(info: &[u64]) -> Vec<(u64, u64)> {
    let word = |at: usize| info.get(at / 8).map(|word| (word >> (8 * (at % 8))) as u32);
    let long = |at: usize| Some(u64::from(word(at)?) | u64::from(word(at + 4)?) << 32);
    let mut ranges = Vec::new();
    if word(4).is_none_or(|flags| flags & VFIO_IOMMU_INFO_CAPS == 0) {
        return ranges;
    }
    // `cap_offset` is behind `argsz`, `flags` and `iova_pgsizes`; a capability begins with id and version, and where the next is.
    let mut at = word(16).unwrap_or(0) as usize;
    while at != 0 && at.is_multiple_of(4) && at < 8 * info.len() {
        let (Some(id), Some(next)) = (word(at), word(at + 4)) else { break };
        if id & 0xFFFF == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE {
            let count = word(at + 8).unwrap_or(0) as usize;
            let pair = |n: usize| Some((long(at + 16 + 16 * n)?, long(at + 24 + 16 * n)?));
            ranges.extend((0..count).map_while(pair));
        }
        // They stand one behind the other.
        if (next as usize) <= at {
            break;
        }
        at = next as usize;
    }
    ranges
}

/// Where `bytes` fit: at the wanted address, or as far up in a range as they can.
fn place(ranges: &[(u64, u64)], bytes: u64) -> Option<u64> {
    let holds = |&(first, last): &(u64, u64), at: u64| {
        first <= at && at.checked_add(bytes - 1).is_some_and(|end| end <= last)
    };
    if ranges.is_empty() || ranges.iter().any(|range| holds(range, WANTED_IOVA)) {
        return Some(WANTED_IOVA);
    }
    ranges.iter().rev().find_map(|range| {
        let at = range.1.checked_sub(bytes - 1)? & !(HUGE_BYTES as u64 - 1);
        holds(range, at).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::all_but_the_window_of_messages(&[(0, 0xfedf_ffff), (0xfef0_0000, 0xffff_ffff_ffff)], Some(WANTED_IOVA))]
    #[case::only_below_4_gib(&[(0, 0xfedf_ffff)], Some(0xfec0_0000))]
    #[case::not_said(&[], Some(WANTED_IOVA))]
    #[case::too_little(&[(0, 4095)], None)]
    fn memory_is_placed_where_the_iommu_reaches(#[case] ranges: &[(u64, u64)], #[case] at: Option<u64>) {
        assert_eq!(place(ranges, 2 << 20), at);
    }

    #[test]
    fn ranges_are_found_among_the_capabilities() {
        let mut info = vec![0_u64; 16];
        info[0] = 128 | u64::from(VFIO_IOMMU_INFO_CAPS) << 32;
        info[2] = 24;
        // Another capability, of 16 bytes; then that with two ranges.
        info[3] = 3 | 1 << 16 | 40 << 32;
        info[5] = u64::from(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) | 1 << 16;
        info[6] = 2;
        info[7..11].copy_from_slice(&[0, 0xfedf_ffff, 0xfef0_0000, 0xffff_ffff_ffff]);
        assert_eq!(iova_ranges(&info), [(0, 0xfedf_ffff), (0xfef0_0000, 0xffff_ffff_ffff)]);
        info[5] |= 24 << 32;
        assert_eq!(iova_ranges(&info).len(), 2, "a chain that goes back ends");
        info[0] = 128;
        assert!(iova_ranges(&info).is_empty());
    }
}
