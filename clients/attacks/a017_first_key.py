"""The first key is never lost, and one that is easy to guess is not taken."""

from __future__ import annotations

import contextlib
import http.client
import random
import shutil
import signal
import subprocess
import time
from typing import Any

from attack import BASE, Server, attack
from process import MARK

# Starts that are killed, each at another moment.
KILLS = 30


def opens(url: str, key: str) -> bool:
    """Whether the key opens."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        connection.request("GET", "/v1/agents", headers={"x-api-key": key})
        return connection.getresponse().status == 200


def first(server: Server, **more: Any) -> subprocess.Popen[str]:
    """The server without a key of the environment's."""
    environ = {name: value for name, value in server.environ().items() if name != "HEDDLE_API_KEY"}
    return subprocess.Popen(server.command(), env=environ, stdout=subprocess.PIPE, text=True, **more)


@attack("kill -9 at any moment of a first start leaves no key, or a readable one", start=False, seconds=300)
def killed(server: Server) -> None:
    dice = random.Random(7)
    seen = {"no key": 0, "a key that can be read": 0}
    file = server.data / "first-key"
    for turn in range(KILLS):
        shutil.rmtree(server.data, ignore_errors=True)
        child = first(server, stderr=subprocess.DEVNULL)
        # It is made between the database and the listening; every other kill comes with its file.
        mark = file if turn % 2 else server.data / "heddle.db"
        while not mark.exists() and child.poll() is None:
            pass
        time.sleep(0 if turn % 2 else dice.uniform(0, 0.3))
        child.kill()
        child.wait()
        left = file.read_text() if file.exists() else None
        listed = server.heddle("keys", "list")
        assert listed.returncode == 0, listed.stderr
        has = "first" in listed.stdout
        assert not has or left, f"kill {turn}: there is a key and nobody can read it"
        seen["a key that can be read" if has else "no key"] += 1
        if turn % 10:
            continue
        child = first(server, stderr=subprocess.DEVNULL)
        assert child.stdout
        url = next(line for line in child.stdout if MARK in line).split(MARK, 1)[1].strip()
        assert opens(url, file.read_text()), f"kill {turn}: the key in the file opens nothing"
        child.send_signal(signal.SIGTERM)
        child.wait(30)
    server.say(f"after {KILLS} kills: {seen}")


@attack("A first key that cannot be written is not made", start=False)
def unwritten(server: Server) -> None:
    server.start()
    server.kill(signal.SIGTERM)
    # A database without a key, and the file's place is taken.
    file = server.data / "first-key"
    file.mkdir(mode=0o700)
    shutil.chown(file, server.uid)
    child = first(server, stderr=subprocess.PIPE)
    _, wrong = child.communicate(timeout=60)
    assert child.returncode == 1 and "first-key" in wrong, wrong
    file.rmdir()
    listed = server.heddle("keys", "list")
    assert listed.returncode == 0 and listed.stdout == "", listed
    server.say(f"refused: {wrong.strip()[:150]}; no key was made")


@attack("A HEDDLE_API_KEY that is easy to guess is refused, by doctor too", start=False)
def weak(server: Server) -> None:
    for key, good in (("x", False), ("short-key-123", False), ("a" * 40, False), ("0123456789abcdef", True)):
        server.env["HEDDLE_API_KEY"] = key
        told = server.heddle("doctor")
        refused = "HEDDLE_API_KEY is easy to guess" in told.stderr and "openssl rand" in told.stderr
        assert refused != good and (told.returncode == 0 or not good), (key, told)
        if good:
            server.key = key
            server.start()
            assert opens(server.url, key)
        else:
            serve = server.heddle(*BASE)
            assert serve.returncode == 1 and "is easy to guess" in serve.stderr, serve
            assert not server.data.exists(), "it touched the data directory"
    server.say("one letter, 13 characters and 40 of one letter are refused by serve and doctor")


if __name__ == "__main__":
    from run import alone

    alone()
