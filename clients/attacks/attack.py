"""The frame of the attacks: how a row is declared, and what it may need of the host.

A row is a function in a file `aNNN_words.py` that gets a `Server` and raises AssertionError, with words,
when something does not hold. It is run once for each of its users, each time on a server, with a data
directory and a model server, of its own, in a process of its own.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

from host import Disk
from server import BASE, PLAIN, SLOWER, Refused, Server, Skip, text_of

__all__ = ["BASE", "PLAIN", "Disk", "SLOWER", "Refused", "Row", "Server", "Skip", "attack", "text_of"]

USERS = ("root", "plain")
# What a row may need of the host: to be root itself, loop devices, cgroup v2 with its controllers, ext4 with
# quotas of projects, to be started by systemd, or minutes.
NEEDS = ("root", "loop", "cgroup2", "quota", "systemd", "minutes")
# What may run beside a row. "many": it mostly waits, and so may others beside it. "some": it works, beside
# those that wait, and no other that works. "none": it uses the machine up, or measures what is the machine's.
BESIDE = ("many", "some", "none")


@dataclasses.dataclass(frozen=True)
class Row:
    """One attack: what it is called, what it needs, and how its server is started."""

    title: str
    run: Callable[[Server], None]
    # What the host must have: of NEEDS. A row with needs is left to `cargo x attack`.
    needs: tuple[str, ...]
    # Whom the server runs as: "root", "plain" or both.
    users: tuple[str, ...]
    # What may run beside it: of BESIDE.
    beside: str
    # Seconds after which it is ended, and has failed.
    seconds: float
    # How the server is started.
    setting: dict[str, Any]


# Every row of the files that were loaded, in their order.
ROWS: list[Row] = []


def attack(
    title: str,
    *,
    needs: tuple[str, ...] = (),
    slow: bool = False,
    users: tuple[str, ...] = USERS,
    beside: str = "some",
    seconds: float = 120.0,
    toml: str = "",
    args: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    limits: dict[str, int | tuple[int, int]] | None = None,
    mount: str | Disk | None = None,
    unit: tuple[str, ...] | None = None,
    start: bool = True,
) -> Callable[[Callable[[Server], None]], Callable[[Server], None]]:
    """Declares a row.

    `beside`: of BESIDE.
    `toml`, `args`, `env`: the server's settings. `limits`: {"nofile": 300} is a soft limit, a pair is soft
    and hard. `mount`: a disk of its own for the data directory, "tmpfs:64" or "ext4:256" (MiB) or a `Disk`.
    `unit`: systemd starts it, as a service with these lines, such as "Delegate=yes".
    `start`: whether the server runs when the row begins. `slow`: it takes minutes.
    """
    disk = Disk.read(mount) if isinstance(mount, str) else mount
    if disk:
        needs = tuple(dict.fromkeys((*needs, *disk.needs())))
    if unit is not None:
        needs = tuple(dict.fromkeys((*needs, "systemd")))
    needs = tuple(need.removeprefix("vm-") for need in needs) + (("minutes",) if slow else ())
    unknown = [need for need in needs if need not in NEEDS]
    if unknown:
        raise ValueError(f"{title}: no need is called {', '.join(unknown)}; known are {', '.join(NEEDS)}")
    if beside not in BESIDE:
        raise ValueError(f"{title}: beside is one of {', '.join(BESIDE)}, not {beside}")
    setting: dict[str, Any] = {
        "toml": toml,
        "args": args,
        "env": env,
        "limits": limits,
        "disk": disk,
        "unit": unit,
    }
    setting["running"] = start

    def declare(run: Callable[[Server], None]) -> Callable[[Server], None]:
        ROWS.append(Row(title, run, needs, users, beside, seconds * SLOWER, setting))
        return run

    return declare


def lacks(need: str) -> str | None:
    """What this machine is missing of what a row needs, in words."""
    return None if need == "minutes" else tried(need)


@functools.cache
def tried(need: str) -> str | None:
    """As `lacks`, of what has to be looked for."""
    if need == "root" or need in ("loop", "quota") and os.geteuid() != 0:
        return None if os.geteuid() == 0 else "it needs root"
    if need == "loop":
        return mounts(Disk("ext4", 16))
    if need == "quota":
        return mounts(Disk("ext4", 16, ("-O", "quota,project"), "prjquota"))
    if need == "systemd":
        return None if pathlib.Path("/run/systemd/system").is_dir() else "systemd does not run here"
    controllers = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    have = controllers.read_text().split() if controllers.exists() else []
    missing = sorted({"memory", "pids", "cpu", "io"} - set(have))
    return f"no cgroup v2 with {', '.join(missing)}" if missing else None


def mounts(disk: Disk) -> str | None:
    """What is wrong with mounting a small disk of this kind."""
    with tempfile.TemporaryDirectory(prefix="heddle-disk-") as folder:
        script = ["unshare", "--mount", "sh", "-c", disk.command(pathlib.Path(folder), os.geteuid())]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
    said = (done.stderr or done.stdout).strip().partition("\n")[0]
    return None if done.returncode == 0 else f"no {disk.options or disk.kind} on a loop device: {said}"
