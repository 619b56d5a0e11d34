"""Strangers without a key fill no log, and a web page that calls itself by a name sees no counters."""

from __future__ import annotations

import http.client
import socket

from attack import Server, attack

# Bytes of log that all of it may cost.
LOG = 64 * 1024


@attack("methods of 60 kB, requests with bad keys, paths that there are not")
def noise(server: Server) -> None:
    """A thousand of each; the log says that they came, once."""
    before = len(server.log())
    with server.neighbour() as neighbour:
        for _ in range(300):
            long = b"M" * 60_000 + b" /v1/agents HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
            with socket.create_connection(server.address, timeout=10) as connection:
                connection.sendall(long)
                told = connection.makefile("rb").read()
            assert b" 405 " in told[:40], f"a method of 60 kB was answered {told[:80]!r}"
            assert len(told) < 4096, f"it was repeated in {len(told)} bytes"
        kept = http.client.HTTPConnection(*server.address, timeout=30)
        for number in range(1000):
            for path in ("/v1/sessions", "/v1/" + "x" * 4000):
                kept.request("POST", path, None, {"x-api-key": f"bad-{number}"})
                status = kept.getresponse()
                status.read()
                assert status.status in (401, 404), f"a stranger was answered {status.status}"
        kept.close()
    grown = len(server.log()) - before
    server.say(f"2,300 requests without a good key cost {grown} bytes of log")
    own = grown - neighbour.turns * 700
    assert own < LOG, f"{grown} bytes of log, with {neighbour.turns} turns of the neighbour"
    assert not neighbour.errors, f"the neighbour failed: {neighbour.errors[:3]}"


@attack("a web page whose name was pointed at this machine")
def pointed(server: Server) -> None:
    """The doors that need no key on this machine need one when they are asked by a name."""
    seen = {}
    for path in ("/metrics", "/healthz", "/readyz"):
        for host in ("evil.example", "127.0.0.1", "localhost:7717"):
            with socket.create_connection(server.address, timeout=10) as connection:
                said = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
                connection.sendall(said.encode())
                seen[path, host] = int(connection.makefile("rb").read().split()[1])
    foreign = sorted({code for (_, host), code in seen.items() if host == "evil.example"})
    server.say(f"by a foreign name {foreign}")
    for (path, host), code in seen.items():
        expected = 401 if host == "evil.example" else 200
        assert code == expected, f"{path} asked as {host} was answered {code}"


if __name__ == "__main__":
    from run import alone

    alone()
