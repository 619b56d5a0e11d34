"""A server that has worked lets go of its memory: five equal loads with rests, and it is level."""

from __future__ import annotations

import concurrent.futures
import time

from attack import Server, attack

MIB = 1024 * 1024
LOADS, SESSIONS, TURNS, ABREAST = 5, 120, 3, 12
# What a turn says, and how much of all sessions at rest the server may keep.
TEXT, CACHE = 8_000, 2 * MIB
# How much the memory may grow from the second load to the last. Kept, the sessions of a load would take
# three times their texts.
GROWTH = 8 * MIB


def life(server: Server) -> None:
    """One session, some turns."""
    session = server.session()
    for turn in range(TURNS):
        after = server.say_to(session, f"{turn}" + "x" * TEXT)
        assert list(server.stream(session, after)), "a turn shows nothing"


def rest(server: Server) -> float:
    """Returns once nobody is at work or watched; the seconds that it took."""
    began = time.monotonic()
    for name in ("heddle_streams", "heddle_live_sessions"):
        server.until(f"{name} is 0", lambda name=name: server.metric(name) == 0, 5.0)
    return time.monotonic() - began


@attack("memory is level over equal loads", seconds=400.0, toml=f"[cache]\nbytes = {CACHE}\n")
def level(server: Server) -> None:
    """Five times the same; what the last leaves behind is what the second did."""
    after = []
    for load in range(1, LOADS + 1):
        with concurrent.futures.ThreadPoolExecutor(ABREAST) as pool:
            for done in [pool.submit(life, server) for _ in range(SESSIONS)]:
                done.result()
        waited = rest(server)
        after.append(server.level())
        held, cached = server.metric("heddle_resting_sessions"), server.metric("heddle_resting_bytes")
        server.say(
            f"load {load}: {SESSIONS} sessions of {TURNS} turns; 0 live after {waited:.2f} s; "
            f"{held:.0f} rest in {cached / MIB:.2f} MiB; memory {after[-1] / MIB:.1f} MiB"
        )
        assert cached <= CACHE, f"the cache holds {cached:.0f} of {CACHE} bytes"
        assert held < SESSIONS, f"{held:.0f} sessions rest in a cache that is too small for them"
    grown = after[-1] - after[1]
    assert grown <= GROWTH, f"from the second load to the last the memory grew by {grown / MIB:.1f} MiB"


if __name__ == "__main__":
    from run import alone

    alone()
