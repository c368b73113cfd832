"""The initramfs: modules of the kernel package and programs of this machine, in a cpio archive that needs no root to be made."""

import hashlib
import io
import lzma
import os
import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

from guest.kernel import Kernel, Unavailable, run

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
# What the commands of cases, the linux rig's lab and the vfio rig run; and what a shell needs to look around.
PROGRAMS = """dash modprobe mount umount ip tc ethtool nft sysctl ss tcpdump cat ls ln cp mv rm mkdir sleep uname dmesg head tail
grep sed cut tr seq basename dirname find sort wc echo printf test env kill readlink true false date timeout setsid setpriv chmod sha256sum tar tee touch""".split()
OPTIONAL = {"tcpdump", "ss", "setpriv"}
FILES = ["/etc/protocols", "/etc/services", "/etc/passwd", "/etc/group", "/etc/iproute2", "/usr/share/iproute2", "/usr/lib/tc"]
# Below kernel/ of the modules: the NIC, VFIO, and what `tc`, `nft` and virtual devices load by themselves.
MODULES = [r"drivers/net/ethernet/intel/igb/", r"drivers/vfio/", r"net/sched/", r"drivers/net/(tun|veth|dummy|ifb|tap)\.ko",
           r"net/netfilter/nf", r"net/ipv4/netfilter/nf", r"net/ipv4/tcp_", r"net/8021q/", r"net/packet/", r"net/ipv4/.*diag", r"net/unix/",
           r"drivers/char/virtio_console", r"drivers/virtio/",
           # What nf_tables finds by name when it is loaded.
           r"crypto/crc32c", r"arch/x86/crypto/crc32c"]


class Base:
    """The initramfs of every guest: `path`, the archive; `places`, what is in it."""

    def __init__(self, kernel: Kernel, cache: Path):
        modules_of = hashlib.sha256(repr(MODULES).encode()).hexdigest()[:8]
        folder = cache / "base" / f"{kernel.release}-{modules_of}"
        programs = {name: find(name) for name in PROGRAMS}
        # Another version of a program or a library is another guest.
        made_of = [(str(path), path.stat().st_mtime_ns) for path in programs.values() if path]
        made_of += [(path, os.stat(path).st_mtime_ns) for path in ["/etc/ld.so.cache"] if os.path.exists(path)]
        sources = [Path(__file__).read_bytes(), (Path(__file__).parent / "init").read_bytes(), repr(made_of).encode()]
        self.name = hashlib.sha256(b"".join([folder.name.encode(), *sources])).hexdigest()[:12]
        self.path = cache / "base" / f"{self.name}.cpio"
        known = self.path.with_suffix(".places")
        if not (self.path.exists() and known.exists()):
            if not folder.exists():
                modules(kernel, folder)
            archive, places = base(folder, programs)
            write(known, "\n".join(places).encode())
            write(self.path, archive)
        self.places = set(known.read_text().splitlines())


def write(path: Path, data: bytes) -> None:
    """All of it or nothing, also where two runs do so."""
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(data)
    part.rename(path)


def base(folder: Path, programs: dict[str, Path | None]) -> tuple[bytes, list[str]]:
    """An archive with the modules, and the programs with their libraries; and the places of all files."""
    files: dict[str, Path] = {}
    add_tree(files, folder, "")
    for name, source in programs.items():
        if source is not None:
            add_program(files, name, source)
    for path in FILES:
        if Path(path).exists():
            add_tree(files, Path(path), path)
    archive = Cpio()
    for name in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "proc", "sys", "dev", "run", "tmp", "etc", "root", "mnt"]:
        archive.folder(name)
    for name in ["bin", "sbin", "lib", "lib64"]:
        archive.link(name, f"usr/{name}")
    archive.link("usr/bin/sh", "dash")
    archive.link("etc/mtab", "/proc/mounts")
    archive.file("init", (Path(__file__).parent / "init").read_bytes(), True)
    for place, source in sorted(files.items()):
        archive.file(place.lstrip("/"), source.read_bytes(), os.access(source, os.X_OK))
    return archive.end(), sorted(files)


def extras(base: Base, extra: dict[str, Path]) -> bytes:
    """An archive of files of this machine at these places of the guest (a folder with all in it), as its tar unpacks it."""
    files: dict[str, Path] = {}
    for place, source in extra.items():
        if source.is_file() and os.access(source, os.X_OK):
            add_libraries(files, source)
        files = {place: source for place, source in files.items() if place not in base.places}
        add_tree(files, source, place)
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for place, source in sorted(files.items()):
            archive.add(source, place.lstrip("/"), recursive=False, filter=timeless)
    return whole.getvalue()


def timeless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The guest's clock may be behind this machine's."""
    entry.mtime = 0
    return entry


def find(name: str) -> Path | None:
    """A program that the guest needs; `None` where it can do without."""
    found = shutil.which(name, path=PATH)
    if found is None and name not in OPTIONAL:
        raise Unavailable(f"{name} is not here, and the guest needs it: ci/setup")
    return Path(found).resolve() if found else None


def modules(kernel: Kernel, base: Path) -> None:
    """Unpacks the modules that are wanted and those that they depend on, and lets depmod index them."""
    work = base.with_name(base.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    root = kernel.modules / "kernel"
    paths = {path.name.split(".ko")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
    wanted = [n for n, p in paths.items() if any(re.match(m, str(p.relative_to(root))) for m in MODULES)]
    done: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in done or name not in paths:
            continue
        done.add(name)
        path = paths[name]
        code = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        place = work / "usr/lib/modules" / kernel.release / "kernel" / path.relative_to(root).with_name(path.name.split(".ko")[0] + ".ko")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(code)
        depends = re.search(rb"\0depends=([^\0]*)\0", code)
        wanted += [d.replace("-", "_") for d in depends[1].decode().split(",") if d] if depends else []
    for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"]:
        if (kernel.modules / name).exists():
            shutil.copy(kernel.modules / name, work / "usr/lib/modules" / kernel.release)
    (work / "lib").symlink_to("usr/lib")
    depmod = shutil.which("depmod", path=PATH)
    if depmod is None:
        raise Unavailable("depmod is not here: apt-get install kmod")
    run([depmod, "-b", str(work), kernel.release])
    (work / "lib").unlink()
    shutil.rmtree(base, ignore_errors=True)
    work.rename(base)


def add_program(files: dict[str, Path], name: str, source: Path) -> None:
    # The name decides what the program does where one program has many (kmod).
    files[f"/usr/bin/{name}"] = source
    if name == "modprobe":
        # Where the kernel itself looks for it.
        files[f"/usr/sbin/{name}"] = source
    add_libraries(files, source)


def add_libraries(files: dict[str, Path], program: Path) -> None:
    said = subprocess.run(["ldd", str(program)], text=True, capture_output=True).stdout
    for path in re.findall(r"(/\S+) \(0x", said):
        place = str(Path(path).parent.resolve() / Path(path).name)
        # The loader is found by the name that programs have of it.
        place = path if path.startswith("/lib64/") else place
        files[re.sub(r"^/lib", "/usr/lib", place)] = Path(path).resolve()


def add_tree(files: dict[str, Path], source: Path, place: str) -> None:
    if not source.is_dir():
        files[place] = source.resolve()
        return
    for path in source.rglob("*"):
        if path.is_file():
            files[f"{place}/{path.relative_to(source)}"] = path


class Cpio:
    """An archive in the format `newc`, which the kernel unpacks."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.known: set[str] = set()

    def _add(self, name: str, mode: int, data: bytes) -> None:
        number = len(self.known) + 1
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        self.parts += [header, bytes(-len(header) % 4), data, bytes(-len(data) % 4)]
        self.known.add(name)

    def folder(self, name: str) -> None:
        if name and name != "." and name not in self.known:
            self.folder(os.path.dirname(name))
            self._add(name, stat.S_IFDIR | 0o755, b"")

    def link(self, name: str, to: str) -> None:
        self.folder(os.path.dirname(name))
        self._add(name, stat.S_IFLNK | 0o777, to.encode())

    def file(self, name: str, data: bytes, runs: bool) -> None:
        self.folder(os.path.dirname(name))
        self._add(name, stat.S_IFREG | (0o755 if runs else 0o644), data)

    def end(self) -> bytes:
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self.parts)
