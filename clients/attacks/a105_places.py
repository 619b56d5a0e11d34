"""Keys that take all places there are, for streams and for bodies; another key works on."""

from __future__ import annotations

import http.client
import socket
import time

import wires
from attack import Server, attack

# Seconds that another key's request may take.
ANSWER = 10.0
# Bytes that a slow body says it has.
BODY = 128 * 1024
# Bodies of one key at once.
BODIES = 256


def key(server: Server, name: str) -> str:
    """A new key."""
    made = server.heddle("keys", "create", name).stdout.split()
    assert len(made) == 3, f"the key was shown as {made}"
    return made[2]


def answered(server: Server, session: str) -> float:
    """Seconds for a message to a session."""
    began = time.monotonic()
    server.say_to(session, "hello", timeout=4 * ANSWER)
    return time.monotonic() - began


@attack("a key with more streams than the server has connections", beside="many", limits={"nofile": (300, 300)})
def streams(server: Server) -> None:
    """All of them are read; what is too many is told so, and others have places."""
    other, session = key(server, "other"), server.session()
    opened: list[http.client.HTTPConnection] = []
    refused: list[int] = []
    with server.neighbour() as neighbour:
        for _ in range(200):
            connection = http.client.HTTPConnection(*server.address, timeout=30)
            path = f"/v1/sessions/{session}/events/stream"
            connection.request("GET", path, headers={"x-api-key": other})
            answer = connection.getresponse()
            if answer.status == 200:
                opened.append(connection)
            else:
                refused.append(answer.status)
                assert b"this key has" in answer.read(), "it is not said what is too many"
                connection.close()
        slowest = max(answered(server, session) for _ in range(5))
    for connection in opened:
        connection.close()
    server.say(f"{len(opened)} streams were opened and {len(refused)} refused; slowest answer {slowest:.2f} s")
    assert opened and set(refused) == {429}, f"streams were answered {sorted(set(refused))}"
    assert slowest < ANSWER, f"a message took {slowest:.1f} s"
    assert not neighbour.errors, f"the neighbour failed: {neighbour.errors[:3]}"


@attack("two keys with hundreds of bodies that come byte by byte", beside="many", seconds=200)
def trickled(server: Server) -> None:
    """Others' messages are taken meanwhile, and the bodies end."""
    wires.many_files()
    session = server.session()
    head = "POST /v1/agents HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: {}\r\n\r\n{{"
    connections: list[socket.socket] = []
    for name in ("one", "two"):
        said = head.format(key(server, name), BODY).encode()
        made = [wires.opened(server.address, said) for _ in range(BODIES)]
        connections += [connection for connection in made if connection]
    began, slowest = time.monotonic(), 0.0
    while time.monotonic() - began < 80 and not all(map(wires.ended, connections)):
        for connection in connections:
            wires.written(connection, b" ")
        slowest = max(slowest, answered(server, session))
        # A byte now and then keeps a body from counting as silent.
        time.sleep(2)
    took, left = time.monotonic() - began, sum(not wires.ended(connection) for connection in connections)
    wires.closed(connections)
    server.say(f"{len(connections)} bodies, {left} left after {took:.0f} s; slowest answer {slowest:.2f} s")
    assert slowest < ANSWER, f"a message took {slowest:.1f} s"
    assert not left, f"{left} bodies still came after {took:.0f} s"


if __name__ == "__main__":
    from run import alone

    alone()
