"""Attacks the real server with what its own /openapi.json allows and forbids.

`python run.py [--minutes M] [--seed N]`; HEDDLE_BIN names the server. First the document itself and the heads
of streams are checked, then schemathesis makes cases until the time is over. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import requests
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

from process import Process, binary_of, surroundings

KEY = "key-of-the-attack"
TOOL = {
    "type": "custom",
    "name": "look_up",
    "description": "Looks a word up.",
    "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}},
}


class Server:
    """The server under attack, and a caller with its key."""

    def __init__(self, folder: pathlib.Path) -> None:
        command = [binary_of("HEDDLE_BIN"), "serve", "--listen", "127.0.0.1:0"]
        command += ["--data", str(folder / "data"), "--sandbox", "local"]
        env = surroundings(HEDDLE_API_KEY=KEY)
        self.process = Process("heddle", command, folder / "heddle.log", env)
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["x-api-key"] = KEY

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """A request, answered within bounds."""
        return self.http.request(method, self.process.url + path, timeout=20, **more)

    def get(self, path: str) -> Any:
        """What is there."""
        answer = self.ask("GET", path)
        answer.raise_for_status()
        return answer.json()

    def make(self, path: str, body: dict[str, Any]) -> Any:
        """Something new."""
        answer = self.ask("POST", path, json=body)
        answer.raise_for_status()
        return answer.json()


def message(text: str) -> dict[str, Any]:
    """What a person says."""
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def rest(server: Server, session: str) -> None:
    """Follows a session until it rests."""
    events = f"/v1/sessions/{session}/events"
    first = server.get(f"{events}?limit=1")["data"][0]["id"]
    with server.ask("GET", f"{events}/stream", params={"after_id": first}, stream=True) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data: ") and json.loads(line[6:])["type"] == "session.status_idle":
                return
    raise SystemExit(f"{session} did not come to rest")


def world(server: Server) -> dict[str, Any]:
    """Makes things of every kind, and says what they are called."""
    plain = server.make("/v1/agents", {"name": "plain", "model": "heddle-demo"})["id"]
    caller = server.make("/v1/agents", {"name": "caller", "model": "heddle-demo", "tools": [TOOL]})["id"]
    roster = {"type": "coordinator", "agents": [plain, caller]}
    lead = server.make("/v1/agents", {"name": "lead", "model": "heddle-demo", "multiagent": roster})["id"]
    homes = [server.make("/v1/environments", {"name": f"home {n}"})["id"] for n in range(3)]
    sessions, families, events = [], {}, []
    for agent, words in [
        (plain, "hello"),
        (caller, "look it up"),
        (lead, "plain: count"),
        (plain, "the end"),
    ]:
        body = {"agent": agent, "environment_id": homes[0], "initial_events": [message(words)]}
        session = server.make("/v1/sessions", body)["id"]
        rest(server, session)
        sessions.append(session)
        families[session] = [it["id"] for it in server.get(f"/v1/sessions/{session}/threads")["data"]]
        events += [it["id"] for it in server.get(f"/v1/sessions/{session}/events")["data"]]
    ended = sessions.pop()
    server.make(f"/v1/sessions/{ended}/archive", {})
    agents, threads = [plain, caller, lead], [one for family in families.values() for one in family]
    return {
        "url": server.process.url,
        "key": KEY,
        "plain": plain,
        "home": homes[0],
        "ended": ended,
        "agents": agents,
        "environments": homes,
        "sessions": sessions,
        "families": families,
        "threads": threads,
        "events": events,
        "workspaces": [server.ask("GET", "/v1/agents").headers["anthropic-workspace-id"]],
        "all": [*agents, *homes, *sessions],
    }


def valid(server: Server, _: dict[str, Any]) -> None:
    """The document obeys OpenAPI 3.1, and is had without a key."""
    answer = requests.get(f"{server.process.url}/openapi.json", timeout=20)
    assert answer.status_code == 200, answer.status_code
    OpenAPIV31SpecValidator(answer.json()).validate()
    tag = {"if-none-match": answer.headers["etag"]}
    again = requests.get(f"{server.process.url}/openapi.json", timeout=20, headers=tag)
    assert (again.status_code, again.content) == (304, b""), again.status_code
    print(f"        {len(answer.content)} bytes, {len(answer.json()['paths'])} paths")


def heads(server: Server, made: dict[str, Any]) -> None:
    """An open stream says what it is before it says anything else."""
    for session, threads in made["families"].items():
        for path in ("/events/stream", *(f"/threads/{thread}/stream" for thread in threads)):
            with server.ask("GET", f"/v1/sessions/{session}{path}", stream=True) as stream:
                said = [
                    stream.headers.get(name)
                    for name in ("content-type", "cache-control", "x-accel-buffering")
                ]
            assert said == ["text/event-stream", "no-cache, no-transform", "no"], (path, said)


def held(check: Callable[[Server, dict[str, Any]], None], server: Server, made: dict[str, Any]) -> str | None:
    """What is wrong by this check."""
    try:
        check(server, made)
    except (AssertionError, requests.RequestException, OpenAPIValidationError) as wrong:
        return f"{type(wrong).__name__}: {wrong}"
    return None


def attack(minutes: float, seed: int, folder: pathlib.Path, made: dict[str, Any]) -> tuple[int, int]:
    """Lets schemathesis make cases; gives how many passed, and how many different failures it found."""
    (folder / "world.json").write_text(json.dumps(made))
    command = [
        str(pathlib.Path(sys.executable).parent / "schemathesis"),
        *("--no-color", "--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{made['url']}/openapi.json", "--header", f"x-api-key: {KEY}"),
        *("--max-time", str(round(minutes * 60)), "--seed", str(seed)),
    ]
    env = surroundings(
        HEDDLE_WORLD=str(folder / "world.json"),
        SCHEMATHESIS_HOOKS="hooks",
        PYTHONPATH=str(HERE),
        PYTHONUNBUFFERED="1",
    )
    run = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert run.stdout
    cases = failures = 0
    for line in run.stdout:
        print("  " + line, end="", flush=True)
        if told := re.search(r"(\d+) generated(?:, (\d+) found (\d+) unique failures?)?", line):
            cases, failures = int(told[1]) - int(told[2] or 0), int(told[3] or 0)
    # An attack that broke down is a failure even if it found none.
    return cases, failures or int(run.wait() != 0 or cases == 0)


def main() -> int:
    """Runs everything; the exit code is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="heddle-schema-") as name:
        folder = pathlib.Path(name)
        server = Server(folder)
        try:
            made = world(server)
            for check in (valid, heads):
                wrong = held(check, server, made)
                failed += wrong is not None
                passed += wrong is None
                print(f"ok      {check.__name__}" if wrong is None else f"FAILED  {check.__name__}: {wrong}")
            cases, failures = attack(given.minutes, given.seed, folder, made)
            passed, failed = passed + cases, failed + failures
            if server.process.child.poll() is not None:
                failed += 1
                print(f"FAILED  the server ended with {server.process.child.returncode}")
            if failed:
                print(f"again with --seed {given.seed}; the server's last words:")
                print(server.process.last_words())
        finally:
            server.process.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
