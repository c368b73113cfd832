//! The few calls of the kernel that have no safe wrapper: device ioctls, `accept4`, packet sockets, socket options by number,
//! `poll`, `epoll_ctl` and `epoll_wait`, `fstat` by number, the policy of the scheduler, and what a process does between fork and exec.
#![expect(unsafe_code, reason = "they take raw pointers, give raw descriptors, or run in a forked process")]

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `_IOW('T', 202, int)`: makes the descriptor the other end of a network device.
const TUNSETIFF: u64 = nix::request_code_write!(b'T', 202, size_of::<libc::c_int>());
/// `_IOW('T', 226, int)`: carrier of the device, since Linux 4.20.
const TUNSETCARRIER: u64 = nix::request_code_write!(b'T', 226, size_of::<libc::c_int>());

nix::ioctl_write_ptr_bad!(tun_set_iff, TUNSETIFF, libc::ifreq);
nix::ioctl_write_ptr_bad!(tun_set_carrier, TUNSETCARRIER, libc::c_int);
nix::ioctl_write_ptr_bad!(set_address, libc::SIOCSIFADDR, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_netmask, libc::SIOCSIFNETMASK, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_hardware_address, libc::SIOCSIFHWADDR, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_mtu, libc::SIOCSIFMTU, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);
nix::ioctl_write_ptr_bad!(ask_ethtool, libc::SIOCETHTOOL, libc::ifreq);

/// A change to a device, as netdevice(7) has them.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// SIOCSIFHWADDR.
    Mac([u8; 6]),
    /// SIOCSIFMTU, in bytes.
    Mtu(i32),
    /// SIOCSIFADDR.
    Address(Ipv4Addr),
    /// SIOCSIFNETMASK.
    Netmask(Ipv4Addr),
    /// SIOCSIFFLAGS with IFF_UP.
    Up,
    /// SIOCSIFFLAGS: it does not ask for addresses (IFF_NOARP), and is up or not.
    Silent {
        /// IFF_UP.
        up: bool,
    },
}

/// An `ifreq` about this device, all else zero.
fn request(device: &str) -> Result<libc::ifreq, Errno> {
    let mut name = [0; libc::IFNAMSIZ];
    if device.len() >= name.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (to, from) in name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    Ok(libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_ifindex: 0 } })
}

/// The generic form of an IPv4 address, as an `ifreq` carries it.
fn generic(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
        *to = from.cast_signed();
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}

/// Makes an open `/dev/net/tun` a TAP device in the network namespace of the calling thread: TUNSETIFF with IFF_TAP and
/// IFF_NO_PI, without virtio headers, so that each read and write is one frame.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN, EBUSY if the device is there already.
pub fn make_tap(tun: BorrowedFd<'_>, device: &str) -> Result<(), Errno> {
    let mut ifreq = request(device)?;
    ifreq.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the pointer is to a whole ifreq that outlives the call; the kernel reads it and writes it back.
    unsafe { tun_set_iff(tun.as_raw_fd(), &raw const ifreq) }.map(drop)
}

/// Sets the carrier of a TAP device, as a cable that is put in or pulled would: TUNSETCARRIER.
///
/// # Errors
/// ENOTTY before Linux 4.20.
pub fn set_carrier(tun: BorrowedFd<'_>, up: bool) -> Result<(), Errno> {
    let value = libc::c_int::from(up);
    // SAFETY: the pointer is to an int that outlives the call; the kernel only reads it.
    unsafe { tun_set_carrier(tun.as_raw_fd(), &raw const value) }.map(drop)
}

/// Changes a device of the network namespace that `socket` (of any kind) belongs to.
///
/// # Errors
/// What netdevice(7) gives for the request.
pub fn change(socket: BorrowedFd<'_>, device: &str, change: Change) -> Result<(), Errno> {
    let mut ifreq = request(device)?;
    match change {
        Change::Mac(mac) => {
            let mut data = [0; 14];
            for (to, from) in data.iter_mut().zip(mac) {
                *to = from.cast_signed();
            }
            ifreq.ifr_ifru.ifru_hwaddr =
                libc::sockaddr { sa_family: libc::ARPHRD_ETHER as libc::sa_family_t, sa_data: data };
        }
        Change::Mtu(mtu) => ifreq.ifr_ifru.ifru_mtu = mtu,
        Change::Address(address) => ifreq.ifr_ifru.ifru_addr = generic(address),
        Change::Netmask(mask) => ifreq.ifr_ifru.ifru_netmask = generic(mask),
        Change::Up => ifreq.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short,
        Change::Silent { up } => {
            let flags = if up { libc::IFF_NOARP | libc::IFF_UP } else { libc::IFF_NOARP };
            ifreq.ifr_ifru.ifru_flags = flags as libc::c_short;
        }
    }
    let (fd, at) = (socket.as_raw_fd(), &raw const ifreq);
    // SAFETY: the pointer is to a whole ifreq that outlives the call, with the member set that the request reads.
    unsafe {
        match change {
            Change::Mac(_) => set_hardware_address(fd, at),
            Change::Mtu(_) => set_mtu(fd, at),
            Change::Address(_) => set_address(fd, at),
            Change::Netmask(_) => set_netmask(fd, at),
            Change::Up | Change::Silent { .. } => set_flags(fd, at),
        }
    }
    .map(drop)
}

/// What `struct ethtool_value` of the uapi is: a request, and a value that goes in or comes out.
#[repr(C)]
struct EthtoolValue {
    request: u32,
    data: u32,
}

/// One of the requests of SIOCETHTOOL that carry a single number; gives that number as the kernel left it.
///
/// # Errors
/// EOPNOTSUPP where the device does not have it.
pub fn ethtool(socket: BorrowedFd<'_>, device: &str, request: u32, data: u32) -> Result<u32, Errno> {
    let mut value = EthtoolValue { request, data };
    let mut ifreq = self::request(device)?;
    ifreq.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the ifreq and the value that it points to outlive the call; the requests of `features.rs`, which alone calls
    // this, read or write one number.
    unsafe { ask_ethtool(socket.as_raw_fd(), &raw const ifreq) }?;
    Ok(value.data)
}

/// What a device has set of a kind, by the request of SIOCETHTOOL that reads it (uapi `linux/ethtool.h`).
#[derive(Clone, Copy, Debug)]
pub enum Settings {
    /// `ETHTOOL_GCOALESCE`.
    Coalescing = 0x0e,
    /// `ETHTOOL_GRINGPARAM`.
    Rings = 0x10,
    /// `ETHTOOL_GPAUSEPARAM`.
    Pauses = 0x12,
    /// `ETHTOOL_GRXFHINDIR`.
    Indirection = 0x38,
    /// `ETHTOOL_GFEATURES`.
    Features = 0x3a,
    /// `ETHTOOL_GCHANNELS`.
    Channels = 0x3c,
}

/// How many words of features there is room for, with four numbers in each block of 32 features.
const FEATURE_BLOCKS: u32 = 8;

/// How many entries of an indirection table there is room for; a larger one is an error.
const TABLE_ENTRIES: u32 = 1024;

/// What a device has set, in the words of the kernel's struct; those behind it are zero.
///
/// # Errors
/// EOPNOTSUPP where the device does not have it.
pub fn ethtool_settings(socket: BorrowedFd<'_>, device: &str, settings: Settings) -> Result<Vec<u32>, Errno> {
    // The largest, the indirection table, has 2 words and its entries.
    let mut words = [0; 2 + TABLE_ENTRIES as usize];
    words[0] = settings as u32;
    words[1] = match settings {
        Settings::Features => FEATURE_BLOCKS,
        Settings::Indirection => TABLE_ENTRIES,
        _ => 0,
    };
    let mut ifreq = request(device)?;
    ifreq.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: the ifreq and the words that it points to outlive the call; each of the requests writes no more than they have room
    // for: 23 words of coalescing, 9 of rings and of channels, 4 of pauses, and of features and of the table as much as it is told.
    unsafe { ask_ethtool(socket.as_raw_fd(), &raw const ifreq) }?;
    Ok(words.to_vec())
}

/// Ties a packet socket to a device, for all protocols.
///
/// # Errors
/// Those of bind(2).
pub fn bind_to_device(socket: BorrowedFd<'_>, index: u32) -> Result<(), Errno> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: pointer and length are those of an address that outlives the call; the kernel only reads it.
    let status = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(status).map(drop)
}

/// How the calling thread is scheduled: sched_setscheduler(2).
///
/// # Errors
/// EPERM without CAP_SYS_NICE and RLIMIT_RTPRIO.
pub fn set_scheduler(policy: libc::c_int, priority: libc::c_int) -> Result<(), Errno> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a whole sched_param that outlives the call; the kernel only reads it.
    Errno::result(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) }).map(drop)
}

/// `accept4` with SOCK_CLOEXEC; the new socket blocks.
///
/// # Errors
/// Those of accept(2).
pub fn accept(listener: &OwnedFd) -> Result<OwnedFd, Errno> {
    let fd = nix::sys::socket::accept4(listener.as_raw_fd(), nix::sys::socket::SockFlag::SOCK_CLOEXEC)?;
    // SAFETY: the kernel has just given this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The inode of what a descriptor's number stands for at this moment.
///
/// # Errors
/// EBADF where no descriptor has that number.
pub fn inode(number: RawFd) -> nix::Result<libc::ino_t> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the number is asked about and nothing else, whatever it stands for by now; `status` is writable and as large as the
    // kernel takes it to be.
    Errno::result(unsafe { libc::fstat(number, status.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so all of it is written.
    Ok(unsafe { status.assume_init() }.st_ino)
}

/// `poll` on one descriptor: how many have events (0 or 1), and which. A negative time waits without end.
///
/// # Errors
/// Those of poll(2).
pub fn poll(fd: BorrowedFd<'_>, events: i16, timeout_ms: i32) -> Result<(i32, i16), Errno> {
    let mut one = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // SAFETY: the pointer is to one whole pollfd that is ours alone; the kernel reads it and writes `revents`.
    let count = unsafe { libc::poll(&raw mut one, 1, timeout_ms) };
    Errno::result(count).map(|count| (count, one.revents))
}

/// `epoll_ctl` by numbers: adds, changes or removes `fd` in the set of `epoll`.
///
/// # Errors
/// Those of epoll_ctl(2).
pub fn epoll_ctl(epoll: RawFd, op: i32, fd: RawFd, events: u32, data: u64) -> Result<(), Errno> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the pointer is to one whole epoll_event that is ours alone; the kernel only reads it.
    let status = unsafe { libc::epoll_ctl(epoll, op, fd, &raw mut event) };
    Errno::result(status).map(drop)
}

/// `epoll_wait` by number: the events and the data of what is ready. A negative time waits without end.
///
/// # Errors
/// Those of epoll_wait(2).
pub fn epoll_wait(epoll: RawFd, maxevents: i32, timeout_ms: i32) -> Result<Vec<(u32, u64)>, Errno> {
    let room = usize::try_from(maxevents).unwrap_or(0).max(1);
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; room];
    // SAFETY: the pointer is to `room` epoll_events that are ours alone, and the kernel writes no more than `maxevents`.
    let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), maxevents, timeout_ms) };
    let count = usize::try_from(Errno::result(count)?).unwrap_or(0);
    Ok(events.iter().take(count).map(|event| (event.events, event.u64)).collect())
}

/// Has the kernel kill a process when the thread that starts it dies, in whatever way: PR_SET_PDEATHSIG. It has no signal blocked,
/// though the harness waits for some in a thread of their own.
pub fn die_with_parent(command: &mut Command) {
    let at_start = || {
        SigSet::all().thread_unblock()?;
        prctl::set_pdeathsig(Some(Signal::SIGKILL)).map_err(std::io::Error::from)
    };
    // SAFETY: between fork and exec it makes two system calls, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(at_start) };
}

/// Has the kernel schedule a process and its threads in real time (SCHED_RR, the lowest priority), if that is allowed.
pub fn in_real_time(command: &mut Command) {
    let at_start = || {
        // Where it is forbidden, the process is an ordinary one.
        let _ = set_scheduler(libc::SCHED_RR, 1);
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(at_start) };
}

/// Lets a process have a descriptor under the number that it has here. It must be open until the process is started.
pub fn inherit(command: &mut Command, descriptor: BorrowedFd<'_>) {
    let number = descriptor.as_raw_fd();
    // SAFETY: between fork and exec it makes one system call, on a number; a wrong one is an error.
    let at_start = move || match unsafe { libc::fcntl(number, libc::F_SETFD, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(at_start) };
}

/// How many bytes that were sent on a socket its other end has not taken (SIOCOUTQ).
///
/// # Errors
/// Those of ioctl(2).
pub fn not_taken(socket: BorrowedFd<'_>) -> Result<i32, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int to where the pointer leads, which is ours.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    Errno::result(status).map(|_| bytes)
}

/// `setsockopt` by numbers.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_option(socket: &OwnedFd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: pointer and length are those of a slice that outlives the call; the kernel only reads it.
    let status =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    Errno::result(status).map(drop)
}

/// `getsockopt` by numbers: fills `value`, and gives how many bytes of it the kernel wrote.
///
/// # Errors
/// Those of getsockopt(2).
pub fn get_option(socket: &OwnedFd, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
    let mut length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: pointer and length are those of a slice that is ours alone; the kernel writes at most `length` bytes.
    let status = unsafe {
        libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length)
    };
    Errno::result(status).map(|_| (length as usize).min(value.len()))
}
