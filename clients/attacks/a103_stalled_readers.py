"""Readers who stop reading hold a bounded share of the memory, and miss nothing when they go on."""

from __future__ import annotations

import concurrent.futures
import json
import socket

from attack import Server, attack

MIB = 1024 * 1024
READERS, MESSAGES, BYTES, ABREAST = 60, 8, 200_000, 4
# What one reader may hold beyond the frame that is being written, that frame as an event, as a text and as what
# is on its way to the socket, and what an allocator keeps of it.
SHARE = 64 * 1024 + 5 * BYTES


def stalled(server: Server, session: str) -> socket.socket:
    """A stream of this session that has begun and is not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(server.address)
    path = f"/v1/sessions/{session}/events/stream"
    sock.sendall(f"GET {path} HTTP/1.1\r\nhost: heddle\r\nx-api-key: {server.key}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 200"), head
    return sock


def work(server: Server, session: str) -> None:
    """Some turns, each with a large message."""
    for place in range(MESSAGES):
        server.say_to(session, f"{place} " + "x" * BYTES)
        server.wait_idle(session)


def heard(sock: socket.socket) -> list[str]:
    """How the messages begin that a reader is shown, up to the last one."""
    found, rest = [], b""
    while len(found) < MESSAGES:
        piece = sock.recv(1 << 16)
        assert piece, f"the stream ended after {found}"
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            # A frame is a chunk of the body, so that its data stands on a line of its own.
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                if event["type"] == "user.message" and event["processed_at"]:
                    found.append(event["content"][0]["text"].split(" ")[0])
    return found


@attack(
    f"{READERS} readers that read nothing of {MESSAGES} messages of 200 kB each",
    seconds=300.0,
    toml="[cache]\nbytes = 1048576\n",
)
def readers(server: Server) -> None:
    """Each has a session of its own."""
    sessions = [server.session() for _ in range(READERS)]
    # What the same work leaves behind without a reader.
    with concurrent.futures.ThreadPoolExecutor(ABREAST) as pool:
        for done in [pool.submit(work, server, server.session()) for _ in range(ABREAST)]:
            done.result()
    server.until("that work is over", lambda: server.metric("heddle_live_sessions") == 0)
    before = server.level()
    socks = [stalled(server, session) for session in sessions]
    with server.neighbour() as neighbour, concurrent.futures.ThreadPoolExecutor(ABREAST) as pool:
        for done in [pool.submit(work, server, session) for session in sessions]:
            done.result()
    # The neighbour's last stream ends a moment after he has gone.
    server.until("only the readers follow", lambda: server.metric("heddle_streams") <= READERS)
    grown = server.level() - before
    assert server.metric("heddle_streams") == READERS, "a reader was sent away"
    server.say(
        f"{READERS} streams, {READERS * MESSAGES * BYTES / MIB:.0f} MiB told to them; the memory grew by "
        f"{grown / MIB:.1f} MiB, {grown / READERS / 1024:.0f} KiB a reader"
    )
    assert not neighbour.errors, neighbour.errors[:3]
    shown = heard(socks[0])
    assert shown == [str(place) for place in range(MESSAGES)], f"a reader that goes on is shown {shown}"
    for sock in socks:
        sock.close()
    server.until("no reader is left", lambda: server.metric("heddle_live_sessions") == 0)
    assert grown <= READERS * SHARE, f"a reader holds {grown / READERS / 1024:.0f} KiB"


if __name__ == "__main__":
    from run import alone

    alone()
