"""Connections that say nothing, half of something, or read nothing are let go, and the door stays open."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import wires
from attack import Server, attack, main

# Seconds that a neighbour's turn, most of the time, and one request may take.
NEIGHBOUR, ANSWER = 5.0, 5.0
# How far over its bound a connection may be there, on a busy machine.
LATE = 8.0


def answered(server: Server) -> float:
    """Seconds for a request on a new connection."""
    began = time.monotonic()
    server.must("GET", "/v1/agents?limit=1", timeout=30)
    return time.monotonic() - began


@attack("8,300 connections that say nothing", beside="many")
def silent(server: Server) -> None:
    """From one address and from many; those who work are answered, and all the silent ones go."""
    wires.many_files()
    connections: list[socket.socket] = []
    slowest = 0.0
    with server.neighbour() as neighbour:
        for count in range(8300):
            # One half from one address, the other from a hundred.
            source = "127.0.0.1" if count % 2 else f"127.0.1.{count % 200 // 2 + 1}"
            if made := wires.opened(server.address, source=source):
                connections.append(made)
            if count % 500 == 0:
                slowest = max(slowest, answered(server))
        slowest = max(slowest, answered(server))
        there = sum(not wires.ended(connection) for connection in connections)
        server.say(f"{len(connections)} connected, {there} were there; slowest answer {slowest:.2f} s")
        took = wires.wait(10 + LATE, lambda: all(map(wires.ended, connections)))
        left = sum(not wires.ended(connection) for connection in connections)
    wires.closed(connections)
    server.say(f"all but {left} were let go after {took:.0f} s more")
    assert left == 0, f"{left} silent connections were kept"
    assert slowest < ANSWER, f"an answer took {slowest:.1f} s"
    judged(neighbour)


def judged(neighbour: object) -> None:
    """Holds when the neighbour was served."""
    errors, p95, turns = neighbour.errors, neighbour.p95, neighbour.turns  # type: ignore[attr-defined]
    assert not errors, f"the neighbour failed: {errors[:3]}"
    assert turns and p95 < NEIGHBOUR, f"the neighbour's p95 was {p95:.1f} s over {turns} turns"


class Kind:
    """One kind of connection that does not do its part: what it says at once, and what then, every second."""

    def __init__(self, name: str, said: bytes, bound: float, more: Callable[[int], bytes] = lambda _: b""):
        self.name, self.said, self.bound, self.more = name, said, bound, more
        self.connections: list[socket.socket] = []
        self.gone_after: float | None = None


HEAD = b"GET /v1/agents HTTP/1.1\r\nhost: 127.0.0.1\r\nx-filler: " + b"a" * 200


@attack(
    "connections that say a half of something, or ask on and on and read nothing", beside="many", seconds=200
)
def halves(server: Server) -> None:
    """Each kind a hundred times, all at once; a reader that is slow is among them and stays."""
    wires.many_files()
    asks = wires.request("/openapi.json")
    shut = wires.frame(4, 0, 0, b"\0\4\0\0\0\0")
    stream = wires.frame(wires.HEADERS, 5, 1, b"\x82\x86\x04\x0d/openapi.json\x01\x01x")
    kinds = [
        Kind("silent", b"", 10),
        Kind("half the preface", wires.PREFACE[:10], 30),
        Kind("preface and settings", wires.PREFACE + wires.SETTINGS, 30),
        Kind("a head, byte by byte", HEAD[:1], 30, lambda second: HEAD[second : second + 1]),
        Kind("a head without an end", HEAD, 30),
        Kind("asks and never reads", asks * 50, 60, lambda _: asks),
        Kind("a stream without a window", wires.PREFACE + shut + stream, 60),
    ]
    for kind in kinds:
        made = [wires.opened(server.address, kind.said) for _ in range(100)]
        kind.connections = [connection for connection in made if connection]
    slow = slow_reader(server)
    began = time.monotonic()
    with server.neighbour() as neighbour:
        while time.monotonic() - began < 60 + 2 * LATE and any(kind.gone_after is None for kind in kinds):
            second = int(time.monotonic() - began) + 1
            for kind in kinds:
                look(kind, second, began)
            # Some say a byte each second.
            time.sleep(1)
        there = [kind.name for kind in kinds if kind.gone_after is None]
        for kind in kinds:
            wires.closed(kind.connections)
    for kind in kinds:
        server.say(f"{kind.name}: gone after {kind.gone_after or -1:.0f} s (bound {kind.bound:.0f} s)")
    slow.over.set()
    slow.join()
    server.say(f"a slow reader has read {slow.bytes // 1024} KiB")
    assert not slow.cut, "a reader that is slow and moves was cut"
    assert not there, f"they were kept: {', '.join(there)}"
    late = [kind.name for kind in kinds if (kind.gone_after or 0) > kind.bound + 2 * LATE]
    assert not late, f"they were kept for too long: {', '.join(late)}"
    judged(neighbour)


def look(kind: Kind, second: int, began: float) -> None:
    """Says what a kind says in this second, and sees whether all of it are gone."""
    if kind.gone_after is not None:
        return
    # What never reads must not read now: it is gone when it is cut.
    gone = wires.cut if "never" in kind.name or "window" in kind.name else wires.ended
    left = [connection for connection in kind.connections if not gone(connection)]
    more = kind.more(second)
    left = [connection for connection in left if not more or wires.written(connection, more)]
    wires.closed(set(kind.connections) - set(left))
    kind.connections = left
    if not left:
        kind.gone_after = time.monotonic() - began


class SlowReader(threading.Thread):
    """Asks on and on and reads a little, again and again."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.asks = wires.request("/openapi.json")
        self.connection = socket.create_connection(server.address, timeout=30)
        self.bytes, self.cut, self.over = 0, False, threading.Event()

    def run(self) -> None:
        """Until it is told that it is over."""
        self.connection.sendall(self.asks * 50)
        while not self.over.wait(1):
            got = len(self.connection.recv(16 * 1024))
            self.bytes += got
            if not got:
                self.cut = True
                return


def slow_reader(server: Server) -> SlowReader:
    """One that has begun."""
    reader = SlowReader(server)
    reader.start()
    return reader


@attack(
    "more connections than a server with 300 files can have, and a tool that must run",
    limits={"nofile": (300, 300)},
)
def few_files(server: Server) -> None:
    """Silent ones, and strangers who ask and do not read; a new session's tool starts in the middle of it."""
    wires.many_files()
    connections: list[socket.socket] = []
    asks = wires.request("/openapi.json")
    slowest = 0.0
    with server.neighbour() as neighbour:
        for count in range(900):
            said = asks * 20 if count % 3 == 0 else b""
            if made := wires.opened(server.address, said, source=f"127.0.1.{count % 100 + 1}"):
                connections.append(made)
            if count % 100 == 50:
                slowest = max(slowest, answered(server))
        told = server.bash(server.session(), "echo alive")
        slowest = max(slowest, answered(server))
    wires.closed(connections)
    failures = server.log().count("could not be accepted")
    server.say(f"900 connections; slowest answer {slowest:.2f} s; the tool said {told.strip()!r}")
    assert "alive" in told, f"the tool said {told[:300]}"
    assert failures <= 2, f"{failures} lines of the log about connections that could not be accepted"
    assert slowest < ANSWER, f"an answer took {slowest:.1f} s"
    judged(neighbour)


@attack("streams of HTTP/2 that are taken back as soon as they are asked for")
def taken_back(server: Server) -> None:
    """Ten connections for eight seconds, each as fast as it can; whoever is shut out comes again."""
    over = threading.Event()
    counts = {"streams": 0, "connections": 0}

    def reset() -> None:
        while not over.is_set():
            counts["connections"] += 1
            connection = socket.create_connection(server.address, timeout=10)
            try:
                connection.sendall(wires.PREFACE + wires.SETTINGS)
                for first in range(1, 200_000, 200):
                    if over.is_set():
                        break
                    streams = range(first, first + 200, 2)
                    both = [
                        wires.frame(wires.HEADERS, 5, stream, wires.GET)
                        + wires.frame(wires.RESET, 0, stream, b"\0\0\0\x08")
                        for stream in streams
                    ]
                    connection.sendall(b"".join(both))
                    counts["streams"] += len(both)
            except OSError:
                pass
            finally:
                connection.close()

    with server.neighbour() as neighbour:
        threads = [threading.Thread(target=reset, daemon=True) for _ in range(10)]
        for thread in threads:
            thread.start()
        # For so long it goes on.
        over.wait(8)
        over.set()
        for thread in threads:
            thread.join(20)
        slowest = answered(server)
    tried = f"{counts['streams']} streams on {counts['connections']} connections"
    server.say(f"{tried}; answer after {slowest:.2f} s")
    assert slowest < ANSWER, f"an answer took {slowest:.1f} s"
    judged(neighbour)


if __name__ == "__main__":
    main()
