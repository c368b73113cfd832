//! Ports are put back as they were found: after every end of a run, and after a kill by the next run, from a file.

use super::super::tap::DEVICE;
use super::ports::{Found, device, sysctl_folders};
use super::program::{fails, items, json, output};
use super::records;
use super::settings::{self, Values};
use crate::rig::vfio::binding::Binding;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an interface may take to be there once its device has a driver.
const INTERFACE: Duration = Duration::from_secs(10);

/// What is written down before a port is touched.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The process that took the ports.
    pid: u32,
    /// When it began, in the kernel's ticks: numbers of processes come again.
    began: String,
    /// The network namespace that they were found in.
    home: String,
    /// The ports.
    ports: Vec<Found>,
    /// What the port under test was bound to, where its driver was taken from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binding: Option<Binding>,
}

/// The file with the record of a lab, for as long as the ports are away.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
}

/// The network namespace of the calling thread, by its number.
fn home() -> String {
    let link = fs::read_link("/proc/thread-self/ns/net");
    link.map_or_else(|_| String::new(), |path| path.display().to_string())
}

/// When a process began; `None`: it is not there.
fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have blanks in it; 20 fields after it is the time.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    (state != "Z").then(|| rest.nth(18).map(str::to_owned))?
}

impl StateFile {
    /// Writes down what was found, on the thread that is at home there.
    ///
    /// # Errors
    /// When another process has one of the ports; when it can be written nowhere.
    pub fn write(ports: &[Found], binding: Option<&Binding>) -> Result<Self, String> {
        let names: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
        free(&names)?;
        let pid = std::process::id();
        let began = began(pid).unwrap_or_default();
        let record = Record { pid, began, home: home(), ports: ports.to_vec(), binding: binding.cloned() };
        let text = serde_json::to_string_pretty(&record).map_err(|e| e.to_string())?;
        let mut why = String::new();
        for folder in records::folders() {
            let path = folder.join(format!("lab-{}.json", names[0]));
            let part = folder.join(format!("lab-{}.json.part", names[0]));
            // Whole or not at all.
            let written = fs::create_dir_all(&folder)
                .and_then(|()| fs::write(&part, &text))
                .and_then(|()| fs::File::open(&part)?.sync_all())
                .and_then(|()| fs::rename(&part, &path));
            match written {
                Ok(()) => return Ok(Self { path }),
                Err(e) => why += &format!(" {}: {e};", path.display()),
            }
        }
        Err(format!("what the ports are now cannot be written down, so they are not touched:{why}"))
    }

    /// The ports are back.
    pub fn remove(&self) {
        records::remove(&self.path);
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether no other run has one of these ports, by their names in the namespace of the calling thread or by their PCI addresses.
///
/// # Errors
/// Which one, and who has it.
pub fn free(names: &[&str]) -> Result<(), String> {
    for (path, record) in records().into_iter().filter(|(_, record)| record.home == home()) {
        let address = record.binding.as_ref().map(|binding| binding.address.to_string());
        let own = record.ports.iter().map(|port| &port.name).chain(&address);
        if let Some(name) = own.into_iter().find(|name| names.contains(&name.as_str())) {
            let (pid, path) = (record.pid, path.display());
            let end =
                if record.is_alive() { "" } else { ", which was killed: sudo wireproof doctor --repair" };
            return Err(format!("port {name} is taken by a run of process {pid} ({path}){end}"));
        }
    }
    Ok(())
}

/// All records that can be read.
fn records() -> Vec<(PathBuf, Record)> {
    let all = records::all(&records::folders()).into_iter();
    all.filter_map(|(path, record)| Some((path, record.ok()?))).collect()
}

/// What is to be said of those that cannot.
fn unreadable() -> impl Iterator<Item = String> {
    let all = records::all::<Record>(&records::folders()).into_iter();
    all.filter_map(|(path, record)| Some(records::unreadable(&path, &record.err()?, Path::new("/sys"))))
}

impl Record {
    /// Whether the run that took the ports is under way.
    fn is_alive(&self) -> bool {
        began(self.pid).is_some_and(|now| now == self.began)
    }
}

/// What runs have that are under way, a line each.
#[must_use]
pub fn in_use() -> Vec<String> {
    let alive = records().into_iter().filter(|(_, record)| record.is_alive());
    let told = alive.map(|(path, record)| {
        let names: Vec<_> = record.ports.iter().map(|port| port.name.as_str()).collect();
        format!("{} are taken by a run of process {} ({})", names.join(" and "), record.pid, path.display())
    });
    told.collect()
}

/// What runs that were killed have left, a line each; nothing is touched.
#[must_use]
pub fn left() -> Vec<String> {
    let dead = records().into_iter().filter(|(_, record)| !record.is_alive());
    let told = dead.map(|(path, record)| {
        let names: Vec<_> = record.ports.iter().map(|port| port.name.as_str()).collect();
        format!(
            "{} were taken by process {}, which was killed ({})",
            names.join(" and "),
            record.pid,
            path.display()
        )
    });
    told.chain(unreadable()).collect()
}

/// Puts back what a run that was killed has left; on a thread that is where the ports were found. Gives what was done, and what
/// could not be (`Err`), as lines for people.
pub fn recover() -> Vec<Result<String, String>> {
    let mut told = Vec::new();
    records::sweep(&records::folders());
    for (path, record) in records() {
        if record.is_alive() {
            continue;
        }
        let bound = record.binding.iter().map(|binding| {
            let driver = binding.driver.as_deref().unwrap_or("no driver");
            binding
                .back()
                .map(|()| format!("{} of a run that was killed has {driver} again", binding.address))
        });
        let mut done: Vec<_> = bound.collect();
        if let Some(port) = record.binding.as_ref().and(record.ports.first()) {
            wait_for(port);
        }
        done.extend(record.ports.iter().map(|port| recover_one(port, record.home == home())));
        let all_back = done.iter().all(Result::is_ok);
        for port in record.ports.iter().filter(|_| all_back) {
            done.extend(routes(port).into_iter().map(Err));
        }
        told.append(&mut done);
        if all_back {
            records::remove(&path);
        }
    }
    told.extend(unreadable().map(Err));
    told
}

/// Waits until a port that was bound to its driver again has its interface.
pub fn wait_for(port: &Found) {
    let deadline = Instant::now() + INTERFACE;
    while Instant::now() < deadline && !matches!(whereabouts(port), Ok(Some(_))) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Puts back one port of a run that was killed.
fn recover_one(port: &Found, at_home: bool) -> Result<String, String> {
    let name = &port.name;
    match whereabouts(port)? {
        Some(now) => {
            let wrong = put_right(port, &now);
            if wrong.is_empty() {
                Ok(format!("port {name} of a run that was killed is as it was (it was called {now})"))
            } else {
                Err(format!("port {name} of a run that was killed is not as it was: {}", wrong.join("; ")))
            }
        }
        None if port.is_virtual() => Ok(format!(
            "port {name} of a run that was killed was a {}, which is gone with its namespace; make it again",
            port.kind
        )),
        None if at_home => Ok(format!("port {name} of a run that was killed is not there any more")),
        None => Err(format!(
            "port {name} of a run that was killed is not in this network namespace: a card falls back into the first one; \
             run `wireproof doctor --repair` there"
        )),
    }
}

/// What a port is called now, in the namespace of the calling thread: a card is found by its place, anything by its address.
///
/// # Errors
/// When the interfaces cannot be listed.
pub fn whereabouts(port: &Found) -> Result<Option<String>, String> {
    let links = json(&["ip", "-j", "-d", "link", "show"])?;
    let is_it = |link: &serde_json::Value| {
        let name = link["ifname"].as_str().unwrap_or_default();
        if !port.device.is_empty() {
            return device(name) == port.device;
        }
        let kind = link["linkinfo"]["info_kind"].as_str().unwrap_or_default();
        let address = link["permaddr"].as_str().or_else(|| link["address"].as_str()).unwrap_or_default();
        kind == port.kind && address == port.permanent_mac
    };
    let found: Vec<_> = items(&links).filter(|link| is_it(link)).collect();
    // A card may have several ports in one place: their addresses tell them apart.
    let own = found.iter().find(|link| {
        [&link["permaddr"], &link["address"]].iter().any(|address| **address == port.permanent_mac.as_str())
    });
    let link = if found.len() > 1 { own } else { found.first() };
    Ok(link.and_then(|link| link["ifname"].as_str()).map(str::to_owned))
}

/// Brings a port, in the namespace of the trials, near to what it was, and moves it home.
///
/// # Errors
/// When it cannot be moved: then it is still here.
pub fn send_home(port: &Found, now: &str, home: &str) -> Result<(), String> {
    output(&["ip", "link", "set", "dev", now, "down"])?;
    output(&["ip", "link", "set", "dev", now, "netns", home, "name", &port.name]).map(drop)
}

/// Makes a port what it was, but for its routes; gives what could not be. On a thread where it was found.
#[must_use]
pub fn put_right(port: &Found, now: &str) -> Vec<String> {
    let name = port.name.as_str();
    if is_gone(now) {
        return vec![format!("port {name} is gone")];
    }
    let mut wrong = Vec::new();
    let mut step = |words: &[&str]| wrong.extend(fails(words));
    if now != name {
        step(&["ip", "link", "set", "dev", now, "down"]);
        step(&["ip", "link", "set", "dev", now, "name", name]);
    }
    let (mtu, queue) = (port.mtu.to_string(), port.queue.to_string());
    let device = ["ip", "link", "set", "dev", name];
    let mut set = |words: &[&str]| step(&[&device[..], words].concat());
    set(&["down"]);
    set(&["address", &port.mac]);
    set(&["mtu", &mtu, "txqueuelen", &queue]);
    for (flag, word, on) in [
        ("NOARP", "arp", false),
        ("MULTICAST", "multicast", true),
        ("PROMISC", "promisc", true),
        ("ALLMULTI", "allmulticast", true),
    ] {
        set(&[word, if port.has(flag) == on { "on" } else { "off" }]);
    }
    let hardware = super::hardware::Hardware::read(name);
    port.hardware.write(name, &hardware);
    wrong.extend(port.hardware.differences(&super::hardware::Hardware::read(name)));
    let own: Values = sysctl_folders(name).iter().flat_map(|folder| settings::read(folder)).collect();
    wrong.extend(settings::write_back(&port.sysctls, own));
    if port.is_up() {
        wrong.extend(fails(&["ip", "link", "set", "dev", name, "up"]));
    }
    for address in &port.addresses {
        let words = ["ip", "addr", "replace"].into_iter().chain(address.split(' ')).chain(["dev", name]);
        wrong.extend(fails(&words.collect::<Vec<_>>()));
    }
    wrong
}

/// Whether no interface of the calling thread's namespace has this name.
fn is_gone(name: &str) -> bool {
    fails(&["ip", "link", "show", "dev", name]).is_some_and(|why| why.contains("does not exist"))
}

/// Gives a port its routes again; those need the addresses of both. Gives what could not be.
#[must_use]
pub fn routes(port: &Found) -> Vec<String> {
    let mut wrong = Vec::new();
    // That it is gone was told when it was to be put right.
    if port.routes.is_empty() || is_gone(&port.name) {
        return wrong;
    }
    for route in &port.routes {
        let Some((family, rest)) = route.split_once(' ') else { continue };
        let words =
            ["ip", family, "route", "replace"].into_iter().chain(rest.split(' ')).chain(["dev", &port.name]);
        wrong.extend(fails(&words.collect::<Vec<_>>()));
    }
    wrong
}

/// The name that each port has while it is away.
#[must_use]
pub fn away(port: &Found, is_wire: bool) -> &str {
    if is_wire { &port.name } else { DEVICE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_beginning_and_one_that_is_not_there_has_none() {
        assert!(began(std::process::id()).is_some_and(|ticks| ticks.parse::<u64>().is_ok()));
        assert_eq!(began(u32::MAX), None);
    }
}
