"""CPU and disk: sandboxes come behind the server, and one of them behind nobody else's share."""

from __future__ import annotations

import statistics
import threading
import time

from attack import Server, attack

# How many times slower than on a quiet machine a neighbour may be, and seconds that are never too slow.
RATIO, ENOUGH = 12.0, 1.5

# Each goes on until it is told that it is over, and says that all of it has begun.
OVER = "touch begun; until [ -e over ]; do sleep 0.2; done; kill $(jobs -p)"
BUSY = f"for i in $(seq 100); do (while :; do :; done) & done; {OVER}"
SESSIONS = f"for i in $(seq 100); do setsid bash -c 'while :; do :; done' & done; {OVER}"
FSYNC = """python3 -c '
import os, threading
def work(n):
    file = os.open(f"f{n}", os.O_CREAT | os.O_WRONLY)
    while not os.path.exists("over"):
        os.pwrite(file, bytes(1 << 16), 0); os.fsync(file)
for n in range(8): threading.Thread(target=work, args=(n,)).start()
open("begun", "w").close()
'"""


def posts(server: Server, session: str, seconds: float) -> list[float]:
    """Times of messages to a session, one after the other."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        server.say_to(session, "hello")
        times.append(time.monotonic() - began)
        # As somebody writes who has other things to do.
        time.sleep(0.02)
    return times


def p95(times: list[float]) -> float:
    """Nearly all were as fast."""
    return sorted(times)[int(len(times) * 0.95)]


def judge(server: Server, what: str, command: str) -> None:
    """Measures turns and messages before and while an offender runs this."""
    session = server.session()
    offender = server.session()
    server.bash(offender, "true")
    quiet = posts(server, session, 2.0)
    with server.neighbour() as neighbour:
        runs = threading.Thread(
            target=server.bash, args=(offender, command, 240), kwargs={"timeout_ms": 200_000}
        )
        runs.start()
        server.made_file(offender, "begun")
        busy = posts(server, session, 8.0)
        server.make_file(offender, "over")
        runs.join()
    before, turn = p95(quiet), statistics.median(neighbour.quiet)
    server.say(f"{what}: POST p95 {before * 1000:.0f} ms before, {p95(busy) * 1000:.0f} ms meanwhile")
    server.say(f"a neighbour's turn {turn * 1000:.0f} ms before, p95 {neighbour.p95 * 1000:.0f} ms meanwhile")
    assert not neighbour.errors, neighbour.errors[:3]
    assert neighbour.p95 < max(RATIO * turn, ENOUGH), f"a neighbour's turn takes {neighbour.p95:.2f} s"
    assert p95(busy) < max(RATIO * before, ENOUGH), f"a message takes {p95(busy):.2f} s"


@attack("100 busy loops", beside="none", seconds=300)
def busy(server: Server) -> None:
    """In the session of the shell that started them."""
    judge(server, "busy loops", BUSY)


@attack("100 busy loops, each in a session of its own", beside="none", users=("root",), seconds=300)
def sessions(server: Server) -> None:
    """Kernels that weigh sessions weigh each of them; a cgroup holds them together."""
    judge(server, "busy sessions", SESSIONS)


@attack("8 writers that wait for the disk each time", beside="none", seconds=300)
def fsync(server: Server) -> None:
    """What the server writes does not wait behind them all."""
    judge(server, "writers", FSYNC)


if __name__ == "__main__":
    from run import alone

    alone()
