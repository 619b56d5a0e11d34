"""A full disk: what was accepted is written, deletes work, the words are clear, and all heals."""

from __future__ import annotations

import itertools
import os
import signal

from attack import Server, attack, main

NAMES = itertools.count()
FULL = "the server's disk is full; nothing was written"


def fill(server: Server, least: int = 1) -> list[str]:
    """Takes all room on the server's disk, to the last block, or to the last of this many bytes."""
    before = os.geteuid()
    # As the server's user: what a file system keeps back for root is not for an agent to take.
    os.seteuid(server.uid)
    try:
        return take(server, least)
    finally:
        os.seteuid(before)


def take(server: Server, least: int) -> list[str]:
    """File after file, each as large as can be had."""
    taken = []
    size = 1 << 30
    while size >= least:
        path = str(server.data.parent / f"filler-{next(NAMES)}")
        with open(path, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
                taken.append(path)
                continue
            except OSError:
                pass
        os.unlink(path)
        size //= 2
    return taken


def free(server: Server) -> int:
    """Bytes that are free there."""
    disk = os.statvfs(server.data)
    return disk.f_bavail * disk.f_frsize


@attack("a disk with room kept on it is filled to the last block", mount="ext4:2048", seconds=300)
def kept(server: Server) -> None:
    """Commits and deletes go on in the room that was kept."""
    ballast = server.data / "ballast"
    server.until("the ballast is there", lambda: ballast.exists() and ballast.stat().st_size > 0)
    session, other = server.session(), server.session()
    server.say_to(session, "hello")
    server.wait_idle(session)
    taken = fill(server)
    server.say(f"{free(server)} bytes are free")
    for number in range(20):
        server.say_to(session, f"hello {number}")
        server.wait_idle(session)
    server.must("DELETE", f"/v1/sessions/{other}")
    server.say("20 turns and a delete were written on the full disk")
    for how in (signal.SIGKILL, signal.SIGTERM):
        server.kill(how)
        taken += fill(server)
        server.start()
        server.say_to(session, f"hello after {how.name}")
        server.wait_idle(session)
    server.say("and it starts on the full disk, after kill -9 and after an orderly end, and goes on")
    # Everything that was kept is used up in the end, and then it is said.
    words = "x" * 1_000_000
    answers = []
    for _ in range(400):
        taken += fill(server, 1 << 20)
        message = {"type": "user.message", "content": [{"type": "text", "text": words}]}
        status, answer = server.post(f"/v1/sessions/{session}/events", {"events": [message]})
        answers.append(status)
        if status >= 500:
            break
    assert status == 500 and FULL in str(answer), f"{status} {str(answer)[:300]}"
    server.say(f"{len(answers) - 1} messages of 1 MB were written before the disk was full for good")
    assert ballast.stat().st_size == 0, "the ballast was not given up before a write was refused"
    assert server.get("/v1/sessions")[0] == 200, "reading needs no room"
    assert "no such savepoint" not in server.log()
    assert str(server.data) in server.log(), "the log does not name the disk"
    for path in taken:
        os.unlink(path)
    server.until("writes go on by themselves", lambda: server.get("/v1/sessions")[0] == 200)
    path = f"/v1/sessions/{session}/events"
    server.until("a message is taken", lambda: server.post(path, {"events": [message]})[0] == 200, 60)
    server.until("the ballast is kept again", lambda: ballast.stat().st_size > 0, 40)
    log = server.data / "heddle.db-wal"
    server.say(f"healed without a restart; the write-ahead log holds {log.stat().st_size >> 20} MiB")


@attack("a small disk that is full from the start", mount="ext4:64", seconds=180)
def small(server: Server) -> None:
    """No room can be kept there: every write is refused in clear words, and all heals."""
    session = server.session()
    server.say_to(session, "hello")
    server.wait_idle(session)
    taken = fill(server)
    words = "x" * 1_000_000
    message = {"type": "user.message", "content": [{"type": "text", "text": words}]}
    seen = set()
    for _ in range(12):
        status, answer = server.post(f"/v1/sessions/{session}/events", {"events": [message]})
        seen.add(status)
        if status != 200:
            assert status == 500 and FULL in str(answer), f"{status} {str(answer)[:300]}"
        assert server.get("/v1/sessions")[0] == 200
    server.say(f"12 messages of 1 MB on the full disk: {sorted(seen)}")
    assert 500 in seen, "the disk was not full"
    assert "no such savepoint" not in server.log()
    for path in taken:
        os.unlink(path)
    path = f"/v1/sessions/{session}/events"
    server.until("a message is taken", lambda: server.post(path, {"events": [message]})[0] == 200, 60)
    assert server.restart(signal.SIGTERM) == 0
    server.must("GET", f"/v1/sessions/{session}/events?limit=5")
    server.say("healed without a restart, and a restart finds all")


if __name__ == "__main__":
    main()
