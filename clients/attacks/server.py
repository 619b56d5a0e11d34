"""A server under attack, with a scripted model server behind it, and short words for what is done to it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "python"))

from process import Process, binary_of, jail_of, surroundings  # noqa: E402
from scripts import TOOLSET, script, use, uses  # noqa: E402

from host import Disk  # noqa: E402
from unit import Service, Unit  # noqa: E402

KEY = "key-of-the-attacks"
# Who the server runs as when it is not root.
PLAIN = 1001
MODEL = "claude-sonnet-4-5"
# How much slower than a usual one this machine is; an emulated one says so.
SLOWER = float(os.environ.get("HEDDLE_ATTACKS_SLOWER", "1"))
# Seconds that one request, and one turn, may take unless a row says otherwise.
REQUEST, TURN = 60.0 * SLOWER, 120.0 * SLOWER
# What every server under attack is told.
BASE = ("serve", "--listen", "127.0.0.1:0", "--sandbox", "local")
# Events behind which a turn says no more.
ENDS = ("session.status_idle", "session.status_terminated", "session.deleted")
MIB = 1024 * 1024
# Bytes within which memory counts as level.
LEVEL = 256 * 1024


class Refused(AssertionError):
    """The server said no to something that must work."""


class Skip(Exception):
    """A row that cannot be tried on this host; the message says why."""


def text_of(event: dict[str, Any]) -> str:
    """The text of a message or of a tool's result."""
    return "".join(block.get("text", "") for block in event.get("content") or [])


class Server:
    """One server on one data directory, which may be killed and started again."""

    def __init__(
        self,
        folder: pathlib.Path,
        user: str,
        *,
        toml: str = "",
        args: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        limits: dict[str, int | tuple[int, int]] | None = None,
        disk: Disk | None = None,
        unit: tuple[str, ...] | None = None,
        running: bool = True,
    ) -> None:
        self.folder, self.user, self.key = folder, user, KEY
        self.args, self.env, self.limits, self.unit = args, dict(env or {}), dict(limits or {}), unit
        self.data = (folder / "disk" if disk else folder) / "data"
        self.settings = folder / "heddle.toml"
        self.settings.write_text(toml)
        # The user that the server's processes and files belong to.
        self.uid = PLAIN if user == "plain" and os.geteuid() == 0 else os.geteuid()
        if disk:
            subprocess.run(["sh", "-c", disk.command(folder, self.uid)], check=True)
        (folder / "tmp").mkdir(exist_ok=True)
        for made in (folder, folder / "tmp"):
            os.chown(made, self.uid, -1)
        words = [binary_of("MODEL_SERVER_BIN"), "--listen", "127.0.0.1:0"]
        self.model = Process("model-server", words, folder / "model-server.log", surroundings())
        self.process: Process | Unit | None = None
        # Whether it was this program that ended the server.
        self.ended = True
        self.before = 0
        self.neighbours: list[Neighbour] = []
        self.names = itertools.count(1)
        self.made: dict[str, str] = {}
        if running:
            self.start()
            self.before = self.rss()

    # The process.

    def start(self, **env: str) -> None:
        """Starts the server; variables stay for later starts."""
        self.env |= env
        log = self.folder / "heddle.log"
        try:
            if self.unit is None:
                self.process = Process("heddle", self.command(), log, surroundings(**self.environ()))
            else:
                self.process = Unit(Service(self.words(), log, self.environ(), self.unit, self.uid))
        except SystemExit as why:
            raise AssertionError(str(why)) from why
        self.ended = False

    def command(self) -> list[str]:
        """The words that start the server as its user and under its limits."""
        return [*self.prefix(), *self.words()]

    def words(self) -> list[str]:
        """The words that start the server."""
        place = ["--data", str(self.data), "--config", str(self.settings)]
        return [binary_of("HEDDLE_BIN"), *BASE, *place, *self.args]

    def prefix(self) -> list[str]:
        """What stands before a program that is to run as the server does."""
        limits = [
            f"--{name}=" + (f"{at[0]}:{at[1]}" if isinstance(at, tuple) else f"{at}:")
            for name, at in self.limits.items()
        ]
        words = ["prlimit", *limits, "--"] if limits else []
        if self.uid != os.geteuid():
            words += ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--"]
        return words

    def environ(self) -> dict[str, str]:
        """The variables that the server is told."""
        told = {
            "HEDDLE_API_KEY": KEY,
            "HEDDLE_ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": "key-of-the-scripted-model",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
        }
        return told | self.env

    def heddle(self, *words: str, timeout: float = REQUEST) -> subprocess.CompletedProcess[str]:
        """Another verb of the program, as the server's user and on its data."""
        place = ["--data", str(self.data), "--config", str(self.settings)]
        command = [*self.prefix(), binary_of("HEDDLE_BIN"), *words, *place]
        env = surroundings(**self.environ())
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)

    def running(self) -> Process | Unit:
        """The process; it must have been started."""
        assert self.process, "the server was not started"
        return self.process

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.running().url

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, for a socket."""
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        return host, int(port)

    @property
    def pid(self) -> int:
        """Its number."""
        return self.running().child.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.child.poll() is None

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Ends it and gives its exit code."""
        self.ended = True
        return self.running().end(how)

    def restart(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Ends it and starts it again on the same data; gives the exit code."""
        code = self.kill(how)
        self.start()
        return code

    def log(self) -> str:
        """What it has written."""
        path = self.folder / "heddle.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def rss(self) -> int:
        """Its resident memory, in bytes."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the server has no memory any more: it has ended")

    def jail(self, session: str) -> set[int]:
        """The processes of a session's jail."""
        return jail_of(session)

    # Requests.

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        timeout: float = REQUEST,
    ) -> tuple[int, Any]:
        """One request on a connection of its own; gives status and JSON, or text where it is none."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        with contextlib.closing(connection):
            sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            said = {"x-api-key": self.key, "content-type": "application/json"} | (headers or {})
            connection.request(method, path, sent, said)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def get(self, path: str, **more: Any) -> tuple[int, Any]:
        """A GET."""
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any, **more: Any) -> tuple[int, Any]:
        """A POST."""
        return self.call("POST", path, body, **more)

    def delete(self, path: str, **more: Any) -> tuple[int, Any]:
        """A DELETE."""
        return self.call("DELETE", path, **more)

    def must(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A request that has to be answered well; gives the JSON."""
        status, answer = self.call(method, path, body, **more)
        if status >= 300:
            raise Refused(f"{method} {path} was answered {status}: {str(answer)[:500]}")
        return answer

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = self.must("GET", "/metrics")
        found = [line for line in text.splitlines() if line.split(" ")[0].split("{")[0] == name]
        assert found, f"there is no metric {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    # Agents, sessions, turns.

    def agent(self, **more: Any) -> str:
        """A new agent with all tools; its id."""
        given = {"name": f"agent-{next(self.names)}", "model": MODEL, "tools": [TOOLSET]}
        return self.must("POST", "/v1/agents", given | more)["id"]

    def environment(self, **more: Any) -> str:
        """A new environment; its id."""
        given = {"name": f"environment-{next(self.names)}"}
        return self.must("POST", "/v1/environments", given | more)["id"]

    def session(self, **more: Any) -> str:
        """A new session, of an agent and an environment that sessions share unless said; its id."""
        for name, make in (("agent", self.agent), ("environment_id", self.environment)):
            if name not in more and name not in self.made:
                self.made[name] = make()
        return self.must("POST", "/v1/sessions", self.made | more)["id"]

    def say_to(self, session: str, text: str, **more: Any) -> str:
        """A message of the user; the id of its event."""
        message = {"type": "user.message", "content": [{"type": "text", "text": text}]}
        sent = self.must("POST", f"/v1/sessions/{session}/events", {"events": [message]}, **more)
        return sent["data"][0]["id"]

    def ask(self, session: str, calls: list[tuple[str, dict[str, Any]]], together: bool = False) -> str:
        """Begins a turn of these calls, each in an answer of its own unless `together`; its message's id."""
        tools = [use(name, **given) for name, given in calls]
        steps = [uses(*tools)] if together else [uses(tool) for tool in tools]
        return self.say_to(session, script(*steps, {"text": "done"}))

    def turn(
        self,
        session: str,
        calls: list[tuple[str, dict[str, Any]]],
        timeout: float = TURN,
        together: bool = False,
    ) -> list[dict[str, Any]]:
        """One whole turn of these calls; gives their results, in order."""
        after = self.ask(session, calls, together)
        return self.results(session, after, timeout)

    def results(self, session: str, after: str, timeout: float = TURN) -> list[dict[str, Any]]:
        """What tools answered behind this event until the session rested."""
        events = list(self.stream(session, after, timeout))
        return [event for event in events if event["type"] == "agent.tool_result"]

    def bash(self, session: str, command: str, timeout: float = TURN, **given: Any) -> str:
        """What a command says that must be answered, well or not."""
        results = self.turn(session, [("bash", {"command": command} | given)], timeout)
        assert len(results) == 1, f"{len(results)} results of one command"
        return text_of(results[0])

    def stream(self, session: str, after: str, timeout: float = TURN) -> Iterator[dict[str, Any]]:
        """The events behind this one until the session rests."""
        deadline = time.monotonic() + timeout
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        with contextlib.closing(connection):
            path = f"/v1/sessions/{session}/events/stream?after_id={after}"
            connection.request("GET", path, headers={"x-api-key": self.key})
            answer = connection.getresponse()
            if answer.status != 200:
                raise Refused(f"GET {path} was answered {answer.status}: {answer.read()[:500]!r}")
            while line := answer.readline():
                # Heartbeats come every ten seconds, so that a stream without an end is noticed.
                assert time.monotonic() < deadline, f"the turn was not over after {timeout:.0f} s"
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])
                    yield event
                    if event["type"] in ENDS:
                        return
        raise AssertionError("the stream ended before the turn did")

    def wait_idle(self, session: str, timeout: float = TURN) -> dict[str, Any]:
        """Returns once the session rests; gives it."""
        deadline = time.monotonic() + timeout
        while (found := self.must("GET", f"/v1/sessions/{session}"))["status"] not in ("idle", "terminated"):
            assert time.monotonic() < deadline, f"the session does not rest after {timeout:.0f} s"
            time.sleep(0.05)
        return found

    def until(self, what: str, holds: Any, timeout: float = 30.0) -> None:
        """Returns once something holds that nothing tells of."""
        deadline = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < deadline, f"after {timeout:.0f} s not yet: {what}"
            time.sleep(0.05)

    def workspace(self, session: str) -> pathlib.Path:
        """Where the files of a session's agent are, for this machine."""
        return self.data / "sandboxes" / session / "workspace"

    def made_file(self, session: str, name: str, timeout: float = TURN) -> None:
        """Returns once a command of the session has made this file in its workspace."""
        try:
            self.until(f"the agent has made {name}", (self.workspace(session) / name).exists, timeout)
        except PermissionError as why:
            raise Skip("only root sees the files of a sandbox that has a sub-user") from why

    def make_file(self, session: str, name: str) -> None:
        """Makes a file in its workspace, which a command there waits for."""
        (self.workspace(session) / name).touch()

    def level(self, within: float = 1.0, timeout: float = 20.0) -> int:
        """Its resident memory, once that has stayed the same, but for `LEVEL` bytes, for so many seconds."""
        seen, deadline = [(time.monotonic(), self.rss())], time.monotonic() + timeout
        while time.monotonic() < deadline:
            time.sleep(0.1)
            seen.append((now := time.monotonic(), self.rss()))
            late = [held for at, held in seen if at >= now - within]
            if now - seen[0][0] >= within and max(late) - min(late) <= LEVEL:
                break
        return seen[-1][1]

    # What is said of a row.

    def say(self, words: str) -> None:
        """A line for the reader: what was tried, what was seen."""
        print(f"   {words}", flush=True)

    def neighbour(self, pause: float = 0.02) -> Neighbour:
        """Somebody who takes turns in a session of his own while the block goes on."""
        self.neighbours.append(Neighbour(self, pause))
        return self.neighbours[-1]

    def measured(self) -> str:
        """The neighbours' turns and the server's memory, in a line."""
        words = [neighbour.said() for neighbour in self.neighbours]
        after = self.rss() if self.alive() else 0
        if self.before and after:
            words.append(f"memory {self.before / MIB:.0f} -> {after / MIB:.0f} MiB")
        return "; ".join(words)

    def close(self) -> None:
        """Ends everything."""
        for process in (self.process, self.model):
            if process:
                process.close()


class Neighbour:
    """Takes turns with one `read` each, measures them, and must not notice what happens beside."""

    # Turns before the attack, to compare with.
    QUIET = 5

    def __init__(self, server: Server, pause: float) -> None:
        self.server, self.pause = server, pause
        self.session = ""
        self.quiet: list[float] = []
        self.times: list[float] = []
        self.errors: list[str] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self) -> Neighbour:
        self.session = self.server.session()
        # The first turn makes the jail.
        self.take()
        self.quiet = [self.take() for _ in range(self.QUIET)]
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(TURN)

    def take(self) -> float:
        """One turn; gives its seconds."""
        began = time.monotonic()
        results = self.server.turn(self.session, [("read", {"file_path": "/etc/passwd"})], REQUEST)
        good = [result for result in results if not result.get("is_error")]
        assert len(good) == 1, f"the neighbour got {str(results)[:500]}"
        return time.monotonic() - began

    def work(self) -> None:
        """Turn after turn."""
        while not self.stop.is_set():
            try:
                self.times.append(self.take())
                self.stop.wait(self.pause)
            except (AssertionError, OSError, http.client.HTTPException, ValueError) as why:
                self.errors.append(f"{type(why).__name__}: {why}")
                self.stop.wait(0.2)

    def share(self, part: float) -> float:
        """The time below which this part of the turns stays."""
        ordered = sorted(self.times) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))]

    @property
    def turns(self) -> int:
        """How many turns it took."""
        return len(self.times)

    @property
    def p50(self) -> float:
        """Half of its turns were as fast, in seconds."""
        return self.share(0.5)

    @property
    def p95(self) -> float:
        """Nearly all of its turns were as fast, in seconds."""
        return self.share(0.95)

    @property
    def slowest(self) -> float:
        """Its slowest turn, in seconds."""
        return max(self.times, default=0.0)

    def said(self) -> str:
        """Its turns, in words."""
        before = sorted(self.quiet)[len(self.quiet) // 2] if self.quiet else 0.0
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return (
            f"neighbour p50 {self.p50:.3f} p95 {self.p95:.3f} slowest {self.slowest:.3f} s"
            f" over {self.turns} turns{failed} (quiet {before:.3f})"
        )
