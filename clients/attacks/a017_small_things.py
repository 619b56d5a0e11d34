"""Small things an agent tries: signals to a sandbox that rests, pairs of sockets that nobody needs."""

from __future__ import annotations

from collections.abc import Callable

from attack import Server, attack

# Families TIPC, ALG and XDP; streams, datagrams and packets.
PAIRS = """
import socket
for family in (30, 38, 44):
    for kind in (1, 2, 5):
        try: print("made", socket.socketpair(family, kind))
        except OSError as why: print(family, kind, why.strerror)
"""


def segfault(server: Server) -> str:
    """Signals to the sandbox's first process while it rests; the shell must be the same afterwards."""
    for name in ("SEGV", "BUS"):
        session = server.session()
        later = f"setsid bash -c 'sleep 0.1; kill -{name} 1; sleep 0.1; kill -{name} 1; touch sent'"
        server.bash(session, f"kept=here; {later} >/dev/null 2>&1 &")
        server.made_file(session, "sent")
        said = server.bash(session, "echo $kept")
        assert said == "here\n", f"SIG{name} to pid 1 ends the sandbox: {said!r}"
    return "SIGSEGV and SIGBUS to pid 1: the shell is the same"


def families(server: Server) -> str:
    """Pairs of sockets of families that nobody needs."""
    session = server.session()
    said = server.bash(session, f"python3 -c '{PAIRS}'")
    kept = [line for line in said.splitlines() if "not permitted" not in line]
    assert not kept, f"socketpair of other families reaches the kernel: {kept[:3]}"
    return "socketpair of TIPC, ALG and XDP is refused by the filter"


TRIED: tuple[Callable[[Server], str], ...] = (segfault, families)


@attack("small things that an agent tries, each once")
def small(server: Server) -> None:
    """All of them, even after one did not hold."""
    wrong = []
    for tried in TRIED:
        try:
            server.say(tried(server))
        except AssertionError as why:
            server.say(f"NOT: {why}")
            wrong.append(str(why))
    assert not wrong, "; ".join(wrong)


if __name__ == "__main__":
    from run import alone

    alone()
