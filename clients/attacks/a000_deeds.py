"""Agents that do their worst to their machine: the session goes on, the neighbour works, memory stays."""

from __future__ import annotations

import dataclasses
import threading

from attack import Server, attack, text_of

# Seconds that a neighbour's turn may take at most, on a machine that is being abused.
NEIGHBOUR = 20.0
# Bytes by which the server's memory may grow over all of it.
GROWTH = 96 * 1024 * 1024
# A sign of life, and what it says.
ALIVE = "echo alive; echo kept > /workspace/kept; cat /workspace/kept"


@dataclasses.dataclass(frozen=True)
class Deed:
    """One command, how long it may take, and what its answer holds: one of these."""

    name: str
    command: str
    timeout_ms: int
    answers: tuple[str, ...]


SMALL_FILES = """python3 -c '
import os
for d in range(10000):
    os.mkdir(f"d{d}")
    for f in range(1000): os.close(os.open(f"d{d}/{f}", os.O_CREAT))
'"""
DAEMON = """setsid bash -c "trap '' INT TERM HUP; while :; do :; done" & sleep 60"""

# What eats the machine, one after the other.
EATING = (
    Deed(
        "a fork bomb",
        "bomb() { bomb | bomb & }; bomb; sleep 60",
        3_000,
        ("timed out", "Resource temporarily unavailable"),
    ),
    Deed(
        "50 MB of output",
        "head -c 50000000 /dev/zero | tr '\\0' x",
        60_000,
        ("/mnt/session/tool_results/",),
    ),
    Deed(
        "a file of 20 GB",
        "head -c 20000000000 /dev/zero > big; status=$?; ls -l big; rm big; exit $status",
        100_000,
        ("2147483648",),
    ),
    Deed("millions of small files", SMALL_FILES, 6_000, ("timed out", "delete")),
    Deed(
        "memory without an end",
        "python3 -c 'x = bytearray(6 * 2**30)' 2>&1 | tail -n 1",
        60_000,
        ("MemoryError",),
    ),
    Deed(
        "a full /tmp",
        "head -c 2000000000 /dev/zero > /tmp/big; rm /tmp/big",
        60_000,
        ("No space left on device",),
    ),
)
# What ends at once or waits for its end, all at once.
TOGETHER = (
    Deed("output without an end", "yes", 3_000, ("timed out",)),
    Deed(
        "rm -rf /",
        "touch here; rm -rf --no-preserve-root / 2>&1 | tail -n 3; ls /usr/bin | wc -l; echo over",
        60_000,
        ("over",),
    ),
    Deed(
        "a process that ignores every signal it can",
        "trap '' INT TERM HUP; while :; do :; done",
        1_000,
        ("timed out",),
    ),
    Deed("a daemon that ignores every signal it can", DAEMON, 1_000, ("timed out",)),
    Deed("a shell that kills itself", "kill -9 $$", 10_000, ("ended",)),
    Deed("a shell that stops itself", "kill -STOP $$", 1_000, ("timed out",)),
    Deed("kill -9 of everything", "kill -9 -1 1; echo odd", 10_000, ("ended", "odd")),
)


def committed(server: Server, deed: Deed) -> str | None:
    """Commits a deed in a session of its own, then asks it for a sign of life; gives what is wrong."""
    given = {"command": deed.command, "timeout_ms": deed.timeout_ms}
    try:
        results = server.turn(server.session(), [("bash", given), ("bash", {"command": ALIVE})])
    except (AssertionError, OSError) as why:
        return f"{deed.name}: {why}"
    if len(results) != 2:
        return f"{deed.name}: {len(results)} results"
    done, alive = map(text_of, results)
    if not any(answer in done for answer in deed.answers):
        return f"{deed.name}: its answer was {done[:300]}"
    if not alive.endswith("alive\nkept\n"):
        return f"{deed.name}: the session does not go on: {alive}"
    return None


def judged(server: Server, wrong: list[str], slowest: float, errors: list[str]) -> None:
    """Holds when nothing went wrong, the neighbour was served and memory has not grown."""
    if slowest > NEIGHBOUR:
        wrong.append(f"the neighbour waited {slowest:.1f} s")
    if (grown := server.rss() - server.before) > GROWTH:
        wrong.append(f"the server's memory has grown by {grown / 2**20:.0f} MiB")
    wrong += errors[:3]
    assert not wrong, "; ".join(wrong)


@attack("agents that eat the machine, one after the other", beside="none", seconds=300)
def eating(server: Server) -> None:
    """One deed after the other, so that each meets a neighbour of its own time."""
    wrong: list[str] = []
    with server.neighbour() as neighbour:
        for deed in EATING:
            known = neighbour.turns
            said = committed(server, deed)
            slowest = max(neighbour.times[known:], default=0.0)
            server.say(f"{deed.name}: {said or 'holds'}, the neighbour's slowest turn {slowest:.3f} s")
            wrong += [said] if said else []
    judged(server, wrong, neighbour.slowest, neighbour.errors)


@attack("agents that harm their own shells and wait for the end, at once", beside="none")
def together(server: Server) -> None:
    """All of them side by side: each waits, or is over soon."""
    said: dict[str, str | None] = {}
    threads = [
        threading.Thread(target=lambda deed=deed: said.update({deed.name: committed(server, deed)}))
        for deed in TOGETHER
    ]
    with server.neighbour() as neighbour:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for deed in TOGETHER:
        server.say(f"{deed.name}: {said.get(deed.name, 'never came back') or 'holds'}")
    missing = [deed.name for deed in TOGETHER if deed.name not in said]
    judged(server, [*missing, *filter(None, said.values())], neighbour.slowest, neighbour.errors)


if __name__ == "__main__":
    from run import alone

    alone()
