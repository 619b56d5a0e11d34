"""Streams of one key that nobody reads hold a large event once, and not once for each of them."""

from __future__ import annotations

import pathlib
import socket

import wires
from attack import Server, attack

MIB = 1024 * 1024
READERS, BYTES = 150, 4_000_000
# What one key may have unread, what the turn itself takes (the same without a reader, some 70 MiB), and as
# much again for what two threads are at work on and an allocator keeps. Read by each for itself it is 600 MiB.
MOST = (64 + 2 * 70) * MIB


def highest(server: Server) -> int:
    """The most memory that it ever had, in bytes."""
    for line in pathlib.Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the server has no memory any more: it has ended")


def streams(server: Server, session: str, query: str) -> list[socket.socket]:
    """So many streams of this session, which are not read."""
    made, open_before = [], server.metric("heddle_streams")
    for place in range(READERS):
        sock = socket.socket()
        # The last one will be read after all.
        if place < READERS - 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(60)
        sock.connect(server.address)
        sock.sendall(wires.request(f"/v1/sessions/{session}/events/stream{query}", server.key))
        made.append(sock)
    server.until("all follow", lambda: server.metric("heddle_streams") == open_before + READERS)
    return made


def found(sock: socket.socket, word: bytes) -> None:
    """Reads on until this word comes."""
    rest = b""
    while word not in rest:
        piece = sock.recv(1 << 16)
        assert piece, f"the stream ended before {word!r}"
        rest = rest[-len(word) :] + piece


@attack(
    f"{READERS} streams that read nothing of a message of {BYTES // 1_000_000} MB, said now or long ago",
    seconds=120.0,
    users=("plain",),
)
def readers(server: Server) -> None:
    """As it is said, and then from in front of it, by which time nobody has it any more."""
    session = server.session()
    before = server.rss()
    first = server.say_to(session, "first")
    server.wait_idle(session)
    socks = streams(server, session, "")
    server.say_to(session, "x" * BYTES)
    server.wait_idle(session)
    told = highest(server) - before
    found(socks[-1], b"session.status_idle")
    wires.closed(socks)
    server.until("nobody follows", lambda: server.metric("heddle_streams") == 0)
    socks = streams(server, session, f"?after_id={first}")
    found(socks[-1], b"session.status_idle")
    resumed = highest(server) - before
    wires.closed(socks)
    server.until("no reader is left", lambda: server.metric("heddle_live_sessions") == 0)
    after = server.level() - before
    server.say(
        f"the memory grew by {told / MIB:.0f} MiB at most while it was told, {resumed / MIB:.0f} MiB with those"
        f" who came for it later, and by {after / MIB:.0f} MiB when all had gone"
    )
    assert max(told, resumed) <= MOST, f"the memory grew by {max(told, resumed) / MIB:.0f} MiB"


if __name__ == "__main__":
    from run import alone

    alone()
