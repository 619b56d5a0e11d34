"""Nobody else on the machine reads the data directory or holds its locks."""

from __future__ import annotations

import os
import pathlib
import signal
import stat
import subprocess

from attack import BASE, Server, attack

OTHER = 1002
FILES = ("heddle.db", "heddle.db-wal", "heddle.db-shm", "heddle.db.opening", "lock", "ballast")
FOLDERS = ("sandboxes", "blobs")


def mode(path: pathlib.Path) -> int:
    """What may be done with it."""
    return stat.S_IMODE(path.stat().st_mode)


def other(words: list[str]) -> subprocess.Popen[str]:
    """A program of another user."""
    setpriv = ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", "--", *words]
    return subprocess.Popen(setpriv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def private(server: Server) -> None:
    """Everything of the server's own is its user's alone."""
    found = [server.data, *server.data.iterdir()]
    wrong = {str(path): oct(mode(path)) for path in found if mode(path) & 0o077}
    assert not wrong, f"others can use {wrong}"


@attack("A data directory that was open is private after the next start, whatever the umask", start=False)
def mended(server: Server) -> None:
    server.data.mkdir(mode=0o755)
    os.chown(server.data, server.uid, -1)
    old = os.umask(0)
    server.start()
    session = server.session()
    server.bash(session, "echo x > file")
    private(server)
    assert server.kill(signal.SIGTERM) == 0
    # As a version before would have left it.
    for path in (server.data, *(server.data / name for name in FOLDERS)):
        if path.exists():
            path.chmod(0o755)
    for name in FILES:
        path = server.data / name
        path.touch()
        os.chown(path, server.uid, server.uid)
        path.chmod(0o666)
    said = server.heddle("doctor")
    assert "other users of this machine can use" in said.stdout, said.stdout
    assert mode(server.data) == 0o755, "doctor changes nothing"
    server.start()
    os.umask(old)
    private(server)
    line = next(line for line in server.log().splitlines() if "could use" in line)
    server.say(f"mended at the start: …{line[line.index('other users'):][:140]}")
    assert "x" in server.bash(session, "cat file")
    assert "could use" not in server.heddle("keys", "list").stderr
    server.data.chmod(0o750)
    assert "could use" in server.heddle("keys", "list").stderr
    private(server)


@attack("Another user reads nothing and holds no lock that a start waits for", needs=("root",), start=False)
def held(server: Server) -> None:
    server.data.mkdir(mode=0o777)
    server.data.chmod(0o777)
    os.chown(server.data, server.uid, -1)
    server.start()
    server.kill(signal.SIGTERM)
    for path in [server.data, *server.data.iterdir()]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    opening = server.data / "heddle.db.opening"
    holder = other(["flock", "-x", str(opening), "sh", "-c", "echo held; exec sleep 60"])
    assert holder.stdout and holder.stdout.readline() == "held\n"
    # It would wait here for a minute.
    server.start()
    server.say("a lock that a stranger held on the database's turn held nothing up")
    holder.kill()
    for name in (*FILES, "first-key"):
        tried = other(["cat", str(server.data / name)])
        _, wrong = tried.communicate()
        assert tried.returncode != 0, f"a stranger reads {name}: {wrong}"
    tried = other(["flock", "-n", str(server.data / "lock"), "true"])
    _, wrong = tried.communicate()
    assert "ermission denied" in wrong, wrong
    server.say("another user can open neither database, log nor lock")


@attack("What belongs to somebody else is refused, with what to do", needs=("root",), start=False)
def foreign(server: Server) -> None:
    server.start()
    server.kill(signal.SIGTERM)
    for what in (server.data, server.data / "heddle.db"):
        before = what.stat().st_uid
        os.chown(what, OTHER, OTHER)
        # A folder that only another user opens is one of his, too.
        if what == server.data:
            what.chmod(0o755)
        for verb in ("serve", "doctor", "keys"):
            words = BASE[1:] if verb == "serve" else ("list",) if verb == "keys" else ()
            told = server.heddle(verb, *words)
            assert told.returncode == 1 and f"belongs to user {OTHER}" in told.stderr, (verb, told)
            assert "chown -R" in told.stderr and "setpriv" in told.stderr, told.stderr
        os.chown(what, before, -1)
    server.say(told.stderr.strip()[:220])
    outside = server.folder / "outside"
    outside.write_text("")
    os.chown(outside, server.uid, -1)
    (server.data / "lock").unlink()
    (server.data / "lock").symlink_to(outside)
    told = server.heddle("serve", *BASE[1:])
    assert told.returncode == 1 and "is a link" in told.stderr, told.stderr
    (server.data / "lock").unlink()
    server.start()


@attack("What agents make keeps the modes they are used to", start=False)
def inside(server: Server) -> None:
    old = os.umask(0o077)
    server.start()
    os.umask(old)
    said = server.bash(server.session(), "umask; touch f; mkdir d; stat -c %a f d")
    server.say(f"in a sandbox: {said.split()}")
    assert said.split() == ["0022", "644", "755"], said


if __name__ == "__main__":
    from run import alone

    alone()
