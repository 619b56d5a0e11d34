"""A server that systemd starts: the same words for it as for a child of our own."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import signal
import subprocess
import time

from process import MARK

UNITS = pathlib.Path("/run/systemd/system")
# Seconds that systemd may take for one thing, on a slow machine.
PATIENCE = 120.0


def systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    """Asks systemd."""
    command = ["systemctl", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@dataclasses.dataclass(frozen=True)
class Service:
    """A program as systemd is told of it."""

    command: list[str]
    # Where what it writes goes.
    log: pathlib.Path
    env: dict[str, str]
    # Further lines, such as "Delegate=yes".
    properties: tuple[str, ...]
    user: int

    def written(self, name: str, kind: str) -> None:
        """Tells systemd of it under this name."""
        lines = ["[Service]", f"Type={kind}", "KillMode=mixed", f"User={self.user}", f"Group={self.user}"]
        lines += self.properties
        lines += [f"Environment={quoted(f'{variable}={value}')}" for variable, value in self.env.items()]
        lines += [f"ExecStart={' '.join(map(quoted, self.command))}"]
        lines += [f"StandardOutput=append:{self.log}", f"StandardError=append:{self.log}"]
        (UNITS / name).write_text("\n".join([*lines, ""]))
        systemctl("daemon-reload")
        systemctl("reset-failed", name)

    def said(self) -> str:
        """What it has written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def said_by(service: Service) -> str:
    """What a program says that systemd runs to its end."""
    name = f"heddle-said-{os.getpid()}.service"
    service.written(name, "oneshot")
    started = systemctl("start", name)
    (UNITS / name).unlink()
    return service.said() or started.stderr


class Unit:
    """A service that goes on, and says where it listens."""

    def __init__(self, service: Service) -> None:
        self.service, self.log, self.name = service, service.log, named(os.getpid())
        # Whoever asks a child for its number or its end asks the service.
        self.child = self
        self.returncode: int | None = None
        service.written(self.name, "exec")
        known = len(self.said())
        started = systemctl("start", self.name)
        if started.returncode != 0:
            raise SystemExit(f"the unit did not start: {started.stderr}{self.said()[known:][-4000:]}")
        self.url = self.listening(known)

    def listening(self, known: int) -> str:
        """Where it says that it listens, behind so much of its log."""
        deadline = time.monotonic() + PATIENCE
        while MARK not in (said := self.said()[known:]):
            if self.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the unit did not come up:\n{said[-4000:]}")
            time.sleep(0.1)
        return said.split(MARK, 1)[1].split()[0]

    def again(self) -> None:
        """Restarts it as an administrator does."""
        known = len(self.said())
        done = systemctl("restart", self.name)
        if done.returncode != 0:
            raise AssertionError(f"the unit did not restart: {done.stderr}")
        self.url = self.listening(known)

    def said(self) -> str:
        """What it has written."""
        return self.service.said()

    def shown(self, name: str) -> str:
        """A property, as systemd has it."""
        return systemctl("show", "--value", f"--property={name}", self.name).stdout.strip()

    @property
    def pid(self) -> int:
        """The number of its main process."""
        return int(self.shown("MainPID"))

    @property
    def cgroup(self) -> pathlib.Path:
        """Where its processes are."""
        return pathlib.Path("/sys/fs/cgroup/system.slice") / self.name

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        if self.shown("ActiveState") in ("active", "activating", "deactivating", "reloading"):
            return None
        self.returncode = int(self.shown("ExecMainStatus"))
        return self.returncode

    def end(self, how: signal.Signals) -> int:
        """Ends it, by SIGTERM as an administrator does, and gives its exit code."""
        if how == signal.SIGTERM:
            systemctl("stop", self.name)
        else:
            systemctl("kill", "--kill-whom=main", f"--signal={int(how)}", self.name)
        deadline = time.monotonic() + PATIENCE
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"the unit does not end: {self.shown('SubState')}")
            time.sleep(0.1)
        return code

    def close(self) -> None:
        """Ends it and forgets it."""
        forget(os.getpid())


def named(pid: int) -> str:
    """The unit of the row whose process this is."""
    return f"heddle-under-attack-{pid}.service"


def forget(pid: int) -> None:
    """Ends the unit of a row's process, if there is one."""
    if (UNITS / named(pid)).exists():
        systemctl("kill", "--signal=9", named(pid))
        systemctl("stop", named(pid))
        (UNITS / named(pid)).unlink()


def quoted(word: str) -> str:
    """A word for a unit's file."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
