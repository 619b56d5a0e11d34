"""A full disk: what was begun is written, deletes work, nothing new is taken, the words are clear, and all heals."""

from __future__ import annotations

import itertools
import os
import pathlib
import signal
import time

from attack import Server, attack
from server import PLAIN, script

NAMES = itertools.count()
FULL = "the server's disk is full; nothing was written"
WORDS = "x" * 1_000_000


def fill(server: Server, least: int = 1, uid: int | None = None) -> list[str]:
    """Takes all room on the server's disk, to the last block, or to the last of this many bytes."""
    folder = server.data.parent / "fillers"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    before = os.geteuid()
    # As the server's user unless said: what a file system keeps back for root is not for an agent to take.
    os.seteuid(server.uid if uid is None else uid)
    try:
        return take(folder, least)
    finally:
        os.seteuid(before)


def take(folder: pathlib.Path, least: int) -> list[str]:
    """File after file, each as large as can be had."""
    taken = []
    size = 1 << 30
    while size >= least:
        path = str(folder / f"filler-{next(NAMES)}")
        try:
            with open(path, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
                taken.append(path)
                continue
        except OSError:
            pass
        if os.path.exists(path):
            os.unlink(path)
        size //= 2
    return taken


def free(server: Server) -> int:
    """Bytes that are free there."""
    disk = os.statvfs(server.data)
    return disk.f_bavail * disk.f_frsize


def ballast(server: Server) -> int:
    """Bytes of the file that is given up at last."""
    path = server.data / "ballast"
    return path.stat().st_size if path.exists() else 0


def whole(server: Server) -> bool:
    """Whether all room is kept: a tenth of the disk, and no more than 64 MiB."""
    disk = os.statvfs(server.data)
    return ballast(server) >= min(disk.f_blocks * disk.f_frsize // 10, 64 << 20)


def refused(server: Server, session: str) -> None:
    """Nothing new is taken, and that is said."""
    message = {"type": "user.message", "content": [{"type": "text", "text": WORDS}]}
    status, answer = server.post(f"/v1/sessions/{session}/events", {"events": [message]})
    assert status == 500 and FULL in str(answer), f"{status} {str(answer)[:300]}"
    status, answer = server.post("/v1/environments", {"name": f"full-{next(NAMES)}"})
    assert status == 500 and FULL in str(answer), f"{status} {str(answer)[:300]}"
    status, answer = server.post("/v1/sessions", server.made)
    assert status == 500 and FULL in str(answer), f"{status} {str(answer)[:300]}"
    status, answer = server.get("/readyz")
    assert status == 529 and "full" in str(answer), f"/readyz: {status} {answer}"


def healed(server: Server, session: str) -> None:
    """Writes go on by themselves, and room is kept again."""
    message = {"type": "user.message", "content": [{"type": "text", "text": WORDS}]}
    deadline = time.monotonic() + 60
    while (told := server.post(f"/v1/sessions/{session}/events", {"events": [message]}))[0] != 200:
        assert time.monotonic() < deadline, f"it does not heal: {str(told)[:300]}"
        time.sleep(0.5)
    server.wait_idle(session)
    server.until("the server is ready again", lambda: server.get("/readyz")[0] == 200)
    server.until("the ballast is kept again", lambda: whole(server), 40)


def begun(server: Server, session: str) -> str:
    """A turn that is under way for some seconds, and says much."""
    work = [{"name": "bash", "input": {"command": "echo here > /tmp/here; sleep 8; seq 20000"}}]
    return server.say_to(session, script({"text": "", "tools": work}, {"text": "y" * 100_000}))


@attack("a disk with room kept on it is filled to the last block", mount="ext4:2048", seconds=300)
def kept(server: Server) -> None:
    """What was begun comes to its end in the room that was kept; nothing that clients bring eats it."""
    server.until("room is kept", lambda: whole(server))
    idle, gone, rests, stopped = (server.session() for _ in range(4))
    for session in (idle, gone, rests):
        server.say_to(session, "hello")
        server.wait_idle(session)
    busy = [(session, begun(server, session)) for session in (server.session() for _ in range(3))]
    begun(server, stopped)
    time.sleep(3)
    taken = fill(server)
    server.say(f"{free(server)} bytes are free")
    refused(server, idle)
    server.must("POST", f"/v1/sessions/{stopped}/events", {"events": [{"type": "user.interrupt"}]})
    server.wait_idle(stopped)
    for session, after in busy:
        said = server.results(session, after)
        assert len(said) == 1 and not said[0].get("is_error"), said
        last = server.must("GET", f"/v1/sessions/{session}/events?order=desc&limit=9")["data"]
        assert any("yyyy" in str(event) for event in last), "the model's answer was not kept"
    server.must("POST", f"/v1/sessions/{rests}/archive")
    server.must("DELETE", f"/v1/sessions/{gone}")
    server.say("three turns came to their end, one was interrupted, one session archived and one deleted")
    before = server.log().count("requests failed")
    began = time.monotonic()
    for _ in range(60):
        refused(server, idle)
    lines, seconds = server.log().count("requests failed") - before, time.monotonic() - began
    told = ("requests failed", "requests without a key failed")
    errors = [line for line in server.log().splitlines() if "ERROR" in line and not any(map(line.count, told))]
    server.say(f"240 refused requests in {seconds:.1f} s made {lines} lines of the log")
    assert lines <= seconds + 2, lines
    assert not errors, errors[:3]
    assert whole(server), "what clients brought has eaten the room that is kept"
    for how in (signal.SIGKILL, signal.SIGTERM):
        server.kill(how)
        taken += fill(server)
        server.start()
        refused(server, idle)
        assert server.get(f"/v1/sessions/{idle}/events")[0] == 200
        server.must("DELETE", f"/v1/sessions/{busy.pop()[0]}")
        server.say(f"it starts on the full disk after {how.name}, reads and deletes")
    assert "no such savepoint" not in server.log()
    assert str(server.data) in server.log(), "the log does not name the disk"
    for path in taken:
        os.unlink(path)
    healed(server, idle)
    log = server.data / "heddle.db-wal"
    server.say(f"healed without a restart; the write-ahead log holds {log.stat().st_size >> 20} MiB")


@attack("a small disk keeps its share of room", mount="ext4:64", seconds=180)
def small(server: Server) -> None:
    """There, too, deletes work, nothing new is taken, and all heals."""
    server.until("room is kept", lambda: whole(server))
    session, gone = server.session(), server.session()
    server.say_to(session, "hello")
    server.wait_idle(session)
    taken = fill(server)
    for _ in range(12):
        refused(server, session)
        assert server.get("/v1/sessions")[0] == 200
    server.must("DELETE", f"/v1/sessions/{gone}")
    server.say(f"on the full disk nothing new was taken and a session deleted; {ballast(server) >> 20} MiB kept")
    for path in taken:
        os.unlink(path)
    healed(server, session)
    assert server.restart(signal.SIGTERM) == 0
    server.must("GET", f"/v1/sessions/{session}/events?limit=5")
    server.say("healed without a restart, and a restart finds all")


def starts(server: Server) -> None:
    """Whoever filled the disk and however the last server ended: the next one starts, reads and deletes."""
    session = server.session()
    server.say_to(session, "hello")
    server.wait_idle(session)
    for filler, how in itertools.product((PLAIN, 0), (signal.SIGKILL, signal.SIGTERM)):
        server.until("room is kept", lambda: whole(server), 40)
        gone = server.session()
        # What root takes goes into what a file system keeps back for root, out of which nothing comes back.
        taken = fill(server, uid=filler)
        server.kill(how)
        taken += fill(server, uid=filler)
        began = time.monotonic()
        server.start()
        took = time.monotonic() - began
        refused(server, session)
        server.must("GET", f"/v1/sessions/{session}/events?limit=5")
        server.must("DELETE", f"/v1/sessions/{gone}")
        who = "root" if filler == 0 else "a plain user"
        server.say(f"filled by {who}, ended by {how.name}: it starts in {took:.1f} s, reads and deletes")
        for path in taken:
            os.unlink(path)
        healed(server, session)


@attack("starts on a full disk of 300 MiB", mount="ext4:300", seconds=400)
def starts_small(server: Server) -> None:
    starts(server)


@attack("starts on a full disk of 4 GB", mount="ext4:4096", seconds=400)
def starts_large(server: Server) -> None:
    starts(server)


@attack("a start for which nothing is left says so", mount="ext4:64", start=False)
def nothing(server: Server) -> None:
    """One sentence that says what to do, and exit status 1."""
    server.data.mkdir(mode=0o700)
    os.chown(server.data, server.uid, -1)
    # No server has kept anything here yet.
    taken = fill(server) + fill(server, uid=0)
    told = server.heddle("serve", "--listen", "127.0.0.1:0", "--sandbox", "local")
    last = told.stderr.strip().splitlines()[-1]
    server.say(f"exit status {told.returncode}: {last[:200]}")
    assert told.returncode == 1 and "Traceback" not in told.stderr, told
    assert "full" in last and "start the server again" in last, told.stderr
    for path in taken:
        os.unlink(path)
    server.start()
    server.bash(server.session(), "true")


if __name__ == "__main__":
    from run import alone

    alone()
