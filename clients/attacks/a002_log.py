"""A line of the log can fail, and nothing else does."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import pathlib
import signal
import subprocess
import time
from typing import IO, Any

from attack import Server, attack
from process import MARK, Process

MIB = 1024 * 1024
# What the log says of lines that found no way out.
MISSING = "lines of the log are missing here"


class Logged(Process):
    """The server, with its log where the row wants it."""

    def __init__(self, server: Server, stderr: int | IO[Any], **env: str) -> None:
        self.log = server.folder / "heddle.log"
        self.out = self.log.open("a")
        words, told = server.command(), server.environ() | env
        # Its own group, so that what is done to the reader is not done to it.
        self.child = subprocess.Popen(
            words, env=told, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        assert self.child.stdout
        self.url = ""
        for line in self.child.stdout:
            if MARK in line:
                self.url = line.split(MARK, 1)[1].strip()
                break
        assert self.url, f"the server ended with {self.child.wait()} before it listened"
        server.process, server.ended = self, False
        server.before = server.rss()


class Reader:
    """Somebody who reads the log through a pipe, as `tee` does."""

    def __init__(self, server: Server) -> None:
        self.path = server.folder / "read.log"
        self.child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=self.path.open("w"))
        assert self.child.stdin
        self.pipe = self.child.stdin

    def read(self) -> str:
        """What it has read."""
        return self.path.read_text(errors="replace")

    def end(self, how: signal.Signals) -> None:
        """Sends it a signal."""
        self.child.send_signal(how)


def posts(server: Server, count: int) -> float:
    """So many messages to a session, four at a time: each is answered and kept. Seconds of the slowest."""
    session = server.session()

    def one(number: int) -> float:
        began = time.monotonic()
        server.say_to(session, f"number {number}")
        return time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        slowest = max(pool.map(one, range(count)))
    server.wait_idle(session)
    listed = server.must("GET", f"/v1/sessions/{session}/events?limit=1000&types[]=user.message")
    assert len(listed["data"]) == count, f"{count} messages were answered and {len(listed['data'])} are there"
    return slowest


def gets(server: Server, count: int) -> None:
    """So many requests on eight connections that stay open."""

    def some(share: int) -> None:
        connection = http.client.HTTPConnection(*server.address, timeout=30)
        for _ in range(share):
            connection.request("GET", "/v1/agents?limit=1", headers={"x-api-key": server.key})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, f"a GET was answered {answer.status}"
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(some, [count // 8] * 8))


def ready(server: Server) -> None:
    """The server says that it takes work."""
    status, told = server.get("/readyz")
    assert status == 200, f"/readyz answers {status}: {told}"


@attack("The reader of the log ends: `serve 2>&1 | tee`, and tee dies", start=False, seconds=180)
def reader_ends(server: Server) -> None:
    reader = Reader(server)
    Logged(server, reader.pipe, HEDDLE_LOG="debug")
    reader.pipe.close()
    with server.neighbour() as beside:
        posts(server, 20)
        reader.end(signal.SIGKILL)
        reader.child.wait()
        slowest = posts(server, 200)
        server.say(f"200 messages after the reader's death, all answered and kept; slowest {slowest:.3f} s")
    assert not beside.errors, beside.errors
    ready(server)
    code = server.kill(signal.SIGTERM)
    assert code == 0, f"told to stop, the server ended with {code}"


@attack("The reader of the log stops reading while 10,000 requests are logged", start=False, seconds=300)
def reader_stops(server: Server) -> None:
    reader = Reader(server)
    Logged(server, reader.pipe, HEDDLE_LOG="debug")
    reader.pipe.close()
    with server.neighbour() as beside:
        reader.end(signal.SIGSTOP)
        began = time.monotonic()
        gets(server, 10_000)
        slowest = posts(server, 100)
        server.say(
            f"10,000 requests and 100 messages in {time.monotonic() - began:.1f} s with a reader that sleeps;"
            f" slowest message {slowest:.3f} s"
        )
    assert not beside.errors, beside.errors
    grown = (server.rss() - server.before) / MIB
    assert grown < 64, f"the server grew by {grown:.0f} MiB"
    assert MISSING not in reader.read()
    reader.end(signal.SIGCONT)
    server.until("the log says what is missing", lambda: MISSING in reader.read())
    said = next(line for line in reader.read().splitlines() if MISSING in line)
    server.say(f"then the reader reads again: {said}")
    agent = server.agent()
    server.get(f"/v1/agents/{agent}")
    server.until("the log goes on", lambda: "/v1/agents/{agent_id}" in reader.read().partition(MISSING)[2])

    reader.end(signal.SIGSTOP)
    gets(server, 2_000)
    began = time.monotonic()
    code = server.kill(signal.SIGTERM)
    took = time.monotonic() - began
    reader.end(signal.SIGCONT)
    server.say(f"told to stop while the reader sleeps it ended with {code} after {took:.1f} s")
    assert code == 0 and took < 15, f"{code} after {took:.1f} s"


@attack("Nothing of the last lines is lost at a normal end", start=False)
def last_lines(server: Server) -> None:
    path = server.folder / "read.log"
    slow = "import sys, time\nfor line in sys.stdin:\n print(line, end='', flush=True)\n time.sleep(0.002)"
    with path.open("w") as out:
        reader = subprocess.Popen(["python3", "-c", slow], stdin=subprocess.PIPE, stdout=out)
    assert reader.stdin
    Logged(server, reader.stdin, HEDDLE_LOG="server=debug")
    reader.stdin.close()
    gets(server, 400)
    code = server.kill(signal.SIGTERM)
    reader.wait(30)
    lines = path.read_text().splitlines()
    answered = sum("answered" in line for line in lines)
    server.say(f"exit {code}; of 400 answers a slow reader got {answered} lines")
    assert code == 0 and answered == 400, lines[-5:]


@attack("The log cannot be written from the start: a full device, no standard error", start=False)
def full_from_the_start(server: Server) -> None:
    for what in ("/dev/full", "closed"):
        if what == "closed":
            server.kill(signal.SIGTERM)
            words = ["sh", "-c", 'exec "$@" 2>&-', "sh", *server.command()]
            server.command = lambda: words  # type: ignore[method-assign]
            Logged(server, subprocess.DEVNULL, HEDDLE_LOG="debug")
        else:
            with pathlib.Path(what).open("w") as full:
                Logged(server, full, HEDDLE_LOG="debug")
        with server.neighbour() as beside:
            slowest = posts(server, 50)
        assert not beside.errors, beside.errors
        ready(server)
        server.say(f"{what}: 50 messages answered and kept, slowest {slowest:.3f} s")


@attack("Log and data on one small disk that is full", mount="tmpfs:96", start=False, seconds=240)
def one_disk(server: Server) -> None:
    log = server.folder / "disk" / "heddle.err"
    with log.open("w") as err:
        os.chown(log, server.uid, -1)
        Logged(server, err, HEDDLE_LOG="debug")
    session = server.session()
    posts(server, 10)
    filler = server.folder / "disk" / "filler"
    try:
        with filler.open("wb", buffering=0) as out:
            while out.write(b"x" * MIB):
                pass
    except OSError:
        pass
    answers: dict[int, int] = {}
    for number in range(100):
        message = {"type": "user.message", "content": [{"type": "text", "text": f"full {number}"}]}
        # Whatever it says, it answers.
        status, _ = server.post(f"/v1/sessions/{session}/events", {"events": [message]})
        answers[status] = answers.get(status, 0) + 1
        server.get("/v1/agents")
    server.say(f"on a full disk 100 messages were answered {answers}, and every GET")
    assert server.alive(), "the server has ended"
    filler.unlink()
    began = time.monotonic()
    server.until("the store writes again", lambda: server.get("/readyz")[0] == 200)
    slowest = posts(server, 50)
    text = log.read_text(errors="replace")
    assert "panicked" not in text, text[-2000:]
    server.say(
        f"with room again: ready after {time.monotonic() - began:.1f} s, 50 messages, slowest {slowest:.3f} s;"
        f" the log {'tells what is missing' if MISSING in text else 'lost nothing'}"
    )
    server.wait_idle(session)


if __name__ == "__main__":
    from run import alone

    alone()
