//! The kernel's count of the system calls of this process.

use crate::Result;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

const TRACEFS: &str = "/sys/kernel/tracing";

/// A trace of its own, which is gone with the value.
pub struct SystemCalls {
    folder: PathBuf,
    /// Whether it counts; `None` once it is to go, for the trace stays as long as one of its files is open.
    switch: Option<File>,
    /// How often work was counted.
    times: u64,
}

impl SystemCalls {
    /// Counts nothing yet.
    ///
    /// # Errors
    /// Why the kernel does not count, and what would have it do so.
    pub fn of_this_process() -> Result<Self> {
        let folder = Path::new(TRACEFS).join(format!("instances/nic_bench-{}", std::process::id()));
        let how = |e: std::io::Error| {
            format!(
                "{}: {e}; as root: mount -t tracefs tracefs {TRACEFS}, on a kernel with CONFIG_FTRACE_SYSCALLS",
                folder.display()
            )
        };
        fs::create_dir(&folder).map_err(how)?;
        let open = || {
            fs::write(folder.join("tracing_on"), "0")?;
            fs::write(folder.join("set_event_pid"), std::process::id().to_string())?;
            fs::write(folder.join("events/raw_syscalls/sys_enter/enable"), "1")?;
            File::options().write(true).open(folder.join("tracing_on"))
        };
        match open() {
            Ok(switch) => Ok(Self { folder, switch: Some(switch), times: 0 }),
            Err(error) => {
                let why = how(error);
                let _ = fs::remove_dir(&folder);
                Err(why)
            }
        }
    }

    /// Does something, and counts.
    ///
    /// # Errors
    /// What that gives, or that the count cannot be switched on or off.
    pub fn count(&mut self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.switch(b"1")?;
        let done = work();
        self.switch(b"0")?;
        self.times += 1;
        done
    }

    fn switch(&mut self, to: &[u8]) -> Result<()> {
        let switch = self.switch.as_mut().ok_or("the trace is gone")?;
        switch.write_all(to).map_err(|e| format!("{}/tracing_on: {e}", self.folder.display()))
    }

    /// How many there were in all that was counted.
    ///
    /// # Errors
    /// When the kernel did not count.
    pub fn counted(&self) -> Result<u64> {
        let path = self.folder.join("trace");
        let trace = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let counted = trace.lines().filter(|line| line.contains("sys_enter")).count() as u64;
        // Each time ends with the call that switches the count off.
        let more = counted.checked_sub(self.times);
        more.ok_or_else(|| {
            format!("the kernel counted {counted} system calls, and there were {} or more", self.times)
        })
    }
}

impl Drop for SystemCalls {
    fn drop(&mut self) {
        self.switch = None;
        let _ = fs::write(self.folder.join("events/raw_syscalls/sys_enter/enable"), "0");
        let _ = fs::remove_dir(&self.folder);
    }
}
