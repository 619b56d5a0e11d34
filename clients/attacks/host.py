"""What a server under attack has of its machine: a disk of its own, a binary that it may run, a cgroup."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import shutil
import subprocess


@dataclasses.dataclass(frozen=True)
class Disk:
    """A small disk of its own for a data directory; it is gone when the row's processes are."""

    kind: str
    mib: int
    # Words for mkfs, and mount options.
    features: tuple[str, ...] = ()
    options: str = ""

    @classmethod
    def read(cls, said: str) -> Disk:
        """From "tmpfs:64" or "ext4:256"."""
        kind, mib = said.split(":")
        return cls(kind, int(mib))

    def needs(self) -> tuple[str, ...]:
        """What of the host."""
        if "prjquota" in self.options:
            return ("quota",)
        return ("root",) if self.kind == "tmpfs" else ("loop",)

    def command(self, folder: pathlib.Path, owner: int) -> str:
        """A shell's words that mount it on `folder`/disk for a user."""
        disk, image = shlex.quote(str(folder / "disk")), shlex.quote(str(folder / "disk.image"))
        options = f"{self.options}," if self.options else ""
        if self.kind == "tmpfs":
            mount = f"mount -t tmpfs -o {options}size={self.mib}m tmpfs {disk}"
        else:
            words = " ".join(map(shlex.quote, self.features))
            make = f"PATH=$PATH:/usr/sbin:/sbin mkfs.{self.kind} -q {words} {image}"
            mount = f"truncate -s {self.mib}M {image} && {make} && mount -o {options}loop {image} {disk}"
        return f"mkdir -p {disk} && {mount} && chown {owner}:{owner} {disk}"


def cgroup_of(pid: int) -> pathlib.Path:
    """Where a process is in the tree of version 2."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return pathlib.Path("/sys/fs/cgroup") / line[3:].strip("/")
    raise AssertionError(f"process {pid} is in no cgroup of version 2")


def readable(binary: str, folder: pathlib.Path, uid: int) -> str:
    """A path of this binary that a user can read and run: its own, or that of a copy in `folder`."""
    able = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", "test", "-x", binary, "-a"]
    if subprocess.run([*able, "-r", binary], check=False).returncode == 0:
        return binary
    copy = folder / pathlib.Path(binary).name
    try:
        os.link(binary, copy)
    except OSError:
        shutil.copy(binary, copy)
    copy.chmod(0o755)
    return str(copy)
