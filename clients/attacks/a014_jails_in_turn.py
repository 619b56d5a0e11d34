"""More sessions run commands than there are jails: the next wait their turn and run, nobody is sent away."""

from __future__ import annotations

import threading
import time

from attack import Server, attack, main

# As many jails as a server has at once unless told otherwise; one of them is the neighbour's.
JAILS = 64
BEYOND = 8
SLEEP = 4


@attack("72 sessions run a command at once, where 64 jails are had", seconds=180)
def in_turn(server: Server) -> None:
    """Each gets the result of its command; the neighbour keeps its jail and its pace."""
    said: dict[str, str] = {}

    def command(session: str) -> None:
        try:
            said[session] = server.bash(session, f"sleep {SLEEP}; echo slept")
        except (AssertionError, OSError) as why:
            said[session] = f"no result: {why}"

    sessions = [server.session() for _ in range(JAILS + BEYOND)]
    threads = [threading.Thread(target=command, args=(session,)) for session in sessions]
    with server.neighbour() as neighbour:
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
    odd = [text for text in said.values() if not text.endswith("slept\n")]
    server.say(f"{len(sessions)} commands of {SLEEP} s took {took:.1f} s, {len(odd)} did not run")
    assert len(said) == len(sessions) and not odd, f"{len(odd)} did not run: {odd[:1]}"
    assert not neighbour.errors, f"the neighbour: {neighbour.errors[:3]}"
    assert neighbour.p95 < 10, f"the neighbour's p95 is {neighbour.p95:.1f} s"


if __name__ == "__main__":
    main()
