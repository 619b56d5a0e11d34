"""A small emulated Debian 12 in which attacks are tried that need what this machine may lack.

`vm.py --into FOLDER [--minutes N] [--user WHO] [NAME…]` makes the machine's disk in FOLDER once, starts it
without any network, runs the rows there that need cgroup v2, quotas of projects or systemd, prints what they
say, and lets it go down. HEDDLE_BIN and MODEL_SERVER_BIN name the two binaries, which must run on Debian 12.
Packages come through this machine's own apt. Ends with the line of `run.py`, or `0 passed, 1 failed` if it
never came.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "python"))

from process import binary_of, surroundings  # noqa: E402

SUITE = "bookworm"
# What is needed here: a program, and the package that brings it.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "debootstrap": "debootstrap",
    "busybox": "busybox-static",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "depmod": "kmod",
}
# What the machine has beside Debian's smallest set.
PACKAGES = "systemd-sysv,python3,e2fsprogs,kmod,quota,uidmap,procps"
KERNEL = "linux-image-cloud-amd64"
# What its kernel must load before it has a root, and what attacks want that nobody would load without udev.
MODULES = ("virtio_pci", "virtio_blk")
LATER = ("loop", "quota_v2", "overlay", "fuse", "bfq")
NEEDS = ("cgroup2", "quota", "systemd")
DISK_GIB, MEMORY_MIB, CPUS = 6, 1536, 2
# How much slower than the real machine an emulated one is; times that rows give are longer by this.
SLOWER = 6
PLAIN = 1001
KERNEL_WORDS = (
    "console=ttyS0 loglevel=5 panic=-1 mitigations=off systemd.show_status=0 systemd.unit=attacks.service"
)

INIT = """#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in $(cat /modules); do insmod $module; done
mount -t ext4 -o noatime /dev/vda /root || exec sh
mount -t ext4 -o ro /dev/vdb /root/opt/heddle || exec sh
umount /sys /proc
mount --move /dev /root/dev
exec switch_root /root /sbin/init
"""
SERVICE = """[Unit]
Description=Attacks on Heddle
FailureAction=poweroff-force
SuccessAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/heddle/inside
StandardOutput=file:/dev/ttyS1
StandardError=inherit
TimeoutStartSec=infinity
"""
INSIDE = f"""for module in {" ".join(LATER)}; do modprobe $module; done
export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/var/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export HEDDLE_BIN=/opt/heddle/heddle MODEL_SERVER_BIN=/opt/heddle/model-server HEDDLE_ATTACKS_SLOWER={SLOWER}
echo "$(systemctl --version | head -n 1), $(uname -sr), up after $(cut -d. -f1 /proc/uptime) s"
exec python3 /opt/heddle/clients/attacks/run.py $(cat /opt/heddle/words)
"""


def done(command: list[str], **more: Any) -> None:
    """Runs a program that has to succeed; shows what it said if it does not."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if ended.returncode != 0:
        said = (ended.stdout + ended.stderr)[-3000:]
        raise SystemExit(f"{command[0]} ended with {ended.returncode}:\n{said}")


def prepared() -> None:
    """Installs what is missing, or says what it is."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    os.environ["PATH"] = path
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)]
    if os.geteuid() != 0:
        wanted = f"apt-get install {' '.join(missing)}; " if missing else ""
        raise SystemExit(f"{wanted}the emulated Debian's disk is made by root: run this as root")
    if missing:
        print(f"installing {', '.join(missing)}", flush=True)
        env = surroundings(DEBIAN_FRONTEND="noninteractive")
        done(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing], env=env)


def archive() -> str:
    """Where this machine's apt has Debian 12 from."""
    shape = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
    asked = ["apt-get", "indextargets", "--format", shape, "Created-By: Packages"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    for line in told.splitlines():
        suite, component, place = line.split(" ", 2)
        if (suite, component) == (SUITE, "main"):
            return place
    raise SystemExit(f"this machine's apt knows no {SUITE} main: add a source of Debian 12")


def root(folder: pathlib.Path) -> None:
    """A whole Debian in `folder`, with a service in place of everything that a boot would do."""
    words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder), archive()]
    done(words)
    for cache in (folder / "var/cache/apt/archives").glob("*.deb"):
        cache.unlink()
    (folder / "etc/systemd/system/attacks.service").write_text(SERVICE)
    (folder / "etc/hostname").write_text("attacked\n")
    (folder / "opt/heddle").mkdir(parents=True)
    done(["chroot", str(folder), "useradd", "--uid", str(PLAIN), "--create-home", "attacked"])


def kernel(folder: pathlib.Path, into: pathlib.Path) -> pathlib.Path:
    """Unpacks Debian's kernel; its image goes to `into`, its modules' folder is given."""
    (package,) = re.findall(
        r"Depends: (linux-image-\S+)",
        subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=True).stdout,
    )
    done(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], cwd=folder)
    (file,) = folder.glob("*.deb")
    done(["dpkg-deb", "-x", str(file), str(folder / "kernel")])
    (image,) = (folder / "kernel/boot").glob("vmlinuz-*")
    shutil.copy(image, into / "vmlinuz")
    (modules,) = (folder / "kernel/lib/modules").iterdir()
    done(["depmod", "-b", str(folder / "kernel"), modules.name])
    return modules


def ordered(modules: pathlib.Path, names: tuple[str, ...]) -> list[pathlib.Path]:
    """The files of modules, each behind those that it needs."""
    below = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, needed = line.partition(":")
        below[pathlib.Path(file).name.removesuffix(".ko")] = [file, *needed.split()]
    files: list[str] = []
    for name in names:
        files += [file for file in reversed(below[name]) if file not in files]
    return [modules / file for file in files]


def initrd(folder: pathlib.Path, modules: pathlib.Path, into: pathlib.Path) -> None:
    """A busybox that loads what finds the disk, and hands over to it."""
    tree = folder / "initrd"
    for name in ("bin", "dev", "proc", "sys", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", tree / "bin/busybox")
    for name in ("sh", "mount", "umount", "insmod", "switch_root", "cat"):
        (tree / "bin" / name).symlink_to("busybox")
    files = ordered(modules, MODULES)
    for file in files:
        shutil.copy(file, tree / file.name)
    (tree / "modules").write_text(" ".join(f"/{file.name}" for file in files))
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    packed = subprocess.run(
        ["busybox", "cpio", "-o", "-H", "newc"],
        cwd=tree,
        input="\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))).encode(),
        capture_output=True,
        check=True,
    )
    (into / "initrd").write_bytes(gzip.compress(packed.stdout, 1))


def image(folder: pathlib.Path, into: pathlib.Path, size: str) -> None:
    """An ext4 that holds a folder."""
    into.unlink(missing_ok=True)
    done(["mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", str(folder), str(into), size])


def machine(into: pathlib.Path) -> None:
    """Makes the disk, once for each way in which it is made."""
    recipe = hashlib.sha256(
        repr((SUITE, PACKAGES, KERNEL, MODULES, INIT, SERVICE, DISK_GIB, PLAIN)).encode()
    ).hexdigest()
    stamp = into / "recipe"
    if stamp.exists() and stamp.read_text() == recipe:
        return
    print("making the disk of an emulated Debian 12: this takes minutes, once", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="heddle-vm-", dir=into) as made:
        folder = pathlib.Path(made)
        modules = kernel(folder, into)
        initrd(folder, modules, into)
        root(folder / "root")
        # Bookworm has one /lib, in /usr.
        shutil.copytree(modules, folder / "root/usr/lib/modules" / modules.name, symlinks=True)
        image(folder / "root", into / "root.ext4", f"{DISK_GIB}G")
    stamp.write_text(recipe)
    print(f"made in {time.monotonic() - began:.0f} s", flush=True)


def carried(into: pathlib.Path, words: list[str]) -> None:
    """What this run brings along: the binaries, the attacks, and which of them."""
    with tempfile.TemporaryDirectory(prefix="heddle-vm-", dir=into) as made:
        folder = pathlib.Path(made)
        folder.chmod(0o755)
        for variable, name in (("HEDDLE_BIN", "heddle"), ("MODEL_SERVER_BIN", "model-server")):
            shutil.copy(binary_of(variable), folder / name)
            (folder / name).chmod(0o755)
        for files in ("attacks", "python"):
            (folder / "clients" / files).mkdir(parents=True)
        shared = [HERE.parent / "python" / name for name in ("process.py", "scripts.py")]
        for file in [*HERE.glob("*.py"), *shared]:
            shutil.copy(file, folder / "clients" / file.parent.name)
        (folder / "words").write_text(" ".join(words))
        (folder / "inside").write_text(INSIDE)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        image(folder, into / "carried.ext4", f"{size // 2**20 + 32}M")


def booted(into: pathlib.Path, seconds: float) -> str:
    """Starts the machine, passes on what the attacks say, and gives their last line."""
    disk = "file={},if=virtio,format=raw,cache=unsafe"
    console = into / "console.log"
    command = [
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(CPUS)),
        *("-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-nic", "none", "-kernel", str(into / "vmlinuz"), "-initrd", str(into / "initrd")),
        *("-drive", disk.format(into / "root.ext4") + ",snapshot=on"),
        *("-drive", disk.format(into / "carried.ext4") + ",snapshot=on"),
        *("-serial", f"file:{console}", "-serial", "stdio"),
        *("-append", KERNEL_WORDS),
    ]
    last = ""
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    )
    bell = threading.Timer(seconds, child.kill)
    bell.start()
    began = time.monotonic()
    try:
        assert child.stdout
        for line in child.stdout:
            line = line.rstrip("\r\n")
            if re.fullmatch(r"\d+ passed, \d+ failed(, \d+ skipped)?", line):
                last = line
            else:
                print(line, flush=True)
        child.wait()
    finally:
        bell.cancel()
        child.kill()
        child.wait()
    print(f"the emulated machine was up for {time.monotonic() - began:.0f} s", flush=True)
    if not last:
        print(f"it never said what passed; its console:\n{console.read_text(errors='replace')[-3000:]}")
    return last


def main() -> int:
    """Makes, starts, and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=pathlib.Path, required=True, help="where the machine is kept")
    parser.add_argument("--minutes", type=float, default=15, help="how long it may be up")
    parser.add_argument("--user", help="only as this user")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    prepared()
    into = args.into.resolve()
    into.mkdir(parents=True, exist_ok=True)
    machine(into)
    user = [f"--user={args.user}"] if args.user else []
    carried(into, ["--all", *(f"--needing={need}" for need in NEEDS), *user, *args.names])
    last = booted(into, args.minutes * 60)
    print(last or "0 passed, 1 failed")
    return 0 if last.split(", ")[1:2] == ["0 failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
