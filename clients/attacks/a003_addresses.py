"""One address crowds out its own connections, and nobody else's."""

from __future__ import annotations

import http.client

import wires
from attack import Server, attack

# Who keeps a connection open between requests, each from an address of its own; and who comes in a crowd from one.
QUIET, CROWD = 20, 400


@attack("one address with more connections than there is room for", limits={"nofile": (300, 300)})
def crowd(server: Server) -> None:
    """Those who were there before, and rest longer than any of the crowd, are answered on the same connection."""
    wires.many_files()
    quiet = [
        http.client.HTTPConnection(*server.address, timeout=30, source_address=(f"127.0.2.{number}", 0))
        for number in range(1, QUIET + 1)
    ]

    def asked(connection: http.client.HTTPConnection) -> int:
        connection.request("GET", "/v1/agents?limit=1", headers={"x-api-key": server.key})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert {asked(connection) for connection in quiet} == {200}
    known = [connection.sock for connection in quiet]
    made = [wires.opened(server.address, wires.request("/healthz")) for _ in range(CROWD)]

    def gone_now() -> int:
        return sum(connection is None or wires.ended(connection) for connection in made)

    # A new connection has a moment before it goes for a newer one.
    wires.wait(5, lambda: gone_now() > CROWD / 4)
    gone = gone_now()
    server.say(f"of a crowd of {CROWD} from one address {gone} were let go")
    cut = []
    for connection, sock in zip(quiet, known, strict=True):
        try:
            held = asked(connection) == 200 and connection.sock is sock
        except (OSError, http.client.HTTPException):
            held = False
        cut += [] if held else [connection.source_address[0]]
    wires.closed(made)
    assert gone, "there was room for all of them: nothing was tried"
    assert not cut, f"{len(cut)} of {QUIET} connections of other addresses were let go"


if __name__ == "__main__":
    from run import alone

    alone()
