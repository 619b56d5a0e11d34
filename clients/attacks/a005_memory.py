"""Memory that no process's own limit counts: the agent's sandbox ends, the server and its neighbours do not."""

from __future__ import annotations

import contextlib
import pathlib
import threading

from attack import Server, attack, text_of
from host import cgroup_of


def memory_mib(name: str) -> int:
    """A line of /proc/meminfo."""
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith(f"{name}:"))


# The floor stands so high that this much more is too much, so that the machine is never in danger.
MORE_MIB = 700
FLOOR = max(1, memory_mib("MemAvailable") - MORE_MIB)
# 2.5 GiB of files in memory, each within every limit of a process, as fast as a small machine can look at it,
# and then it waits to be ended.
MEMFD = """python3 -c '
import os, time
kept = []
for n in range(25):
    kept.append(os.memfd_create("x"))
    for _ in range(100): os.write(kept[-1], bytes(1 << 20))
    time.sleep(0.1)
print("held", flush=True); time.sleep(60)
'"""


@attack("an agent that makes itself the last to be ended")
def order(server: Server) -> None:
    """Nobody inside sets the order, by no way; the file tools see neither /proc nor /sys."""
    session = server.session()
    said = server.bash(
        session,
        "echo -1000 > /proc/self/oom_score_adj; echo 0 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj; "
        "ln -s /proc p; ln -s /proc/1/oom_score_adj o; ln -s /proc/self/maps m",
    )
    assert said.endswith("1000\n") and said.count("Read-only file system") == 2, said
    calls = [
        ("write", {"file_path": "o", "content": "0"}),
        ("edit", {"file_path": "o", "old_string": "1000", "new_string": "0"}),
        ("read", {"file_path": "m"}),
        ("read", {"file_path": "p/self/environ"}),
        ("glob", {"pattern": "*", "path": "p"}),
        ("grep", {"pattern": ".", "path": "p/self"}),
    ]
    for (tool, _), result in zip(calls, server.turn(session, calls), strict=True):
        server.say(f"{tool}: {text_of(result)[:90]}")
        assert result["is_error"], f"{tool} was answered {text_of(result)}"
    jail = server.jail(session)
    scores = set()
    for pid in jail:
        # One may have ended meanwhile.
        with contextlib.suppress(OSError):
            scores.add(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text().strip())
    assert scores == {"1000"}, f"the jail's processes stand at {scores}"
    own = int(pathlib.Path(f"/proc/{server.pid}/oom_score_adj").read_text())
    server.say(f"the server stands at {own}, its jail at 1000")
    # Who may set it below its own has CAP_SYS_RESOURCE.
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text().splitlines()
    able = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:")) >> 24 & 1
    assert own < 0 or not able, f"a server that may set it stands at {own}"


@attack(
    "files in memory until the machine has no more",
    beside="none",
    toml=f"[sandbox]\nmemory_free_mib = {FLOOR}\n",
)
def floor(server: Server) -> None:
    """The sandbox that holds most is ended, and it alone."""
    said: dict[str, str] = {}
    other = server.session()
    server.bash(other, "true")
    steady = "x=$(head -c 1000000 /dev/zero | tr '\\0' x); sleep 8; echo finished"
    waits = threading.Thread(target=lambda: said.update(other=server.bash(other, steady)))
    waits.start()
    told = server.bash(server.session(), MEMFD)
    waits.join()
    server.say(f"the offender was told {told[:160]!r}")
    assert "memory ran short" in told or "ended by itself" in told, told
    assert said["other"].endswith("finished\n"), said
    assert server.alive()
    assert server.bash(other, "echo on").endswith("on\n")


@attack(
    "shared memory beyond what a session may have",
    beside="none",
    users=("root",),
    toml="[sandbox]\nmemory_mib = 512\n",
)
def whole(server: Server) -> None:
    """Where there are cgroups, a sandbox is bounded as a whole, whatever its memory is called."""
    if "cgroups bound each sandbox" not in server.log():
        server.say("this host gives no cgroups: nothing to try")
        return
    before = memory_mib("MemAvailable")
    held: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            held.append(before - memory_mib("MemAvailable"))

    watching = threading.Thread(target=watch)
    watching.start()
    told = server.bash(server.session(), MEMFD)
    stop.set()
    watching.join()
    server.say(f"it was told {told[:160]!r}; at most {max(held)} MiB less were available")
    assert "held" not in told.split("\n"), told
    server.until("the log says why it was ended", lambda: "for lack of memory" in server.log())
    assert server.bash(server.session(), "echo on").endswith("on\n")


@attack(
    "a unit that is given its cgroup divides it",
    needs=("vm-cgroup2",),
    users=("root",),
    toml="[sandbox]\nmemory_mib = 256\n",
)
def divided(server: Server) -> None:
    """Each jail has a cgroup with its limits, and what a killed server left is removed at the next start."""
    session = server.session()
    server.bash(session, "true")
    place = cgroup_of(max(server.jail(session)))
    server.say(f"the jail is in {place}")
    read = lambda name: (place / name).read_text().strip()  # noqa: E731
    assert read("memory.max") == str(256 << 20) and read("memory.oom.group") == "1", read("memory.max")
    assert read("pids.max") == "512"
    # Beside all of the host jails weigh more than beside the server alone.
    weight = "50" if place.parent.parent == pathlib.Path("/sys/fs/cgroup") else "20"
    assert (place.parent / "cpu.weight").read_text().strip() == weight
    server.restart()
    assert not place.exists(), "what the killed server left is still there"
    server.bash(session, "true")


if __name__ == "__main__":
    from run import alone

    alone()
