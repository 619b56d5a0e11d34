"""What a killed server leaves of its sandboxes, even of those that somebody stopped, is gone with the next start."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
from collections.abc import Iterator

from attack import Server, Skip, attack

MOUNT = pathlib.Path("/sys/fs/cgroup")
BUSY = "setsid bash -c 'while :; do :; done' > /dev/null 2>&1 & echo kept > kept; echo left"


def of(pid: int) -> list[pathlib.Path]:
    """The cgroups that hold the jails of a server's process."""
    return [place for place in MOUNT.rglob(f"heddle-jails-{pid}-*") if place.is_dir()]


def outer(server: Server, session: str) -> set[int]:
    """Those of a jail's processes that the server itself started."""
    return {pid for pid in server.jail(session) if parent(pid) == server.pid}


def parent(pid: int) -> int:
    """Whose child a process is."""
    with contextlib.suppress(OSError):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def left(server: Server, session: str) -> str:
    """Leaves a busy daemon in a session, and gives its name for a shell."""
    said = server.bash(session, BUSY)
    assert "left" in said, said
    return session


def gone_after_a_start(server: Server, session: str, before: set[int], pid: int) -> None:
    """The session goes on in its files, and of the old sandbox there is nothing."""
    server.start()
    said = server.bash(session, "cat kept")
    server.say(f"after the restart the session says {said!r}")
    assert "kept" in said, said
    server.until("the old processes are gone", lambda: not any(map(alive, before)))
    server.until("the old cgroups are gone", lambda: not of(pid))
    assert not before & server.jail(session)


def alive(pid: int) -> bool:
    """Whether it is there and no zombie."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@attack("a sandbox that was stopped when its server is killed ends, and its session goes on")
def stopped(server: Server) -> None:
    """Whoever stops its outer process keeps neither the folder nor the user from the next server."""
    session = left(server, server.session())
    before, pid = server.jail(session), server.pid
    for process in outer(server, session):
        os.kill(process, signal.SIGSTOP)
    server.kill()
    server.until("it ends without a server", lambda: not any(map(alive, before)))
    gone_after_a_start(server, session, before, pid)


@attack("a sandbox that is stopped after its server was killed is ended by the next one")
def stopped_later(server: Server) -> None:
    """It has a second to end, and is stopped within that."""
    session = left(server, server.session())
    before, pid, outers = server.jail(session), server.pid, outer(server, session)
    server.kill()
    for process in outers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)
    gone_after_a_start(server, session, before, pid)


@contextlib.contextmanager
def within(place: pathlib.Path) -> Iterator[None]:
    """This process, and what it starts, in another cgroup of version 1."""
    procs = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line.split(":")[2] for line in procs if line.split(":")[1] == "memory")
    home = MOUNT / "memory" / own.strip("/")
    place.mkdir()
    try:
        (place / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (home / "cgroup.procs").write_text(str(os.getpid()))


@attack("what a server left that ran in another cgroup is removed", users=("root",), start=False)
def elsewhere(server: Server) -> None:
    """Of version 1, where nobody else ends what is in it."""
    if not (MOUNT / "memory/cgroup.procs").exists():
        raise Skip("no cgroup v1 for memory")
    place = MOUNT / "memory" / f"heddle-attack-{os.getpid()}"
    with within(place):
        server.start()
        session = left(server, server.session())
        before, pid = server.jail(session), server.pid
        there = of(pid)
        server.kill()
    assert any(group.is_relative_to(place) for group in there), f"its jails are in {there}"
    gone_after_a_start(server, session, before, pid)
    place.rmdir()


if __name__ == "__main__":
    from run import alone

    alone()
