//! A QEMU whose only inhabitant is an igb: started with a ROM that halts, and gone when the value is, whatever happens.

use super::memory::{GuestMemory, die_with_parent};
use super::qtest::Qtest;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The guest's memory in bytes.
pub const RAM_BYTES: usize = 64 << 20;
/// Where the register space of the igb is put.
pub const BAR0: u32 = 0xE000_0000;
const BAR3: u32 = 0xE004_0000;
const DEVICE: u32 = 4;
/// The words that MSI-X messages are written to, one a vector.
pub const MSI_WORDS: usize = 8 << 20;
const START: Duration = Duration::from_secs(10);

/// The address that the NIC has in its NVM.
pub const NVM_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// The machine, and our end of its wire.
pub struct Machine {
    pub qtest: Qtest,
    pub memory: GuestMemory,
    pub wire: UnixDatagram,
    child: Child,
    _folder: TempDir,
}

/// Why QEMU cannot be used here, or nothing when it can.
pub fn why_missing() -> Option<String> {
    let output = |arguments: &[&str]| {
        let out = Command::new("qemu-system-x86_64").args(arguments).stdin(Stdio::null()).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let Some(version) = output(&["--version"]) else {
        return Some("qemu-system-x86_64 is not installed".into());
    };
    let has_igb = output(&["-device", "help"]).is_some_and(|devices| devices.contains("name \"igb\""));
    let first = version.lines().next().unwrap_or_default();
    (!has_igb).then(|| format!("no igb in {first}; QEMU 8 or newer has it"))
}

impl Machine {
    /// Starts it, and gives its NIC addresses and MSI-X vectors.
    pub fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let path = |name: &str| folder.path().join(name);
        let text = |error: std::io::Error| format!("starting QEMU: {error}");
        fs::write(path("halt.rom"), halting_rom()).map_err(text)?;
        let wire = UnixDatagram::bind(path("h.sock")).map_err(text)?;
        let listener = UnixListener::bind(path("qt.sock")).map_err(text)?;
        listener.set_nonblocking(true).map_err(text)?;
        let mut child = spawn(&folder, &path("err.txt"))?;

        let deadline = Instant::now() + START;
        let connected = loop {
            match listener.accept() {
                Ok((stream, _)) => break Ok(stream),
                Err(_)
                    if Instant::now() < deadline && child.try_wait().is_ok_and(|status| status.is_none()) =>
                {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => break Err(error),
            }
        };
        let stream = connected.map_err(|error| {
            let _ = child.kill();
            let _ = child.wait();
            let mut said = String::new();
            let _ = File::open(path("err.txt")).and_then(|mut file| file.read_to_string(&mut said));
            format!("QEMU did not connect ({error}): {}", said.trim())
        });
        let prepared = stream.and_then(Qtest::new).and_then(|mut qtest| {
            // The first answer says that the machine is built, and with it the memory's file.
            let id = qtest.config_read(DEVICE, 0);
            if id != 0x10C9_8086 {
                return Err(format!("no 82576 in the slot, but {id:#010x}"));
            }
            let file = OpenOptions::new().read(true).write(true).open(path("ram")).map_err(text)?;
            Ok((qtest, GuestMemory::map(&file, RAM_BYTES)?))
        });
        match prepared {
            Ok((qtest, memory)) => {
                let mut machine = Self { qtest, memory, wire, child, _folder: folder };
                machine.wire.set_nonblocking(true).map_err(text)?;
                machine.wire.connect(machine._folder.path().join("w.sock")).map_err(text)?;
                machine.set_up_pci();
                Ok(machine)
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Addresses for the BARs, memory and bus mastering on, and each MSI-X vector as a write into memory.
    fn set_up_pci(&mut self) {
        for (register, value) in
            [(0x10, BAR0), (0x14, BAR0 + 0x2_0000), (0x18, 0xC000), (0x1C, BAR3), (0x20, 0), (0x04, 7)]
        {
            self.qtest.config_write(DEVICE, register, value);
        }
        for vector in 0..10 {
            let entry = BAR3 + 16 * vector;
            self.qtest.writel(entry, MSI_WORDS as u32 + 4 * vector);
            self.qtest.writel(entry + 4, 0);
            self.qtest.writel(entry + 8, 0xC0DE_0000 + vector);
            self.qtest.writel(entry + 12, 0);
        }
        let control = self.qtest.config_read(DEVICE, 0x70);
        self.qtest.config_write(DEVICE, 0x70, control | 1 << 31);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// 64 KiB of HLT, with `cli; hlt; jmp` to the HLT at the reset vector.
fn halting_rom() -> Vec<u8> {
    let mut rom = vec![0xF4; 64 << 10];
    rom[0xFFF0..0xFFF4].copy_from_slice(&[0xFA, 0xF4, 0xEB, 0xFD]);
    rom
}

fn spawn(folder: &TempDir, errors: &std::path::Path) -> Result<Child, String> {
    let errors = File::create(errors).map_err(|error| format!("starting QEMU: {error}"))?;
    let mut command = Command::new("qemu-system-x86_64");
    command
        .current_dir(folder.path())
        .args(["-accel", "tcg", "-bios", "halt.rom", "-display", "none", "-nodefaults", "-vga", "none"])
        .args(["-qtest-log", "/dev/null", "-qtest", "unix:qt.sock"])
        .args(["-object", &format!("memory-backend-file,id=m0,size={RAM_BYTES},mem-path=ram,share=on")])
        .args(["-machine", "q35,memory-backend=m0", "-m", "64M"])
        .args([
            "-netdev",
            "dgram,id=n0,local.type=unix,local.path=w.sock,remote.type=unix,remote.path=h.sock",
        ])
        .args(["-device", &format!("igb,netdev=n0,mac=52:54:00:12:34:56,addr={DEVICE}.0")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors);
    die_with_parent(&mut command);
    command.spawn().map_err(|error| format!("cannot start qemu-system-x86_64: {error}"))
}
