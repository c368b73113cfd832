//! One QEMU with a guest in it: started with what is needed and nothing else, spoken to, and gone when the value is.
//!
//! It inherits its ends of the control channel and of the wire as standard input and output, and a pipe as standard error, on which the
//! guest's serial line is too: so nothing lies in the file system, and nothing is left of it after a kill -9.

use super::crash::Crash;
use super::hang;
use super::monitor::Monitor;
use super::options::Accel;
use super::program::Qemu;
use super::starter::Starter;
use super::stopped;
use crate::rig::RigError;
use crate::rig::linux::ioctl;
use crate::rig::stop;
use guest::packet;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is kept of what QEMU and the guest say outside of the control channel.
const SAID_MAX: usize = 256 * 1024;
/// How long a QEMU that was killed takes to be gone.
const END: Duration = Duration::from_secs(5);
/// How long what a dead QEMU has said last takes to be heard.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// What QEMU says when the kernel cannot execute what the guest does.
const KVM_GAVE_UP: &str = "KVM internal error";
/// The guest's memory, in MiB.
const MEMORY: u32 = 128;

/// What a QEMU has.
#[derive(Clone, Copy, Debug)]
pub struct Hardware {
    /// The station address of its NIC.
    pub mac: [u8; 6],
    /// Its CPUs, 1 or more.
    pub cpus: u8,
    /// How they are had.
    pub accel: Accel,
    /// Whether somebody waits for it in real time: then it runs before what is ordinary, where that is allowed.
    pub is_urgent: bool,
}

/// A running QEMU.
pub struct Machine {
    child: Child,
    /// Were it gone, so would be the child.
    _starter: Arc<Starter>,
    control: UnixStream,
    monitor: Monitor,
    /// The harness's end of the cable: a frame is a datagram.
    pub wire: UnixDatagram,
    received: Vec<u8>,
    said: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
    image: PathBuf,
    /// What it has.
    pub hardware: Hardware,
}

impl Machine {
    /// Boots the image.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub fn start(qemu: &Qemu, image: &Path, hardware: Hardware) -> Result<Self, RigError> {
        let broken = |error: io::Error| RigError::Broken(format!("QEMU cannot be started: {error}"));
        let (control, theirs) = UnixStream::pair().map_err(broken)?;
        let (wire, their_wire) = UnixDatagram::pair().map_err(broken)?;
        let (monitor, monitored) = UnixStream::pair().map_err(broken)?;
        let (said, saying) = io::pipe().map_err(broken)?;
        wire.set_nonblocking(true).map_err(broken)?;
        let mut command = Command::new(&qemu.path);
        command
            .args(arguments(image, hardware, monitored.as_raw_fd()))
            .stdin(OwnedFd::from(theirs))
            .stdout(OwnedFd::from(their_wire))
            .stderr(saying);
        // It may be a script that starts QEMU: a group of their own, which ends as one.
        command.process_group(0);
        ioctl::die_with_parent(&mut command);
        if hardware.is_urgent {
            ioctl::in_real_time(&mut command);
        }
        ioctl::inherit(&mut command, monitored.as_fd());
        let starter = Starter::of_all().map_err(broken)?;
        let child = starter.start(command).map_err(broken)?;
        drop(monitored);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || listen(said, &heard))
        };
        Ok(Self {
            child,
            _starter: starter,
            control,
            monitor: Monitor::new(monitor),
            wire,
            received: Vec::new(),
            said: heard,
            listener: Some(listener),
            image: image.to_owned(),
            hardware,
        })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// How the guest died, or that it does not listen.
    pub fn send(&mut self, message: &[u8], deadline: Instant) -> Result<(), RigError> {
        let mut bytes = Vec::with_capacity(message.len() + 16);
        packet::write(message, &mut bytes);
        self.write(&bytes, deadline).map_err(|error| self.gone(&error))
    }

    fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let patience = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.control.set_write_timeout(Some(patience.min(stop::LOOK)))?;
            match self.control.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if may_wait(&error) && Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// How the guest died, or that it does not answer.
    pub fn receive(&mut self, deadline: Instant) -> Result<Vec<u8>, RigError> {
        let (mut bytes, mut opened) = ([0; 16 * 1024], 0);
        loop {
            match packet::take(&mut self.received) {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(bad) => {
                    return Err(RigError::Broken(format!("the guest cannot be understood any more: {bad}")));
                }
            }
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Err(self.gone(&ErrorKind::TimedOut.into()));
            }
            let read = self
                .control
                .set_read_timeout(Some(patience.min(stop::LOOK)))
                .and_then(|()| self.control.read(&mut bytes));
            match read {
                Ok(0) => return Err(self.gone(&ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                // The kernel may have given the guest up, which QEMU keeps standing then.
                Err(error) if may_wait(&error) && self.kvm_gave_up() => return Err(self.gone(&error)),
                Err(error) if error.kind() == ErrorKind::Interrupted || may_wait(&error) => {}
                Err(error) => return Err(self.gone(&error)),
            }
            let ready = packet::windows_to_open(&self.received, opened);
            if ready > opened {
                let window = vec![packet::OPEN; ready - opened];
                opened = ready;
                self.control.write_all(&window).map_err(|error| self.gone(&error))?;
            }
        }
    }

    fn kvm_gave_up(&self) -> bool {
        self.hardware.accel == Accel::Kvm && text(&self.said).contains(KVM_GAVE_UP)
    }

    /// Pulls the cable out of the NIC, or puts it back.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn set_link(&mut self, up: bool, deadline: Instant) -> Result<(), RigError> {
        self.monitor.set_link(up, deadline).map_err(|error| self.gone(&error))
    }

    /// From now on QEMU says when a CPU takes a triple fault. Before the guest is up it would tell of each CPU that is started, too.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn tell_of_resets(&mut self, deadline: Instant) -> Result<(), RigError> {
        self.monitor.ask("log cpu_reset", deadline).map(drop).map_err(|error| self.gone(&error))
    }

    /// What became of a guest with which one can speak no more.
    fn gone(&mut self, error: &io::Error) -> RigError {
        if stop::wanted() {
            return RigError::Broken("interrupted".to_owned());
        }
        let silent = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        let status = if silent { self.child.try_wait().ok().flatten() } else { self.wait(END) };
        if silent
            && status.is_none()
            && let Some(stopped) = stopped::in_group(self.child.id())
        {
            return RigError::Broken(stopped);
        }
        let mut said = self.heard();
        let is_unknown = Crash::find(&said).is_none() && !said.contains(KVM_GAVE_UP);
        if silent && status.is_none() && is_unknown {
            match self.where_it_hangs() {
                Ok(crash) if !crash.registers.is_empty() => {
                    return RigError::Broken(crash.explained(&self.image));
                }
                // It tells something else now, or nothing.
                _ => said = self.heard(),
            }
        }
        if let Some(crash) = Crash::find(&said) {
            return RigError::Broken(crash.explained(&self.image));
        }
        if said.contains(KVM_GAVE_UP) {
            return RigError::Broken(format!(
                "this machine's KVM cannot run the guest; use --accel tcg. QEMU said:\n{}",
                first_lines(&said)
            ));
        }
        let mut tail = last_lines(&said);
        if self.hardware.accel == Accel::Kvm {
            tail.push_str("\nit ran on this machine's KVM; --accel tcg does without");
        }
        RigError::Broken(match status {
            None if silent => format!("the guest does not answer{tail}"),
            None => format!("the guest closed the control channel, and QEMU runs on{tail}"),
            Some(status) if status.code() == Some(0) && said.contains(TERMINATED) => {
                format!("QEMU was ended{tail}")
            }
            Some(status) => format!("{}{tail}", ended(status, &said)),
        })
    }

    /// # Errors
    /// When QEMU does not answer either.
    fn where_it_hangs(&mut self) -> io::Result<Crash> {
        let Self { monitor, said, .. } = self;
        hang::examine(monitor, &mut || text(said))
    }

    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                _ => return None,
            }
        }
    }

    /// All that was said outside of the control channel.
    fn heard(&mut self) -> String {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            self.hear_the_end();
        }
        text(&self.said)
    }

    /// It is dead: the pipe ends, and with it who listens. What it started and left behind would keep both.
    fn hear_the_end(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        if !has_ended(&listener) {
            // Somebody of the group still has the pipe, so that its number is nobody else's.
            self.kill_group();
        }
        // A QEMU that a script has put into a group of its own still hears its monitor. Who keeps the pipe even so, has the thread.
        if !listener.is_finished() {
            let _ = self.monitor.ask("quit", Instant::now() + LAST_WORDS);
        }
        if has_ended(&listener) {
            let _ = listener.join();
        }
    }

    fn kill_group(&self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill_group();
        }
        let _ = self.child.wait();
        self.hear_the_end();
    }
}

/// Whether it ends within [`LAST_WORDS`].
fn has_ended(listener: &JoinHandle<()>) -> bool {
    let deadline = Instant::now() + LAST_WORDS;
    while !listener.is_finished() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    listener.is_finished()
}

/// Whether there is a reason to wait on: time is up for now, and nobody wants the run to stop.
fn may_wait(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !stop::wanted()
}

fn text(said: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// What QEMU says when a signal asks it to end.
const TERMINATED: &str = "terminating on signal";

/// What it says of one, where it was told to ([`Machine::tell_of_resets`]).
const TRIPLE_FAULT: &str = "Triple fault";

/// How a QEMU ended that should have run on.
fn ended(status: ExitStatus, said: &str) -> String {
    match (status.code(), status.signal()) {
        // With -no-reboot a triple fault is an orderly end.
        (Some(0), _) if said.lines().any(|line| line == TRIPLE_FAULT) => {
            "the guest's CPU was reset (a triple fault), and QEMU ended".to_owned()
        }
        (Some(0), _) => "QEMU ended with status 0, though nobody asked it to: the guest's CPU was reset and it did not say so, or it \
                         is a script that came to its end"
            .to_owned(),
        (Some(code), _) => format!("QEMU ended with status {code}"),
        (None, Some(signal)) => format!("QEMU was killed by signal {signal}"),
        (None, None) => "QEMU ended".to_owned(),
    }
}

fn first_lines(said: &str) -> String {
    said.lines().skip_while(|line| !line.contains(KVM_GAVE_UP)).take(2).collect::<Vec<_>>().join("\n")
}

fn last_lines(said: &str) -> String {
    let lines: Vec<_> = said.lines().rev().take(8).collect();
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = lines.into_iter().rev().collect();
    format!("; it said last:\n{}", lines.join("\n"))
}

fn listen(mut from: PipeReader, into: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 {
            break;
        }
        let mut said = into.lock().unwrap_or_else(PoisonError::into_inner);
        // A guest that floods the line is heard to the end, and kept up to a bound.
        let room = SAID_MAX.saturating_sub(said.len()).min(count);
        said.extend_from_slice(&bytes[..room]);
    }
}

fn arguments(image: &Path, hardware: Hardware, monitor: RawFd) -> Vec<String> {
    let Hardware { mac, cpus, accel, .. } = hardware;
    let [a, b, c, d, e, f] = mac;
    let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    let accel = match accel {
        Accel::Auto | Accel::Tcg => "tcg",
        Accel::Kvm => "kvm",
    };
    let mut arguments: Vec<String> = [
        "-machine",
        "q35,pit=off,hpet=off,sata=off,smbus=off",
        "-accel",
        accel,
        // One socket: so the numbers of the local APICs are those of the CPUs.
        "-smp",
        &format!("{cpus},sockets=1,cores={cpus},threads=1"),
        "-m",
        &format!("{MEMORY}M"),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-bios",
        "qboot.rom",
        "-serial",
        "file:/dev/stderr",
        "-device",
        "isa-debug-exit,iobase=0xf4,iosize=4",
        // 0 and 1: the ends that it inherits.
        "-chardev",
        "socket,id=control,fd=0",
        "-device",
        "virtio-serial-pci,disable-legacy=on",
        "-device",
        "virtconsole,chardev=control",
        "-chardev",
        &format!("socket,id=monitor,fd={monitor}"),
        "-mon",
        "chardev=monitor,mode=readline",
        "-netdev",
        "dgram,id=wire,local.type=fd,local.str=1",
        "-device",
        &format!("igb,id=nic,netdev=wire,romfile=,mac={mac},addr=4.0"),
    ]
    .map(str::to_owned)
    .into();
    if accel == "tcg" {
        // QEMU's time is that of its CPU, 1,024 ns an instruction: the device's timers need not be waited for.
        arguments.extend(["-icount", "shift=10,sleep=on"].map(str::to_owned));
    }
    arguments.extend(["-kernel".to_owned(), image.display().to_string()]);
    arguments
}
