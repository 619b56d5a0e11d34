"""More sessions than sandboxes: each has its turn, nobody is told that the server is busy."""

from __future__ import annotations

import signal
import threading
import time

from attack import SLOWER, Server, attack, text_of

JAILS, SESSIONS, ROUNDS = 3, 12, 3
# Seconds of one command, and what a turn costs beside it on a loaded machine.
COMMAND, OWN = 1.0, 3.0


@attack(
    "3 sandboxes, 12 sessions that are long and one neighbour",
    beside="many",
    toml="[sandbox]\njails = 3\n",
    seconds=240,
)
def many(server: Server) -> None:
    sessions = [server.session() for _ in range(SESSIONS)]
    wrong: list[str] = []

    def work(session: str) -> None:
        for _ in range(ROUNDS):
            said = server.bash(session, f"sleep {COMMAND}; echo slept", timeout=180)
            if "slept" not in said:
                wrong.append(said)

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    neighbour, took = server.session(), []
    for _ in range(3):
        began = time.monotonic()
        said = server.bash(neighbour, "echo mine", timeout=180)
        took.append(time.monotonic() - began)
        assert "mine" in said, said
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    fair = (SESSIONS / JAILS + 1) * (COMMAND + OWN)
    server.say(f"the neighbour waited {', '.join(f'{one:.1f} s' for one in took)}; fair is {fair:.1f} s")
    assert max(took) <= fair, took


@attack(
    "calls that wait are interrupted, and their sessions deleted",
    beside="many",
    toml="[sandbox]\njails = 1\n",
)
def given_up(server: Server) -> None:
    holder = server.session()
    mark = server.ask(holder, [("bash", {"command": "sleep 12; echo held"})])
    server.until("the holder's command runs", lambda: len(server.jail(holder)) > 2)
    waits = [server.session() for _ in range(3)]
    marks = [server.ask(session, [("bash", {"command": "echo ran"})]) for session in waits]
    # So that they wait, which nobody tells.
    time.sleep(1)
    server.must("POST", f"/v1/sessions/{waits[0]}/events", {"events": [{"type": "user.interrupt"}]})
    server.wait_idle(waits[0], timeout=8)
    server.must("POST", f"/v1/sessions/{waits[1]}/events", {"events": [{"type": "user.interrupt"}]})
    server.wait_idle(waits[1], timeout=8)
    server.must("DELETE", f"/v1/sessions/{waits[1]}")
    said = "".join(text_of(event) for event in server.results(waits[2], marks[2], timeout=60))
    server.say(f"the one that stayed was told {said.strip()!r}")
    assert "ran" in said and "waited" in said, said
    assert "held" in "".join(text_of(event) for event in server.results(holder, mark, timeout=60))


@attack("the server is killed, and told to stop, while a call waits for a sandbox", toml="[sandbox]\njails = 1\n")
def ended(server: Server) -> None:
    """What waited has not begun: it is run once after the start, and a stop waits only for what runs."""
    unknown = "its outcome is unknown"
    for how, lasts in ((signal.SIGKILL, 30), (signal.SIGTERM, 5)):
        holder, waits = server.session(), server.session()
        mark = server.ask(holder, [("bash", {"command": f"sleep {lasts}; echo held"})])
        server.until("the holder's command runs", lambda one=holder: len(server.jail(one)) > 2)
        waiting = server.ask(waits, [("bash", {"command": "echo ran >> file; echo ran $(wc -l < file) times"})])
        time.sleep(1)
        began = time.monotonic()
        code = server.restart(how)
        took = time.monotonic() - began
        said = "".join(text_of(event) for event in server.results(waits, waiting, timeout=60))
        held = "".join(text_of(event) for event in server.results(holder, mark, timeout=60))
        server.say(f"{how.name}: started again after {took:.1f} s; the one that waited was told {said.strip()!r}")
        assert "ran 1 times" in said and unknown not in said, said
        if how == signal.SIGKILL:
            assert unknown in held, held
        else:
            assert code == 0 and held.strip() == "held" and took < 12 * SLOWER, (code, held, took)


if __name__ == "__main__":
    from run import alone

    alone()
