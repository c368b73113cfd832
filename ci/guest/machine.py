"""QEMU with a Debian kernel, a virtual IOMMU and two igb ports on one hub; it is gone when the run is, whatever happens."""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from guest.kernel import Kernel
from guest.qmp import Monitor, Refused

# What makes a boot under TCG short: no self-tests of ciphers, no calibration against timers.
QUICK = ("quiet no_timer_check tsc=reliable nokaslr mitigations=off random.trust_cpu=on cryptomgr.notests rodata=off "
         "initcall_blacklist=crypto_kdf108_init,jent_mod_init,init_encrypted,cec_init,load_system_certificate_list,trace_eval_init")
IOMMU = ["-device", "intel-iommu,intremap=on"]
# A switch below a root port that does not keep what is behind it apart: one IOMMU group.
SWITCH = ["-device", "pcie-root-port,id=root,addr=4.0,chassis=1,disable-acs=on", "-device", "x3130-upstream,id=switch,bus=root",
          "-device", "xio3130-downstream,id=a,bus=switch,chassis=2,slot=2,addr=0.0",
          "-device", "xio3130-downstream,id=b,bus=switch,chassis=3,slot=3,addr=1.0"]
# A nanosecond an instruction; while the guest sleeps, its clock jumps to what it waits for.
COUNTS = ["-icount", "shift=0,sleep=off"]
PR_SET_PDEATHSIG = 1


class Died(Exception):
    """The guest ended without telling how its command did."""


class Spoiled(Exception):
    """The snapshot cannot be used; it is gone now."""


@dataclass(frozen=True)
class Machine:
    """What of the guest is a choice."""
    megabytes: int
    cpus: int
    iommu: bool
    # The port under test is behind a switch with another NIC, in one IOMMU group.
    shared: bool
    # Its clock counts its instructions, so that no load of this machine makes it late, and skips what it sleeps.
    counts: bool


def boot(kernel: Kernel, initrd: Path, *, files: bytes, machine: Machine, seconds: float, log: Path, bring: Path | None,
         snapshot: Path | None) -> int:
    """Boots the guest, or takes it from a snapshot; gives it an archive of files, prints what its command prints, and gives its exit
    status. `bring` is the archive of files from it; `snapshot` where it is kept for the next time once it stands ready."""
    deadline = time.monotonic() + seconds
    restores = snapshot is not None and snapshot.exists()
    ends = [socket.socketpair() for _ in range(4)]
    words = command(kernel, initrd, machine, log, [theirs.fileno() for _, theirs in ends])
    words += ["-incoming", "defer"] if restores else []
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log.open("wb"),
                             pass_fds=[theirs.fileno() for _, theirs in ends], preexec_fn=die_with_parent)
    try:
        for _, theirs in ends:
            theirs.close()
        *ports, monitor = [ours for ours, _ in ends]
        stand_ready(child, Monitor(monitor), ports[1], deadline, snapshot, restores)
        ports[2].settimeout(max(1.0, deadline - time.monotonic()))
        ports[2].sendall(files)
        return talk(child, ports, deadline, bring)
    finally:
        child.kill()
        child.wait()
        for ours, _ in ends:
            ours.close()


def stand_ready(child: subprocess.Popen, monitor: Monitor, status: socket.socket, deadline: float, snapshot: Path | None,
                restores: bool) -> None:
    """Until the guest waits for its files: it says so once, before it is written to the snapshot."""
    if restores:
        try:
            return monitor.restore(snapshot)
        except (Refused, OSError) as why:
            snapshot.unlink(missing_ok=True)
            raise Spoiled(str(why)) from why
    status.settimeout(0.2)
    said = b""
    while not said.endswith(b"ready\n"):
        if child.poll() is not None or time.monotonic() > deadline:
            raise Died("the guest did not come up")
        try:
            said += status.recv(64)
        except (BlockingIOError, TimeoutError):
            continue
    if snapshot is None:
        return
    part = snapshot.with_suffix(f".{os.getpid()}.part")
    try:
        monitor.save(part)
        part.rename(snapshot)
    except (Refused, OSError) as why:
        part.unlink(missing_ok=True)
        print(f"ci/vfio-guest: the next run boots too: {why}", file=sys.stderr)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def command(kernel: Kernel, initrd: Path, machine: Machine, log: Path, fds: list[int]) -> list[str]:
    words = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "Nehalem", "-m", str(machine.megabytes),
             "-smp", str(machine.cpus),
             "-display", "none", "-vga", "none", "-nodefaults", "-no-reboot", "-serial", f"file:{log}.serial",
             "-kernel", str(kernel.vmlinux), "-initrd", str(initrd),
             "-append", f"console=ttyS0 panic=-1 {QUICK}{' intel_iommu=on' if machine.iommu else ''}{' counts=1' if machine.counts else ''}"]
    words += IOMMU if machine.iommu else []
    words += SWITCH if machine.shared else []
    words += COUNTS if machine.counts else []
    for port, slot in enumerate([4, 8]):
        # Two slots and more apart: igb reserves those of its virtual functions.
        words += ["-netdev", f"hubport,id=h{port},hubid=0",
                  "-device", f"igb,netdev=h{port},mac=52:54:00:12:34:{0x50 + port:02x},{place(port, slot, machine.shared)},romfile="]
    words += ["-device", "igb,mac=52:54:00:12:34:60,bus=b,romfile="] if machine.shared else []
    words += ["-device", "virtio-serial-pci,addr=1e.0"]
    *ports, monitor = fds
    words += ["-chardev", f"socket,id=qmp,fd={monitor}", "-mon", "chardev=qmp,mode=control"]
    for number, fd in enumerate(ports, 1):
        words += ["-chardev", f"socket,id=c{number},fd={fd}", "-device", f"virtserialport,chardev=c{number},nr={number}"]
    return words


def place(port: int, slot: int, shared: bool) -> str:
    return "bus=a" if shared and port == 0 else f"addr={slot}.0"


def talk(child: subprocess.Popen, ends: list[socket.socket], deadline: float, bring: Path | None) -> int:
    """Reads what the guest says until it has told how its command ended, and what it wrote before has come: each of its ports has a
    pace of its own."""
    said, status, archive = ends
    told, brought, spoken = b"", 0, False
    with selectors.DefaultSelector() as ready, bring.open("wb") if bring else contextlib.nullcontext() as sink:
        for end in ends:
            end.setblocking(False)
            ready.register(end, selectors.EVENT_READ)
        while not (told.endswith(b"\n") and spoken and brought >= int(told.split()[1])):
            if time.monotonic() > deadline:
                raise Died("the guest's time is up (--timeout)")
            events = ready.select(timeout=0.2)
            if not events and child.poll() is not None:
                raise Died("the guest ended before its command did")
            for key, _ in events:
                data = read(key.fileobj)
                if data == b"":
                    ready.unregister(key.fileobj)
                if key.fileobj is said:
                    spoken |= b"\0" in data
                    show(data.replace(b"\0", b""))
                elif key.fileobj is archive:
                    brought += len(data)
                    if sink:
                        sink.write(data)
                elif data == b"":
                    raise Died("the guest ended before its command did")
                else:
                    told += data
    return int(told.split()[0])


def read(end: socket.socket) -> bytes:
    """What has come; nothing: the other end is gone."""
    try:
        return end.recv(1 << 16)
    except ConnectionResetError:
        return b""


def show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
