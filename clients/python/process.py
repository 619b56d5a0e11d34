"""Processes under test: how they are found, what they are told, and where they listen."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import threading
from typing import IO

MARK = "listening on "
# Variables of the caller that would send the processes elsewhere.
STRAY = ("PROXY", "ANTHROPIC", "HEDDLE_")


def binary_of(variable: str) -> str:
    """The path that a variable of the environment names."""
    if variable not in os.environ:
        raise SystemExit(f"set {variable} to the binary's path")
    return os.environ[variable]


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a process: the caller's, without what leads astray."""
    kept = {
        name: value for name, value in os.environ.items() if not any(stray in name.upper() for stray in STRAY)
    }
    return kept | more


def drain(pipe: IO[str], log: IO[str]) -> None:
    """Keeps a pipe from filling up."""
    for line in pipe:
        log.write(line)
        log.flush()


def jail_of(session: str) -> set[int]:
    """The processes of a session's jail: those that are told its folder, and all below them."""
    parents, jail = {}, set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "cmdline").read_bytes()
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"\0jail\0" in told and session.encode() in told:
            jail.add(int(entry.name))
    while below := {pid for pid, parent in parents.items() if parent in jail} - jail:
        jail |= below
    return jail


class Process:
    """A child that says where it listens."""

    def __init__(self, name: str, command: list[str], log: pathlib.Path, env: dict[str, str]) -> None:
        self.log = log
        self.out = log.open("a")
        self.child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=self.out, text=True)
        assert self.child.stdout
        self.url = ""
        for line in self.child.stdout:
            self.out.write(line)
            if MARK in line:
                self.url = line.split(MARK, 1)[1].strip()
                break
        if not self.url:
            raise SystemExit(f"{name} did not start:\n{log.read_text()[-4000:]}")
        threading.Thread(target=drain, args=(self.child.stdout, self.out), daemon=True).start()

    def end(self, how: signal.Signals) -> int:
        """Ends the child and gives its exit code."""
        self.child.send_signal(how)
        code = self.child.wait(30)
        self.out.flush()
        return code

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text()[-3000:]

    def close(self) -> None:
        """Kills the child if it still runs, and closes its log."""
        if self.child.poll() is None:
            self.end(signal.SIGKILL)
        self.out.close()
