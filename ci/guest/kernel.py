"""Debian's newest kernel package that apt knows, fetched and unpacked; nothing of it is committed."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

PACKAGE = "linux-image-amd64"
# How long the newest one is taken to be that, in seconds: apt takes some to tell.
ASK_EVERY = 24 * 3600
# In CI, how long is waited before it is tried again to fetch it, in seconds; and how long a try may take.
PAUSES = [5, 20, 60]
TRY = 600
ZSTD_MAGIC = bytes.fromhex("28b52ffd")


class Unavailable(Exception):
    """The machine lacks something that the guest needs; the text says what would get it."""


class Kernel:
    """An unpacked kernel package: `vmlinux`, and the folder of its modules."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.vmlinux = folder / "vmlinux"
        (self.modules,) = (folder / "lib/modules").iterdir()
        self.release = self.modules.name


def kernel(cache: Path) -> Kernel:
    """The newest one; from the cache where apt cannot be asked, or knows nothing newer."""
    last = cache / "kernels" / "newest"
    if last.exists() and time.time() - last.stat().st_mtime < ASK_EVERY and (folder := Path(last.read_text())).is_dir():
        return Kernel(folder)
    have = sorted(path for path in (cache / "kernels").glob("*") if (path / "vmlinux").exists())
    for pause in [*(PAUSES if os.environ.get("CI") == "true" else []), None]:
        try:
            package = newest_package()
            if package is None:
                raise Unavailable(f"apt knows no {PACKAGE} with a kernel: this takes Debian 12 or 13, and `apt-get update`")
            folder = cache / "kernels" / package.replace("+", "-")
            if not (folder / "vmlinux").exists():
                fetch(package, folder)
            last.write_text(str(folder))
            return Kernel(folder)
        except Unavailable as why:
            if have:
                return Kernel(have[-1])
            if pause is None or shutil.which("apt-get") is None:
                raise
            print(f"ci/vfio-guest: {why}; tried again in {pause} s", file=sys.stderr)
            time.sleep(pause)
            # The mirror may have another version by now than apt knows of.
            update()


def update() -> None:
    """Has apt ask the mirror what there is, where this user may do that."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and not shutil.which("sudo"):
        return
    with contextlib.suppress(Unavailable):
        run([*as_root, "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update"], check=False)


def newest_package() -> str | None:
    """The package that the newest version of the metapackage depends on (backports stand behind the stable one by default)."""
    if shutil.which("apt-cache") is None:
        return None
    shown = run(["apt-cache", "show", PACKAGE], check=False).stdout
    candidates = []
    for stanza in shown.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        depends = fields.get("Depends", "").split(" ")[0]
        if depends.startswith("linux-image-"):
            candidates.append((fields["Version"], depends))
    best = None
    for candidate in candidates:
        if best is None or run(["dpkg", "--compare-versions", candidate[0], "gt", best[0]], check=False).returncode == 0:
            best = candidate
    return best[1] if best else None


def fetch(package: str, folder: Path) -> None:
    """Downloads a package with apt and unpacks what is needed of it; no root."""
    work = folder.with_name(folder.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    fetched = run(["apt-get", "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30", "download", package], cwd=work, check=False)
    archives = list(work.glob("*.deb"))
    if fetched.returncode != 0 or not archives:
        said = fetched.stderr.strip().splitlines()[-1:] or ["apt-get said nothing"]
        shutil.rmtree(work, ignore_errors=True)
        raise Unavailable(f"no network for {package}: {said[0]}")
    run(["dpkg-deb", "-x", str(archives[0]), str(work)])
    archives[0].unlink()
    (image,) = (work / "boot").glob("vmlinuz-*")
    extract(image.read_bytes(), work / "vmlinux")
    # Debian 13 has /usr/lib/modules in the package.
    if (work / "usr/lib/modules").exists():
        (work / "lib").mkdir(exist_ok=True)
        shutil.move(work / "usr/lib/modules", work / "lib/modules")
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


def extract(image: bytes, into: Path) -> None:
    """Takes the uncompressed kernel out of a bzImage: booted directly, it spares the guest a second."""
    at = image.find(ZSTD_MAGIC)
    while at >= 0:
        # What follows the compressed part is no part of it, and zstd complains of that after it wrote everything.
        plain = subprocess.run(["zstd", "-dcq"], input=image[at:], capture_output=True).stdout
        if plain.startswith(b"\x7fELF"):
            into.write_bytes(plain)
            return
        at = image.find(ZSTD_MAGIC, at + 1)
    raise Unavailable("the kernel in the package is not compressed with zstd, as Debian's was so far")


def run(words: list[str], check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(words, check=check, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, text=True, capture_output=True,
                              timeout=TRY)
    except subprocess.TimeoutExpired as late:
        raise Unavailable(f"`{' '.join(words)}` took more than {TRY} s") from late
