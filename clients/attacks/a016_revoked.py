"""The open streams of a key that is revoked end within a second."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import wires
from attack import Server, attack

# Streams of the key at once.
STREAMS = 50
MIB = 1024 * 1024


class Reader(threading.Thread):
    """Reads one stream until it ends."""

    def __init__(self, server: Server, session: str, key: str) -> None:
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection(*server.address, timeout=60)
        self.connection.request("GET", f"/v1/sessions/{session}/events/stream", headers={"x-api-key": key})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, f"the stream was answered {self.answer.status}"
        self.ended: float | None = None
        self.lines = 0

    def run(self) -> None:
        """Until it ends."""
        try:
            while self.answer.readline():
                self.lines += 1
        except OSError:
            pass
        self.ended = time.monotonic()


@attack("a key is revoked while its streams are open")
def revoked(server: Server) -> None:
    """By another process, as the command does it; a stream of another key goes on."""
    made = server.heddle("keys", "create", "bad").stdout.split()
    other = server.heddle("keys", "create", "good").stdout.split()
    assert len(made) == 3 and len(other) == 3, f"the keys were shown as {made} and {other}"
    session = server.session()
    with server.neighbour() as neighbour:
        ends = [Reader(server, session, made[2]) for _ in range(STREAMS)]
        stays = [Reader(server, session, key) for key in (other[2], server.key)]
        for reader in (*ends, *stays):
            reader.start()
        server.say_to(session, "hello")
        server.until("each stream has shown it", lambda: all(reader.lines for reader in (*ends, *stays)))
        assert not any(reader.ended for reader in ends), "a stream ended before its key was revoked"
        done = server.heddle("keys", "revoke", made[0])
        revoked_at = time.monotonic()
        assert done.returncode == 0, done.stderr
        for reader in ends:
            reader.join(max(0.0, revoked_at + 5 - time.monotonic()))
        slowest = max((reader.ended or float("inf")) - revoked_at for reader in ends)
        server.say(f"{STREAMS} streams ended within {slowest:.2f} s of the command's end")
        status, _ = server.get("/v1/agents", headers={"x-api-key": made[2]})
        before = [reader.lines for reader in stays]
        server.say_to(session, "and again")
        both = list(zip(stays, before, strict=True))
        server.until(
            "the streams of other keys show it", lambda: all(one.lines > known for one, known in both)
        )
        assert slowest <= 1.0, f"a stream of the revoked key went on for {slowest:.2f} s"
        assert status == 401, f"the revoked key was answered {status}"
        assert not any(reader.ended for reader in stays), "a stream of another key ended"
    assert not neighbour.errors, f"the neighbour failed: {neighbour.errors[:3]}"


def stalled(server: Server, session: str, key: str) -> socket.socket:
    """A stream that nobody reads."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(server.address)
    made.sendall(wires.request(f"/v1/sessions/{session}/events/stream", key))
    made.setblocking(False)
    return made


def shut(server: Server, session: str, key: str) -> socket.socket:
    """The same over HTTP/2, on a connection that is well: the stream's window is shut."""
    made = socket.create_connection(server.address, timeout=10)
    path = wires.frame(wires.HEADERS, 5, 1, wires.asked(f"/v1/sessions/{session}/events/stream", key))
    made.sendall(wires.PREFACE + wires.frame(4, 0, 0, b"\0\4\0\0\0\0") + path)
    made.setblocking(False)
    return made


@attack("a key is revoked while nobody reads its streams")
def unread(server: Server) -> None:
    """They are cut within about a second, over both versions of HTTP, and hold nothing then."""
    made = server.heddle("keys", "create", "bad").stdout.split()
    session = server.session()
    with server.neighbour() as neighbour:
        plain = [stalled(server, session, made[2]) for _ in range(STREAMS)]
        http2 = [shut(server, session, made[2]) for _ in range(STREAMS)]
        server.until("all follow", lambda: server.metric("heddle_streams") >= 2 * STREAMS)
        server.say_to(session, "x" * 8_000_000)
        server.wait_idle(session)
        time.sleep(1)
        assert server.metric("heddle_streams") >= 2 * STREAMS, "a stream ended before its key was revoked"
        held = server.rss()
        assert server.heddle("keys", "revoke", made[0]).returncode == 0
        revoked_at = time.monotonic()
        # The neighbour has one now and then.
        server.until("no stream is left", lambda: server.metric("heddle_streams") <= 1, timeout=10)
        took = time.monotonic() - revoked_at
        left = server.rss()
        server.say(
            f"{2 * STREAMS} streams that nobody reads ended within {took:.2f} s of the command's end; "
            f"memory {held / MIB:.0f} -> {left / MIB:.0f} MiB"
        )
        wires.closed(plain + http2)
    assert took <= 1.5, f"a stream of the revoked key went on for {took:.2f} s"
    assert not neighbour.errors, f"the neighbour failed: {neighbour.errors[:3]}"


if __name__ == "__main__":
    from run import alone

    alone()
