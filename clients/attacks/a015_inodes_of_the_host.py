"""Agents neither watch what others run, nor lock the host's files."""

from __future__ import annotations

import fcntl
import subprocess

from attack import Server, attack

# Watches until it is told that it is over.
WATCH = """python3 -c "
import ctypes, os, select, time
libc = ctypes.CDLL(None); fd = libc.inotify_init1(0)
for path in (b'/usr/bin', b'/usr/bin/env', b'/etc/os-release'):
    assert libc.inotify_add_watch(fd, path, 0xfff) >= 0
open('watching', 'w').close()
while not os.path.exists('over'): time.sleep(0.05)
print('events:', len(os.read(fd, 65536)) if select.select([fd], [], [], 0)[0] else 0)
" """


@attack("watches on /usr/bin see nobody else", beside="many")
def watches(server: Server) -> None:
    spy, other = server.session(), server.session()
    server.bash(other, "true")
    mark = server.ask(spy, [("bash", {"command": WATCH})])
    server.made_file(spy, "watching")
    for _ in range(6):
        server.bash(other, "/usr/bin/env true; cat /etc/os-release > /dev/null")
        subprocess.run(["/usr/bin/env", "true"], check=True)
    server.make_file(spy, "over")
    said = server.results(spy, mark)[0]["content"][0]["text"]
    server.say(f"the spy saw {said.strip()}")
    assert "events: 0" in said, said


# Alone: it locks a file of the host, which the row of another user does too.
@attack("a lock on a host's file holds inside alone")
def locks(server: Server) -> None:
    holder = server.session()
    hold = "flock /usr/bin/env sleep 30 & sleep 1; flock -n /usr/bin/env true || echo held"
    assert "held" in server.bash(holder, hold)
    with open("/usr/bin/env", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        other = server.session()
        said = server.bash(other, "flock -n /usr/bin/env echo free")
        assert "free" in said, said
    server.say("an agent's lock, another agent's and the host's do not meet")


if __name__ == "__main__":
    from run import alone

    alone()
