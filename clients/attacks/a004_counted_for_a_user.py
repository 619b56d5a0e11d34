"""What the kernel counts by user is used up in one sandbox; its neighbours and the server have theirs."""

from __future__ import annotations

import contextlib
import pathlib
import socket
from collections.abc import Iterator

from attack import PLAIN, Server, Skip, attack

# Takes as much as it is given of everything, says how much, and keeps it until it is told that it is over.
TAKE = r"""
import ctypes, fcntl, os, select, signal, time
libc = ctypes.CDLL(None, use_errno=True)
kept = []
def keep():
    while not os.path.exists('/workspace/over'): time.sleep(0.1)
def count(what, most=1_000_000):
    n = 0
    while n < most:
        try: what()
        except OSError: break
        n += 1
    return n
def instance():
    fd = libc.inotify_init1(0)
    if fd < 0: raise OSError
    kept.append(fd)
said = {'inotify': count(instance)}
def pipe():
    pair = os.pipe(); kept.extend(pair); fcntl.fcntl(pair[0], 1031, 1048576)
said['pipes'] = count(pipe, 200)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
said['signals'] = count(lambda: os.kill(os.getpid(), signal.SIGRTMIN), 5_000)
said['aio'] = libc.syscall(206, 1, ctypes.byref(ctypes.c_ulong())) >= 0
# Files, and watches of epoll on all of them: what a user has of these one process alone cannot take.
read, write = os.pipe()
os.set_inheritable(write, True)
for _ in range(24):
    if os.fork(): continue
    count(lambda: kept.append(os.eventfd(0)))
    for fd in kept[-40:]: os.close(fd)
    watches = 0
    for poll in [select.epoll() for _ in range(36)]:
        for fd in kept[:-40]:
            try: poll.register(fd, 0); watches += 1
            except OSError: pass
        globals().setdefault('polls', []).append(poll)
    os.write(write, b'%d %d\n' % (len(kept), watches))
    keep(); os._exit(0)
os.close(write)
lines = b''
while lines.count(b'\n') < 24: lines += os.read(read, 4096)
pairs = [line.split() for line in lines.decode().splitlines()]
said['files'] = sum(int(pair[0]) for pair in pairs); said['watches'] = sum(int(pair[1]) for pair in pairs)
open('taken', 'w').write(str(said))
print(said, flush=True)
keep()
"""

# What a neighbour needs: a watch that tells, an epoll, a pipe of the usual size, signals.
NEED = r"""
import ctypes, fcntl, os, select, signal
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(0)
assert fd >= 0, 'no inotify instance: ' + os.strerror(ctypes.get_errno())
assert libc.inotify_add_watch(fd, b'/workspace', 0x100) >= 0, 'no watch'
open('made-%d' % os.getpid(), 'w').close()
assert os.read(fd, 4096), 'no event'
poll = select.epoll(); pair = os.pipe(); poll.register(pair[0], select.EPOLLIN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
for _ in range(20): os.kill(os.getpid(), signal.SIGRTMIN)
print('has all, a pipe of', fcntl.fcntl(pair[0], 1032))
"""


def python(script: str) -> str:
    """The command that runs it."""
    return f"cat > script.py <<'END'{script}END\ntimeout 170 python3 script.py"


def users_of(server: Server, session: str) -> set[int]:
    """Whose the session's processes are on the host."""
    found = set()
    for pid in server.jail(session):
        with contextlib.suppress(FileNotFoundError):
            found.add(pathlib.Path(f"/proc/{pid}").stat().st_uid)
    return found


def try_all(server: Server, own_user: bool) -> None:
    """One takes all, another needs some, and the server accepts."""
    greedy, other = server.session(), server.session()
    assert "has all" in server.bash(other, python(NEED))
    mark = server.ask(greedy, [("bash", {"command": python(TAKE), "timeout_ms": 180_000})])
    server.made_file(greedy, "taken")
    with server.neighbour() as neighbour:
        for _ in range(4):
            said = server.bash(other, python(NEED))
            assert "has all" in said and (not own_user or "a pipe of 65536" in said), said
            with socket.create_connection(server.address, timeout=5) as door:
                door.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                assert door.recv(64).startswith(b"HTTP/1.1 200"), "the door is shut"
    server.make_file(greedy, "over")
    server.say(f"meanwhile {neighbour.said()}")
    assert not neighbour.errors, neighbour.errors[:2]
    users = users_of(server, other)
    said = server.results(greedy, mark, timeout=90)[0]["content"][0]["text"]
    server.say(f"the greedy one had {said.strip()[:200]}")
    assert "'aio': False" in said, said
    server.say(f"the neighbour's processes belonged to {sorted(users)}, the server to {server.uid}")
    if own_user:
        assert users and server.uid not in users and users.isdisjoint(users_of(server, greedy)), users


@attack("one sandbox uses up what is counted by user", beside="none", users=("root",), seconds=300)
def of_root(server: Server) -> None:
    try_all(server, own_user=True)


@attack("the same where all sandboxes are the server's user", beside="none", users=("plain",), seconds=300)
def of_plain(server: Server) -> None:
    try_all(server, own_user=False)


NAME = "heddle-attack"


@contextlib.contextmanager
def sub_users() -> Iterator[None]:
    """Lines for a made-up user of the plain server's number, gone afterwards."""
    if not pathlib.Path("/usr/bin/newuidmap").exists():
        raise Skip("newuidmap is not installed (package uidmap)")
    lines = {
        "/etc/passwd": f"{NAME}:x:{PLAIN}:{PLAIN}::/nonexistent:/usr/sbin/nologin\n",
        "/etc/subuid": f"{NAME}:1910000000:65536\n",
        "/etc/subgid": f"{NAME}:1910000000:65536\n",
    }
    known = pathlib.Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
    if any(line.split(":")[2] == str(PLAIN) for line in known):
        raise Skip(f"there is a user {PLAIN} already")
    try:
        for path, line in lines.items():
            with open(path, "a", encoding="utf-8") as file:
                file.write(line)
        yield
    finally:
        for path, line in lines.items():
            text = pathlib.Path(path).read_text(encoding="utf-8")
            pathlib.Path(path).write_text(text.replace(line, ""), encoding="utf-8")


@attack(
    "the same with sub-users of a plain server",
    beside="none",
    needs=("root",),
    users=("plain",),
    start=False,
    seconds=240,
)
def of_sub_users(server: Server) -> None:
    with sub_users():
        server.start()
        try_all(server, own_user=True)
        gone = server.session()
        assert "made" in server.bash(gone, "mkdir -p d/e; touch d/e/f; chmod 0 d; echo made")
        folders = server.data / "sandboxes"
        before = len(list(folders.iterdir()))
        server.must("DELETE", f"/v1/sessions/{gone}")
        server.until("a deleted session's files are gone", lambda: len(list(folders.iterdir())) < before)
        server.kill()


if __name__ == "__main__":
    from run import alone

    alone()
