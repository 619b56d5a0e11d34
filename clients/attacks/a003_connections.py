"""Connections that say nothing, half of something, or read nothing are let go, and the door stays open."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import wires
from attack import Server, attack, text_of

# Seconds that a neighbour's turn, most of the time, and one request may take.
NEIGHBOUR, ANSWER = 5.0, 5.0
MIB = 1024 * 1024
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


def pairs(first: int, count: int) -> bytes:
    """So many requests, each taken back at once."""
    both = [
        wires.frame(wires.HEADERS, 5, stream, wires.GET) + wires.frame(wires.RESET, 0, stream, b"\0\0\0\x08")
        for stream in range(first, first + 2 * count, 2)
    ]
    return b"".join(both)


def farewell(server: Server) -> int | None:
    """What a connection is told that takes 200 requests back at once."""
    connection = socket.create_connection(server.address, timeout=10)
    connection.sendall(wires.PREFACE + wires.SETTINGS + pairs(1, 200))
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionError:
        pass
    connection.close()
    told = [payload for kind, payload in wires.frames(said) if kind == wires.GOAWAY]
    return int.from_bytes(told[-1][4:8], "big") if told else None


@attack("streams of HTTP/2 that are taken back as soon as they are asked for")
def taken_back(server: Server) -> None:
    """Ten connections for eight seconds, each as fast as it can; whoever is shut out comes again."""
    told = farewell(server)
    server.say(f"200 requests taken back at once: GOAWAY with {told}")
    assert told == wires.ENHANCE_YOUR_CALM, f"a connection of requests taken back is told {told}"
    before = server.rss()
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
                    connection.sendall(pairs(first, 100))
                    counts["streams"] += 100
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
    grown = server.rss() - before
    server.say(f"{tried}; answer after {slowest:.2f} s; memory +{grown / MIB:.0f} MiB")
    assert grown < 32 * MIB, f"they cost {grown / MIB:.0f} MiB"
    assert slowest < ANSWER, f"an answer took {slowest:.1f} s"
    judged(neighbour)


@attack("a hard limit of 64 open files", limits={"nofile": (64, 64)}, start=False)
def too_few(server: Server) -> None:
    """It is refused at the start, with what is missing and how to have it."""
    try:
        server.start()
    except AssertionError as why:
        said = f"{why}{server.log()}"
        server.say(f"the start said {said.strip()[-200:]!r}")
        assert "only 64 open files and needs 256" in said and "LimitNOFILE=" in said, said
        return
    raise AssertionError("it started")


@attack("a hard limit of 256 open files", limits={"nofile": (256, 256)}, toml="[sandbox]\njails = 64\n")
def few(server: Server) -> None:
    """The start says what that is enough for, and so many sandboxes work at once; the others wait."""
    assert "room for 128 connections and 16 sandboxes" in server.log(), server.log()
    sessions = [server.session() for _ in range(20)]
    marks = [server.ask(session, [("bash", {"command": "sleep 2; ulimit -n"})]) for session in sessions]
    said = [text_of(result) for s, mark in zip(sessions, marks) for result in server.results(s, mark, timeout=100)]
    waited = sum("waited" in one for one in said)
    server.say(f"{len(said)} commands ran, {waited} of them waited; they say {said[0].strip()!r}")
    assert len(said) == 20 and all(one.strip().endswith("256") for one in said), said


def half_shut(server: Server, said: bytes) -> socket.socket:
    """A connection on which this was said and that says no more."""
    connection = socket.create_connection(server.address, timeout=20)
    connection.sendall(said)
    connection.shutdown(socket.SHUT_WR)
    return connection


def whole(connection: socket.socket) -> bytes:
    """All that is said to it, to the end."""
    said = b""
    while piece := connection.recv(65536):
        said += piece
    connection.close()
    return said


@attack("clients that are done with sending, and streams whose readers are gone")
def half_closed(server: Server) -> None:
    """The first are answered, the second are noticed within seconds, a hundred at once."""
    session = server.session()
    body = b'{"events":[{"type":"user.message","content":[{"type":"text","text":"hi"}]}]}'
    key = f"host: x\r\nx-api-key: {server.key}\r\n"
    post = f"POST /v1/sessions/{session}/events HTTP/1.1\r\n{key}content-length: {len(body)}\r\n\r\n"
    answer = whole(half_shut(server, post.encode() + body))
    server.say(f"a POST on a connection that is half shut is answered {answer[:15].decode()!r}")
    assert answer.startswith(b"HTTP/1.1 200") and b'"user.message"' in answer, answer[:300]
    server.wait_idle(session)
    stream = f"GET /v1/sessions/{session}/events/stream HTTP/1.1\r\n{key}\r\n".encode()
    reads = half_shut(server, stream)
    gone = [half_shut(server, stream) for _ in range(100)]
    server.until("all follow", lambda: server.metric("heddle_streams") == 101)
    began = time.monotonic()
    wires.closed(gone)
    server.until("only one follows", lambda: server.metric("heddle_streams") == 1)
    took = time.monotonic() - began
    server.say_to(session, "and again")
    server.wait_idle(session)
    said = b""
    while b"session.status_idle" not in said:
        said += reads.recv(65536)
    reads.close()
    server.say(f"a hundred streams of readers who are gone ended after {took:.1f} s; one that is there reads on")
    assert took < 5, f"streams of readers who are gone went on for {took:.1f} s"


if __name__ == "__main__":
    from run import alone

    alone()
