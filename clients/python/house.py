"""The processes under test: the server on a data directory of its own, and the scripted model server."""

from __future__ import annotations

import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2

from process import Process, binary_of, jail_of, surroundings
from retold import retold
from wire import SILENCE, AsyncJudged, Judge, Judged

KEY = "guest-key-of-the-test-run"
MODEL_KEY = "key-of-the-scripted-model"
# The variables with the keys of the models that most scenarios ask, and of those that speak chat completions
# in each dialect.
OWN_KEY, CHAT_KEY = "ANTHROPIC_API_KEY", "KEY_OF_CHAT"
# The wires that those models may be asked over, and what their routes say for it.
WIRES = {"messages": 'provider = "messages"', "chat": 'provider = "chat-completions"\nbase_url = "{url}/v1"'}
# The route of `claude-*`, which is there without being named over the Messages API.
CLAUDE = """
[routes."claude-*"]
{wire}
key = "{own}"
"""
# The route of a model whose window no conversation fills, and that of the dialects of chat completions.
ROUTES = """
[routes.endless]
{wire}
key = "{own}"
window = 100000000

[routes."chat-*"]
{chat}
key = "{key}"
"""


class House:
    """One server with one data directory, which may be killed and started again."""

    def __init__(self, folder: pathlib.Path, judge: Judge, wire: str = "messages") -> None:
        self.folder, self.judge, self.wire = folder, judge, wire
        binary = binary_of("MODEL_SERVER_BIN")
        model_log = folder / "model-server.log"
        self.model = Process("model-server", [binary, "--listen", "127.0.0.1:0"], model_log, surroundings())
        self.settings = folder / "heddle.toml"
        self.settings.write_text(self.routes())
        self.plain = httpx2.Client(trust_env=False, timeout=SILENCE)
        self.opened: list[anthropic.Anthropic] = []
        self.start()

    def routes(self) -> str:
        """The settings that say which model is asked where and over which wire."""
        wire, chat = (WIRES[name].format(url=self.model.url) for name in (self.wire, "chat"))
        routes = ROUTES if self.wire == "messages" else CLAUDE + ROUTES
        return routes.format(wire=wire, chat=chat, own=OWN_KEY, key=CHAT_KEY)

    def start(self) -> None:
        """Starts the server."""
        env = surroundings(
            HEDDLE_API_KEY=KEY,
            HEDDLE_ANTHROPIC_BASE_URL=self.model.url,
            **{OWN_KEY: MODEL_KEY, CHAT_KEY: MODEL_KEY},
        )
        command = [
            binary_of("HEDDLE_BIN"),
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            str(self.folder / "data"),
            "--config",
            str(self.settings),
            # Whatever a file of settings says: what the scenarios try must stay inside.
            "--sandbox",
            "local",
        ]
        self.server = Process("heddle", command, self.folder / "heddle.log", env)

    def restart(self, how: signal.Signals) -> int:
        """Ends the server and starts it again on the same data; gives the exit code."""
        code = self.server.end(how)
        self.start()
        return code

    def client(
        self, key: str = KEY, retries: int = 0, transport: httpx2.BaseTransport | None = None, **more: object
    ) -> anthropic.Anthropic:
        """The official client, whose answers are judged."""
        http = httpx2.Client(transport=transport or Judged(self.judge), timeout=SILENCE)
        client = anthropic.Anthropic(
            api_key=key, base_url=self.server.url, http_client=http, max_retries=retries, **more
        )
        self.opened.append(client)
        return client

    def async_client(self) -> anthropic.AsyncAnthropic:
        """The official asynchronous client, whose answers are judged."""
        http = httpx2.AsyncClient(transport=AsyncJudged(self.judge), timeout=SILENCE)
        return anthropic.AsyncAnthropic(
            api_key=KEY, base_url=self.server.url, http_client=http, max_retries=0
        )

    def raw(self, method: str, path: str, **more: object) -> httpx2.Response:
        """A request without any SDK; judged as well."""
        with httpx2.Client(transport=Judged(self.judge), timeout=SILENCE) as http:
            return http.request(method, self.server.url + path, **more)

    def ours(self, method: str, path: str, **more: object) -> Any:
        """A request of the house itself, which is nobody's to judge."""
        answer = self.plain.request(method, self.server.url + path, headers={"x-api-key": KEY}, **more)
        return answer.raise_for_status().json()

    def busy(self) -> list[str]:
        """The sessions that are at work."""
        found, page = [], {}
        while True:
            told = self.ours("GET", "/v1/sessions", params={"limit": 100, **page})
            found += [one["id"] for one in told["data"] if one["status"] in ("running", "rescheduling")]
            if not told.get("next_page"):
                return found
            page = {"page": told["next_page"]}

    def counter(self, name: str) -> float:
        """A counter of the server's metrics."""
        for line in self.plain.get(self.server.url + "/metrics").text.splitlines():
            if line.split(" ")[0].split("{")[0] == name:
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"there is no metric {name}")

    def waiting(self, gate: str) -> None:
        """Returns once a model request waits at `gate`."""
        self.plain.get(f"{self.model.url}/waiting/{gate}").raise_for_status()

    def release(self, gate: str) -> None:
        """Lets what waits at `gate` go on."""
        self.plain.post(f"{self.model.url}/release/{gate}").raise_for_status()

    def referee(self) -> dict[str, object]:
        """What the model server thinks of the requests it got."""
        return self.plain.get(f"{self.model.url}/referee").json()

    def kept(self, name: str) -> dict[str, Any]:
        """The request that a step with `keep` answered."""
        return self.plain.get(f"{self.model.url}/kept/{name}").raise_for_status().json()

    def asked(self, name: str) -> dict[str, Any]:
        """The same, in the words of the Messages API on either wire."""
        kept = self.kept(name)
        wire = "chat" if "stream_options" in kept else "messages"
        if wire != self.wire:
            raise AssertionError(f"{name} was asked over {wire}, not over {self.wire}")
        return retold(kept) if wire == "chat" else kept

    def sandbox(self, session: str) -> pathlib.Path:
        """Where the files of a session's sandbox are."""
        return self.folder / "data" / "sandboxes" / session

    def until(self, what: str, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Returns once something holds that no event tells of."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds} s not yet: {what}")
            time.sleep(0.02)

    def written(self, session: str, file: str) -> None:
        """Returns once a command has written this file into its workspace."""
        path = self.sandbox(session) / "workspace" / file
        self.until(f"{file} is written", lambda: path.exists() and path.stat().st_size > 0)

    def jail(self, session: str) -> set[int]:
        """The processes of a session's jail."""
        return jail_of(session)

    def lives(self, pid: int) -> bool:
        """Whether there is such a process; one that has ended and is not yet buried does not live."""
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def close_clients(self) -> None:
        """Closes the clients of a scenario, streams and all."""
        for client in self.opened:
            client.close()
        self.opened.clear()

    def close(self) -> None:
        """Ends everything."""
        for process in (self.server, self.model):
            process.close()
        self.plain.close()
