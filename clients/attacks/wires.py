"""Bare connections to a server, as no client makes them: silent, half a request, frames of HTTP/2."""

from __future__ import annotations

import contextlib
import errno
import resource
import select
import socket
import time
from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
# A GET of / over HTTP/2: method, scheme and path from the static table, an authority of one letter.
GET = b"\x82\x86\x84\x01\x01x"
HEADERS, RESET, GOAWAY = 1, 3, 7
# Why a connection of HTTP/2 is ended: the peer asks for too much.
ENHANCE_YOUR_CALM = 11


def many_files() -> None:
    """Lets this program have as many connections as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame of HTTP/2."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def asked(path: str, key: str) -> bytes:
    """The headers of a GET with a key, over HTTP/2; neither may have 127 letters."""
    named = b"\x00\x09x-api-key" + bytes([len(key)]) + key.encode()
    return b"\x82\x86\x04" + bytes([len(path)]) + path.encode() + b"\x01\x01x" + named


def frames(said: bytes) -> list[tuple[int, bytes]]:
    """The whole frames of these bytes: kind and payload."""
    found = []
    while len(said) >= 9 and len(said) >= (end := 9 + int.from_bytes(said[:3], "big")):
        found.append((said[3], said[9:end]))
        said = said[end:]
    return found


def request(path: str, key: str | None = None) -> bytes:
    """A GET of HTTP/1.1."""
    shown = f"x-api-key: {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{shown}\r\n".encode()


def opened(address: tuple[str, int], said: bytes = b"", source: str = "127.0.0.1") -> socket.socket | None:
    """A connection on which this was said; none where it was reset meanwhile."""
    made = socket.socket()
    made.settimeout(10)
    try:
        made.bind((source, 0))
        made.connect(address)
        if said:
            made.sendall(said)
    except ConnectionError:
        made.close()
        return None
    made.setblocking(False)
    return made


def ended(connection: socket.socket) -> bool:
    """Whether the server has ended it; what it has sent is thrown away."""
    try:
        while True:
            if not connection.recv(65536):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def written(connection: socket.socket, said: bytes) -> bool:
    """Writes what goes; whether the connection is there still."""
    try:
        connection.send(said)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def cut(connection: socket.socket) -> bool:
    """Whether the server has ended a connection on which nothing is read."""
    poll = select.poll()
    poll.register(connection, select.POLLERR | select.POLLHUP | select.POLLRDHUP)
    if poll.poll(0):
        return True
    error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return error in (errno.ECONNRESET, errno.EPIPE)


def closed(connections: Iterable[socket.socket | None]) -> None:
    """Closes all of them."""
    for connection in connections:
        if connection:
            with contextlib.suppress(OSError):
                connection.close()


def wait(seconds: float, holds: object) -> float:
    """Seconds until this holds, at most so many."""
    began = time.monotonic()
    while not holds() and time.monotonic() - began < seconds:  # type: ignore[operator]
        time.sleep(0.1)
    return time.monotonic() - began
