"""Who fills the server's disk is cut back; neighbours, requests and deletions go on."""

from __future__ import annotations

import os
import threading
import time

from attack import Disk, Server, attack, text_of

# Writes until it is stopped: by reserving room, which takes a disk in no time, else by writing.
FILL = (
    "i=0; while :; do fallocate -l 200M more$i 2>/dev/null || head -c 200M /dev/zero > more$i; "
    "i=$((i+1)); done"
)
ENTRIES = """python3 -c '
import itertools, os
for n in itertools.count():
    os.mkdir(f"d{n}")
    for f in range(200): os.close(os.open(f"d{n}/{f}", os.O_CREAT))
'"""
# Goes on for as long as the attack takes.
STEADY = "for i in $(seq 60); do echo $i > step; sleep 0.1; done; echo finished"


def free_mib(server: Server) -> int:
    """What the disk has left."""
    room = os.statvfs(server.data)
    return room.f_bavail * room.f_frsize >> 20


def requests(server: Server, stop: threading.Event, seen: list[tuple[int, float]]) -> None:
    """Sends messages to a session that has nothing else to do."""
    session = server.session()
    while not stop.is_set():
        began = time.monotonic()
        message = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}
        status, _ = server.post(f"/v1/sessions/{session}/events", {"events": [message]})
        seen.append((status, time.monotonic() - began))
        stop.wait(0.05)


def attacked(server: Server, command: str) -> str:
    """Lets an offender run this beside a neighbour and requests; gives what the offender was told."""
    offender, neighbour = server.session(), server.session()
    server.bash(offender, "head -c 20M /dev/zero > kept; echo small > small")
    server.bash(neighbour, "true")
    # Nobody tells that a sandbox has looked at what was there before: it does so every few seconds.
    time.sleep(6)
    said: dict[str, str] = {}
    seen: list[tuple[int, float]] = []
    stop = threading.Event()
    steady = threading.Thread(target=lambda: said.update(neighbour=server.bash(neighbour, STEADY)))
    posts = threading.Thread(target=requests, args=(server, stop, seen))
    for thread in (steady, posts):
        thread.start()
    began = time.monotonic()
    told = server.bash(offender, command, timeout_ms=60_000)
    server.say(f"the offender was stopped after {time.monotonic() - began:.1f} s, {free_mib(server)} MiB free")
    steady.join()
    stop.set()
    posts.join()
    server.say(f"it was told: {told[-300:]!r}")
    bad = [status for status, _ in seen if status >= 300]
    slowest = max(seconds for _, seconds in seen)
    server.say(f"{len(seen)} requests meanwhile, {len(bad)} refused, the slowest {slowest:.2f} s")
    assert said.get("neighbour", "").endswith("finished\n"), f"the neighbour was told {said}"
    assert not bad, f"requests were answered {sorted(set(bad))}"
    assert "the server's disk is nearly full" in told and "this session's files grew most" in told
    assert server.log().count("was cut back") >= 1
    kept = server.bash(offender, "stat -c %s kept; cat small; echo on > new && cat new")
    assert kept.endswith("20971520\nsmall\non\n"), f"what was there before is {kept!r}"
    assert server.delete(f"/v1/sessions/{offender}")[0] == 200, "the session cannot be deleted"
    assert server.bash(server.session(), "echo works").endswith("works\n")
    return told


@attack("a loop that fills the disk", mount="ext4:2048", seconds=200, toml="[sandbox]\ndisk_free_mib = 512\n")
def filled(server: Server) -> None:
    """Only the offender is ended, what it wrote goes, and the disk has room again."""
    told = attacked(server, FILL)
    assert "removed or cut short" in told and "/workspace/more" in told, told
    assert free_mib(server) >= 500, f"only {free_mib(server)} MiB are free afterwards"


@attack(
    "a loop that takes every inode",
    mount=Disk("ext4", 1024, ("-N", "65536")),
    seconds=200,
    toml="[sandbox]\ndisk_free_mib = 64\n",
)
def entries(server: Server) -> None:
    """The same for files that take no room but their names."""
    attacked(server, ENTRIES)
    assert os.statvfs(server.data).f_favail > 6_000, "there is no room for files afterwards"


@attack("commands on a disk that is nearly full", mount="ext4:256", toml="[sandbox]\ndisk_free_mib = 4096\n")
def low(server: Server) -> None:
    """They run and delete, and make nothing longer."""
    session = server.session()
    said = server.bash(session, "echo x > new; ls -s new; head -c 9 /etc/passwd | wc -c; (sleep 0.1 | cat); echo $?")
    server.say(f"a command was told {said[:200]!r}")
    assert "no command can make a file longer" in said and "File too large" in said, said
    assert said.endswith("0 new\n9\n0\n"), said
    assert "File too large" in server.bash(session, "ulimit -f 100; echo x > other; echo y > /tmp/y")
    assert server.bash(session, "cd /home/agent; x=1; rm /workspace/new; ls /workspace").endswith("other\n")
    calls = [("write", {"file_path": "w", "content": "long"}), ("read", {"file_path": "/etc/hostname"})]
    written, read = server.turn(session, calls)
    assert written["is_error"] and "no file can grow" in text_of(written), text_of(written)
    assert not read.get("is_error"), text_of(read)


@attack(
    "another program of the host that fills the disk", mount="ext4:2048", seconds=200, toml="[sandbox]\ndisk_free_mib = 512\n"
)
def outsider(server: Server) -> None:
    """No session is cut back for it, whatever it wrote meanwhile; both crossings of the bound are told."""
    innocent, neighbour = server.session(), server.session()
    server.bash(neighbour, "true")
    after = server.ask(
        innocent,
        [("bash", {"command": "for i in $(seq 6); do head -c 10M /dev/zero > file$i; sleep 0.3; done; sleep 8; echo written"})],
    )
    steady: dict[str, str] = {}
    working = threading.Thread(target=lambda: steady.update(told=server.bash(neighbour, STEADY)))
    working.start()
    filler = server.data.parent / "filler"
    with open(filler, "wb") as file:
        # Faster than any session writes, and below half of what is to stay free.
        while (more := free_mib(server) - 200) > 0:
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, min(more, 50) << 20)
            time.sleep(0.1)
    said = text_of(server.results(innocent, after)[0])
    working.join()
    server.say(f"with {free_mib(server)} MiB free a session that wrote 60 MiB meanwhile was told {said[-60:]!r}")
    assert said.endswith("written\n") and steady["told"].endswith("finished\n"), (said, steady)
    time.sleep(3)
    kept = server.bash(innocent, "cat file* | wc -c; echo more > more; rm file1 && echo removed")
    assert f"{6 * 10 * 1024 * 1024}\n" in kept and kept.endswith("removed\n") and "File too large" in kept, kept
    log = server.log()
    assert "cut back" not in log and "is ended" not in log, "somebody was stopped for what another program took"
    assert log.count("commands can make no file longer until there is more") == 1, "the crossing is told once"
    filler.unlink()
    server.until("it is told that there is room", lambda: "commands can make files longer" in server.log(), 20)
    server.until("it is counted", lambda: server.metric("heddle_disk_free_bytes") > 1 << 30, 40)
    assert server.bash(innocent, "echo more > more && echo works").endswith("works\n")


@attack(
    "files that nobody sees, on a disk with project quotas",
    needs=("vm-quota",),
    users=("root",),
    mount=Disk("ext4", 1024, ("-O", "quota,project"), "prjquota"),
    toml="[sandbox]\ndisk_mib = 100\ndisk_free_mib = 64\n",
)
def quota(server: Server) -> None:
    """The kernel itself bounds them."""
    hidden = """python3 -c '
import os, socket
pair = socket.socketpair()
for n in range(20):
    file = os.open(f"f{n}", os.O_CREAT | os.O_RDWR)
    os.unlink(f"f{n}")
    socket.send_fds(pair[0], [b"x"], [file])
    for _ in range(20): os.write(file, bytes(1 << 20))
    os.close(file)
'"""
    said = server.bash(server.session(), hidden)
    server.say(f"it was told {said[-200:]!r}")
    assert "Disk quota exceeded" in said or "No space left" in said, said
    assert free_mib(server) > 600, f"{free_mib(server)} MiB are free"


if __name__ == "__main__":
    from run import alone

    alone()
