"""Whatever the server cannot do without, ends once: the server goes on, or ends with a reason."""

from __future__ import annotations

import signal
import threading
import time

from attack import Server, Skip, attack

# What begins again, or is answered as failed; and what the process ends with. What takes sessions up at a start has
# nothing to do any more in a server that runs: its end is among the engine's own tests.
GOES_ON = (
    "engine-sweep",
    "engine-pins",
    "engine-lease",
    "session-commits",
    "session-follower",
    "session-job",
    "sandbox-keeper",
    "sandbox-sweep",
    "sandbox-watch",
    "key-watch",
    "log-writer",
    "out-writer",
)
ENDS = ("store-writer", "store-reader", "accept-loop", "signals")


def end(server: Server, name: str) -> None:
    """Lets the thread or task of this name panic."""
    status, told = server.post(f"/heddle/test/end/{name}", {})
    assert status == 200, f"{name}: {status} {told}"


def panics(server: Server) -> int:
    """How often the log speaks of such an end."""
    return server.log().count(": ended by a test")


def works(server: Server, session: str, timeout: float = 60.0) -> float:
    """A turn of this session; how long until one went through."""
    began = time.monotonic()
    while True:
        try:
            said = server.bash(session, "echo works")
            if "works" in said:
                return time.monotonic() - began
            why = said
        except (AssertionError, OSError) as wrong:
            why = str(wrong)
        assert time.monotonic() - began < timeout, f"no turn went through within {timeout:.0f} s: {why}"
        # What ended begins again after a pause, and only a turn that goes through shows that it has.
        time.sleep(0.2)


def has_door(server: Server) -> None:
    """A release has no such door."""
    if server.post("/heddle/test/end/log-writer", {})[0] == 404:
        raise Skip("this binary was built without the tests' door")


@attack("Each task that begins again ends once, under load", seconds=300)
def go_on(server: Server) -> None:
    has_door(server)
    session = server.session()
    server.bash(session, "echo begin > file")
    stop = threading.Event()

    def load() -> None:
        own = server.session()
        while not stop.is_set():
            try:
                server.turn(own, [("read", {"file_path": "/etc/passwd"})])
            except (AssertionError, OSError):
                # A commit that was under way in a task that ended is answered as failed.
                stop.wait(0.1)

    loads = [threading.Thread(target=load, daemon=True) for _ in range(3)]
    for thread in loads:
        thread.start()
    for name in GOES_ON:
        known = panics(server)
        end(server, name)
        server.until(f"{name} has ended", lambda known=known: panics(server) > known)
        took = works(server, session)
        assert server.alive(), f"the server ended with {name}"
        assert server.get("/readyz")[0] == 200, name
        server.say(f"{name}: ended, a turn went through after {took:.1f} s")
    stop.set()
    for thread in loads:
        thread.join(120)
    assert server.bash(session, "cat file").split()[-1] == "begin"
    assert server.kill(signal.SIGTERM) == 0


@attack("A session whose follower ends while a command runs goes on, and runs nothing twice", seconds=120)
def follower(server: Server) -> None:
    has_door(server)
    session = server.session()
    server.bash(session, "true")
    after = server.ask(session, [("bash", {"command": "echo once >> count; sleep 5; echo end"})])
    count = server.data / "sandboxes" / session / "workspace" / "count"
    server.until("the command runs", count.exists)
    end(server, "session-follower")
    results = server.results(session, after)
    said = "".join(str(result.get("content")) for result in results)
    times = server.bash(session, "wc -l < count").split()[-1]
    server.say(f"answered {said[:90]}…; the command ran {times} time(s); the session took another turn")
    assert "outcome is unknown" in said and times == "1", (said, times)


@attack("What nothing begins again ends: the server says so and ends with 1", seconds=240)
def ends(server: Server) -> None:
    has_door(server)
    session = server.session()
    server.bash(session, "echo kept > file")
    for name in ENDS:
        after = server.ask(session, [("bash", {"command": "sleep 1; cat file"})])
        server.ended = True
        began = time.monotonic()
        try:
            end(server, name)
        except OSError:
            # It may be gone before it has answered.
            pass
        code = server.running().child.wait(60)
        took = time.monotonic() - began
        assert code == 1, f"{name}: exit status {code}"
        server.running().out.flush()
        last = [line for line in server.log().splitlines() if f"heddle: {name} " in line]
        assert last, f"{name}: no reason in the log: {server.log()[-1500:]}"
        server.say(f"{name}: exit 1 after {took:.1f} s: {last[-1][:150]}")
        server.start()
        list(server.stream(session, after, 60))
        assert server.bash(session, "cat file").split()[-1] == "kept", name


if __name__ == "__main__":
    from run import alone

    alone()
