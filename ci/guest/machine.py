"""QEMU with a Debian kernel, a virtual IOMMU and two igb ports on one hub; it is gone when the run is, whatever happens."""

import ctypes
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from guest.kernel import Kernel

# What makes a boot under TCG short: no self-tests of ciphers, no calibration against timers.
QUICK = ("quiet no_timer_check tsc=reliable nokaslr mitigations=off random.trust_cpu=on cryptomgr.notests rodata=off "
         "initcall_blacklist=crypto_kdf108_init,jent_mod_init,init_encrypted,cec_init,load_system_certificate_list,trace_eval_init")
IOMMU = ["-device", "intel-iommu,intremap=on"]
# A switch below a root port that does not keep what is behind it apart: one IOMMU group.
SWITCH = ["-device", "pcie-root-port,id=root,addr=4.0,chassis=1,disable-acs=on", "-device", "x3130-upstream,id=switch,bus=root",
          "-device", "xio3130-downstream,id=a,bus=switch,chassis=2,slot=2,addr=0.0",
          "-device", "xio3130-downstream,id=b,bus=switch,chassis=3,slot=3,addr=1.0"]
PR_SET_PDEATHSIG = 1


class Died(Exception):
    """The guest ended without telling how its command did."""


def boot(kernel: Kernel, initrd: bytes, *, megabytes: int, cpus: int, iommu: bool, shared: bool, seconds: float, log: Path,
         bring: Path | None) -> int:
    """Boots the guest, prints what its command prints, and gives its exit status; `bring` is the archive of files from it."""
    with tempfile.TemporaryDirectory(prefix="vfio-guest-") as folder:
        path = Path(folder, "initrd")
        path.write_bytes(initrd)
        ends = [socket.socketpair() for _ in range(3)]
        words = command(kernel, path, megabytes, cpus, (iommu, shared), log, [theirs.fileno() for _, theirs in ends])
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log.open("wb"),
                                 pass_fds=[theirs.fileno() for _, theirs in ends], preexec_fn=die_with_parent)
        try:
            for _, theirs in ends:
                theirs.close()
            return talk(child, [ours for ours, _ in ends], time.monotonic() + seconds, bring)
        finally:
            child.kill()
            child.wait()
            for ours, _ in ends:
                ours.close()


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def command(kernel: Kernel, initrd: Path, megabytes: int, cpus: int, kind: tuple[bool, bool], log: Path, fds: list[int]) -> list[str]:
    iommu, shared = kind
    words = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "Nehalem", "-m", str(megabytes), "-smp", str(cpus),
             "-display", "none", "-vga", "none", "-nodefaults", "-no-reboot", "-serial", f"file:{log}.serial",
             "-kernel", str(kernel.vmlinux), "-initrd", str(initrd),
             "-append", f"console=ttyS0 panic=-1 {QUICK}{' intel_iommu=on' if iommu else ''}"]
    words += IOMMU if iommu else []
    words += SWITCH if shared else []
    for port, slot in enumerate([4, 8]):
        # Two slots and more apart: igb reserves those of its virtual functions.
        words += ["-netdev", f"hubport,id=h{port},hubid=0",
                  "-device", f"igb,netdev=h{port},mac=52:54:00:12:34:{0x50 + port:02x},{place(port, slot, shared)},romfile="]
    words += ["-device", "igb,mac=52:54:00:12:34:60,bus=b,romfile="] if shared else []
    words += ["-device", "virtio-serial-pci,addr=1e.0"]
    for number, fd in enumerate(fds, 1):
        words += ["-chardev", f"socket,id=c{number},fd={fd}", "-device", f"virtserialport,chardev=c{number},nr={number}"]
    return words


def place(port: int, slot: int, shared: bool) -> str:
    return "bus=a" if shared and port == 0 else f"addr={slot}.0"


def talk(child: subprocess.Popen, ends: list[socket.socket], deadline: float, bring: Path | None) -> int:
    """Reads what the guest says, to the line with the exit status; output that came before it is there then."""
    said, status, archive = ends
    sink = bring.open("wb") if bring else None
    told = b""
    with selectors.DefaultSelector() as ready:
        for end in ends:
            end.setblocking(False)
            ready.register(end, selectors.EVENT_READ)
        while not told.endswith(b"\n"):
            if time.monotonic() > deadline:
                raise Died("the guest's time is up (--timeout)")
            events = ready.select(timeout=0.2)
            if not events and child.poll() is not None:
                raise Died("the guest ended before its command did")
            for key, _ in events:
                data = read(key.fileobj)
                if data == b"":
                    ready.unregister(key.fileobj)
                    if key.fileobj is status:
                        raise Died("the guest ended before its command did")
                if key.fileobj is said:
                    show(data)
                elif key.fileobj is archive and sink:
                    sink.write(data)
                elif key.fileobj is status:
                    told += data
        for end, take in [(said, show), (archive, sink.write if sink else lambda _: None)]:
            while data := read(end):
                take(data)
    if sink:
        sink.close()
    return int(told)


def read(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except BlockingIOError:
        return b""
    except ConnectionResetError:
        return b""


def show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
