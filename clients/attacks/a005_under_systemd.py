"""A unit with `Delegate=yes` alone: each jail is bounded as a whole, and stopping leaves nothing."""

from __future__ import annotations

import re
import signal

from attack import Server, attack
from host import cgroup_of
from server import binary_of
from unit import Service, Unit, said_by

# What an agent does that no limit of one process bounds: each child stays below its own.
MANY_MEMFDS = """python3 -c '
import os
for _ in range(8):
    if os.fork() == 0:
        fd = os.memfd_create("x")
        while True: os.write(fd, bytes(1 << 20))
os.wait()
'"""


def service(server: Server) -> Unit:
    """The service that the server is."""
    process = server.running()
    assert isinstance(process, Unit), "the server is no unit"
    return process


@attack("doctor finds cgroup v2 in a unit with Delegate=yes alone", needs=("systemd", "cgroup2"), start=False)
def doctor(server: Server) -> None:
    """As in a unit that has what the server's has."""
    command = [binary_of("HEDDLE_BIN"), "doctor", "--data", str(server.data)]
    log = server.folder / "doctor.log"
    told = said_by(Service(command, log, server.environ(), ("Delegate=yes",), server.uid))
    said = [line.strip() for line in told.splitlines() if re.search(r"\bcgroups?( v2)?:", line)]
    server.say(f"doctor: {' | '.join(said) or told}")
    good = [line for line in said if line.startswith("ok ") and re.search("v2|version 2", line)]
    assert len(good) == 1, "doctor does not say that cgroup v2 is had"


@attack(
    "a jail that passes its memory by many memfds is ended alone, in a unit with Delegate=yes",
    needs=("cgroup2",),
    seconds=60,
    toml="[sandbox]\nmemory_mib = 256\n",
    unit=("Delegate=yes",),
)
def memory(server: Server) -> None:
    """The server, its process and a neighbour's jail are the same afterwards."""
    offender, pid = server.session(), server.pid
    server.bash(offender, "true")
    with server.neighbour() as neighbour:
        beside = server.jail(neighbour.session)
        places = {cgroup_of(process) for process in server.jail(offender)} - {cgroup_of(pid)}
        bounds = [(place / "memory.max").read_text().strip() for place in places]
        server.say(f"the server is in {cgroup_of(pid).name}, the jail in {[place.name for place in places]}")
        said = server.bash(offender, MANY_MEMFDS, timeout_ms=60_000)
        server.say(f"8 processes filled memfds, and the agent was told: {said.strip()[:200]!r}")
        # An emulated machine may take longer for a new sandbox than a start may last.
        tries = (server.bash(offender, "echo alive") for _ in range(4))
        alive = next((said for said in tries if said.endswith("alive\n")), "nothing, four times")
        server.say(f"its session then says: {alive.strip()!r}")
    assert alive.endswith("alive\n"), f"the offender's session does not go on: {alive}"
    assert server.alive() and server.pid == pid, "the server was ended"
    assert not neighbour.errors, f"the neighbour: {neighbour.errors[:3]}"
    lost = beside - server.jail(neighbour.session)
    assert not lost, f"the neighbour's jail lost {len(lost)} of {len(beside)} processes"
    assert bounds == [str(256 << 20)], f"the jail has no cgroup with a bound of its own: {bounds}"


@attack("a unit with Delegate=yes is restarted, killed, stopped, and leaves nothing", unit=("Delegate=yes",))
def stopped(server: Server) -> None:
    """With commands that run and daemons that were left."""
    unit, session = service(server), server.session()
    daemon = "echo kept > kept; setsid sleep 1000 >/dev/null 2>&1 & cat kept"
    server.bash(session, f"(trap '' TERM INT HUP; {daemon})")
    for how in ("restarted", "killed"):
        before = unit.pid
        after = server.ask(session, [("bash", {"command": "sleep 1000"})])
        server.until("the command runs", lambda: len(server.jail(session)) > 2)
        if how == "restarted":
            unit.again()
        else:
            server.restart()
            unit = service(server)
        assert unit.pid != before, "it is the same process"
        results = server.results(session, after)
        said = server.bash(session, "cat kept; pgrep -c sleep; true")
        server.say(f"{how} while a command ran: {len(results)} result of it, and the session says {said!r}")
        assert said.endswith("kept\n0\n"), f"after it was {how}: {said}"
    code = server.kill(signal.SIGTERM)
    result, left = unit.shown("Result"), unit.cgroup.exists()
    server.say(f"stopped: exit {code}, result {result}, its cgroup is {'still there' if left else 'gone'}")
    assert (code, result, left) == (0, "success", False), "it did not stop cleanly"


if __name__ == "__main__":
    from run import alone

    alone()
