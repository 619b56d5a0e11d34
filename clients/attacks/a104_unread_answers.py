"""Answers that nobody reads hold a bounded share of the memory, and are in nobody else's way."""

from __future__ import annotations

import concurrent.futures
import socket
import time

import wires
from attack import Server, attack

MIB = 1024 * 1024
# A page is full at 8 MiB.
MESSAGES, BYTES = 45, 200_000
READERS = 100
# What one key may have unread, and what four pages that are made at once lie in beside it.
MOST = (64 + 4 * 24) * MIB


def filled(server: Server) -> str:
    """A session with more than a page of events."""
    session = server.session()
    for _ in range(MESSAGES):
        server.say_to(session, "x" * BYTES)
        server.wait_idle(session)
    return session


def slow(server: Server, path: str, key: str) -> socket.socket:
    """A connection that has asked, and takes little."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(60)
    made.connect(server.address)
    made.sendall(wires.request(path, key))
    return made


def status(connection: socket.socket) -> tuple[int, bool]:
    """How it is answered, and whether it is told when to come again."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(64)
    return int(head.split(b" ")[1]), b"retry-after" in head


@attack(
    f"{READERS} pages of 8 MiB that nobody reads, on as many connections and on one",
    seconds=240,
    # Most of them wait for room for as long as they may, whoever the server is.
    users=("plain",),
)
def pages(server: Server) -> None:
    """Most of them are not even made; another key's pages are read all the while."""
    key = server.heddle("keys", "create", "bad").stdout.split()[2]
    path = f"/v1/sessions/{filled(server)}/events?limit=1000"
    for _ in range(4):
        assert server.must("GET", path)["next_page"], "the page is not full"
    time.sleep(1)
    wrong = []

    def listed() -> float:
        began = time.monotonic()
        server.must("GET", path, timeout=30)
        return time.monotonic() - began

    def measured(name: str, before: int) -> None:
        highest, slowest, until = 0, 0.0, time.monotonic() + 10
        while time.monotonic() < until:
            highest, slowest = max(highest, server.rss()), max(slowest, listed())
            time.sleep(0.1)
        grown = highest - before
        server.say(f"{name}: memory +{grown / MIB:.0f} MiB; another key's page after {slowest:.2f} s at most")
        if grown > MOST:
            wrong.append(f"{name}: the memory grew by {grown / MIB:.0f} MiB")
        if slowest > 5:
            wrong.append(f"{name}: another key's page came after {slowest:.1f} s")

    with server.neighbour() as neighbour:
        before = server.rss()
        connections = [slow(server, path, key) for _ in range(READERS)]
        measured("on connections of HTTP/1", before)
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            answers = list(pool.map(status, connections))
        told = {code: sum(answer == code for answer, _ in answers) for code, _ in answers}
        server.say(f"answered {told}")
        if set(told) - {200, 429} or not all(again for code, again in answers if code == 429):
            wrong.append(f"they were answered {told}")
        began = time.monotonic()
        for small, status_of in (("/v1/agents/none", 400), ("/v1/agents?limit=1", 200)):
            answer = server.call("GET", small, headers={"x-api-key": key})
            if answer[0] != status_of:
                wrong.append(f"{small} beside them was answered {answer}")
        if time.monotonic() - began > 5:
            wrong.append(f"small answers beside them came after {time.monotonic() - began:.1f} s")
        wires.closed(connections)
        time.sleep(2)

        one = socket.create_connection(server.address, timeout=10)
        shut = wires.frame(4, 0, 0, b"\0\4\0\0\0\0")
        asks = [wires.frame(wires.HEADERS, 5, 2 * n + 1, wires.asked(path, key)) for n in range(READERS)]
        one.sendall(wires.PREFACE + shut + b"".join(asks))
        measured("on streams of HTTP/2", before)
        one.close()
        server.until(
            "its pages are read again",
            lambda: server.call("GET", path, headers={"x-api-key": key})[0] == 200,
        )
    assert not neighbour.errors, neighbour.errors[:3]
    assert not wrong, "; ".join(wrong)


if __name__ == "__main__":
    from run import alone

    alone()
