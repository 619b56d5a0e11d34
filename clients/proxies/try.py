"""Tries the configurations of docs/proxies.md: nginx and Caddy in front of the real server, over TLS.

`python try.py [--without WORD]` takes the fenced blocks of that page; with `--without`, less the lines that
begin with WORD, which shows what they are for. HEDDLE_BIN and MODEL_SERVER_BIN name the two binaries. A proxy
that is not installed, or without openssl, is skipped, or with CI set a failure. Ends with
`N passed, N failed`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator

import anthropic
import httpx2

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "clients" / "python"))

from contract import Contract  # noqa: E402
from guest import Guest, refuses, same, say, texts  # noqa: E402
from house import KEY, House  # noqa: E402
from process import surroundings  # noqa: E402
from wire import Judge  # noqa: E402

PAGE = ROOT / "docs" / "proxies.md"
# Seconds without a byte after which a check fails; heartbeats come every 10.
SILENCE = 15.0
MIB = 1024 * 1024
# What the page's configurations say and a test cannot have.
NAME, SERVER, CERTIFICATE, KEY_FILE = (
    "heddle.example.com",
    "127.0.0.1:7717",
    "/etc/ssl/heddle.pem",
    "/etc/ssl/heddle.key",
)

# Around the page's block: an `http` block that says the opposite wherever it can, and what a process of its
# own needs.
NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_types *;
    gzip_proxied any;
    gzip_min_length 1;
    proxy_buffering on;
    proxy_ignore_headers X-Accel-Buffering;
    proxy_read_timeout 5s;
    client_max_body_size 1m;
    {block}
}}
"""
CADDY = """
{{
    admin off
    auto_https disable_redirects
    storage file_system {folder}/caddy
    skip_install_trust
    default_bind 127.0.0.1
}}
{block}
"""


def block_of(kind: str, without: str | None) -> str:
    """The one fenced block of this kind on the page."""
    (block,) = re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = block.splitlines()
    if without:
        lines = [line for line in lines if not line.strip().startswith(without)]
    return "\n".join(lines)


def put(block: str, *places: tuple[str, str]) -> str:
    """The block with these words replaced; each must be there."""
    for old, new in places:
        if old not in block:
            raise AssertionError(f"{PAGE.name} does not say {old!r}")
        block = block.replace(old, new)
    return block


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def program(kind: str) -> str | None:
    """Where it is, also where only root looks for programs."""
    return shutil.which(kind, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


class Proxy:
    """A proxy before the server, and a guest who comes through it."""

    def __init__(
        self, kind: str, folder: pathlib.Path, house: House, every: list[Proxy], without: str | None
    ) -> None:
        self.kind, self.house, self.all, self.port = kind, house, every, free_port()
        server = house.server.url.removeprefix("http://")
        files = ((CERTIFICATE, str(folder / "heddle.pem")), (KEY_FILE, str(folder / "heddle.key")))
        if kind == "nginx":
            user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
            listen = ("listen 443 ", f"listen 127.0.0.1:{self.port} ")
            block = put(block_of(kind, without), (SERVER, server), listen, *files)
            config = NGINX.format(folder=folder, user=user, block=block)
            words = ["-e", str(folder / "nginx.log"), "-c"]
        else:
            site = (f"{NAME} ", f"127.0.0.1:{self.port} ")
            config = CADDY.format(
                folder=folder, block=put(block_of(kind, without), (SERVER, server), site, *files)
            )
            words = ["run", "--adapter", "caddyfile", "--config"]
        path = folder / f"{kind}.conf"
        path.write_text(config)
        self.said = folder / f"{kind}.said"
        env = surroundings(HOME=str(folder), XDG_DATA_HOME=str(folder), XDG_CONFIG_HOME=str(folder))
        with self.said.open("w") as out:
            command = [program(kind) or kind, *words, str(path)]
            self.child = subprocess.Popen(command, env=env, stdout=out, stderr=out)
        self.url = f"https://127.0.0.1:{self.port}"
        self.trust = ssl.create_default_context(cafile=str(folder / "heddle.pem"))
        self.opened: list[httpx2.Client] = []
        self.house.until(f"{kind} listens", self.listens)
        client = anthropic.Anthropic(
            api_key=KEY, base_url=self.url, http_client=self.http(), max_retries=0, timeout=SILENCE
        )
        self.guest = Guest(house, client)
        # A stream on which nothing happens while everything else is tried.
        self.quiet = self.guest.session().id
        self.idle: Raw | None = None

    def listens(self) -> bool:
        """Whether it takes connections."""
        if self.child.poll() is not None:
            raise AssertionError(f"{self.kind} did not start:\n{self.said.read_text()[-3000:]}")
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def http(self) -> httpx2.Client:
        """A client with connections of its own."""
        headers = {"x-api-key": KEY, "accept-encoding": "gzip"}
        client = httpx2.Client(
            base_url=self.url, verify=self.trust, trust_env=False, timeout=SILENCE, headers=headers
        )
        self.opened.append(client)
        return client

    def close(self) -> None:
        """Ends it."""
        for client in self.opened:
            client.close()
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(30)


class Raw:
    """A stream as it comes over the wire."""

    def __init__(self, http: httpx2.Client, session: str, headers: dict[str, str] | None = None) -> None:
        request = http.build_request("GET", f"/v1/sessions/{session}/events/stream", headers=headers)
        self.response = http.send(request, stream=True)
        same(self.response.status_code, 200, "the stream's status")
        self.rest: Iterator[str] = self.response.iter_lines()

    def until(self, word: str) -> None:
        """Reads on until a line that holds this."""
        for line in self.rest:
            if word in line:
                return
        raise AssertionError(f"the stream ended before {word!r}")


def a_stream_opens_before_there_is_anything_to_tell(proxy: Proxy) -> None:
    """Its headers come at once."""
    proxy.idle = Raw(proxy.http(), proxy.quiet)


def previews_come_while_the_model_speaks(proxy: Proxy) -> None:
    """The first piece of an answer is seen while the model is held in the middle of it."""
    guest, gate = proxy.guest, f"held-{proxy.kind}"
    session, text = guest.session().id, "one two three four"
    with guest.stream(session, event_deltas=["agent.message"]) as stream:
        try:
            guest.send(session, say({"text": text, "chunks": 4, "wait": gate}))
            first = stream.until("event_delta").delta.content.text
            same((text.startswith(first), 0 < len(first) < len(text)), (True, True), f"a piece: {first!r}")
        finally:
            guest.house.release(gate)
        stream.idle()
    pieces = [event.delta.content.text for event in stream.seen if event.type == "event_delta"]
    same("".join(pieces), text, "the pieces together")


def a_stream_resumes_after_its_last_event(proxy: Proxy) -> None:
    """With Last-Event-ID a stream gives exactly what follows."""
    guest = proxy.guest
    session = guest.session().id
    ids = [event.id for event in guest.turn(session, say({"text": "a"})) if event.processed_at]
    with guest.stream(session, after=ids[2]) as stream:
        same([event.id for event in stream.take(len(ids) - 3)], ids[3:], "what follows")


def a_stream_is_not_compressed(proxy: Proxy) -> None:
    """Whatever the client would take, and however much there is to tell at once."""
    session = proxy.guest.session().id
    first = proxy.guest.turn(session, say({"text": "a"}))[0].id
    raw = Raw(proxy.http(), session, {"last-event-id": first})
    same(raw.response.headers.get("content-encoding"), None, "content-encoding")
    raw.until("session.status_idle")
    raw.response.close()


def a_body_of_20_mib_passes(proxy: Proxy) -> None:
    """And comes back with the next list."""
    guest = proxy.guest
    session = guest.session().id
    text = "x" * (20 * MIB)
    (echo,) = guest.send(session, {"type": "user.message", "content": [{"type": "text", "text": text}]})
    same(len(texts(echo)), len(text), "what came back")


def what_is_too_large_is_told_by_the_server(proxy: Proxy) -> None:
    """The server's own 413, in its own form."""
    long = {"type": "user.message", "content": [{"type": "text", "text": "x" * (33 * MIB)}]}
    session = proxy.guest.session().id
    too_large = refuses(
        anthropic.RequestTooLargeError, lambda: proxy.guest.send(session, long), "larger than 32 MiB"
    )
    same(too_large.status_code, 413, "the status")


def an_error_says_its_request_id_twice(proxy: Proxy) -> None:
    """In the header and in the body."""
    answer = proxy.http().get("/v1/sessions/sesn_none")
    same(answer.status_code, 404, "the status")
    same(answer.headers.get("request-id"), answer.json()["request_id"], "the header")


def the_counters_need_a_key(proxy: Proxy) -> None:
    """Who comes through a proxy on the same machine is no neighbour."""
    http = proxy.http()
    same(http.get("/metrics").status_code, 200, "the status with a key")
    same(http.get("/metrics", headers={"x-api-key": ""}).status_code, 401, "the status without one")


def sockets(house: House) -> set[str]:
    """The other ends of the server's connections, also of those that closed a moment ago."""
    port = f":{int(house.server.url.rpartition(':')[2]):04X}"
    rows = [row.split()[1:4] for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listens = "0A"
    ends = [(here, there) for here, there, state in rows if state != listens]
    return {there for here, there in ends if here.endswith(port)} | {
        here for here, there in ends if there.endswith(port)
    }


def requests_share_a_connection_to_the_server(proxy: Proxy) -> None:
    """Five of them, each on a connection of its own to the proxy."""
    before = sockets(proxy.house)
    for _ in range(5):
        with proxy.http() as http:
            same(http.get("/v1/agents").status_code, 200, "the status")
    new = sockets(proxy.house) - before
    if len(new) > 1:
        raise AssertionError(f"{len(new)} new connections to the server")


def who_leaves_a_stream_is_gone(proxy: Proxy) -> None:
    """The server is not left with a stream that nobody reads."""
    session = proxy.guest.session().id
    house, http = proxy.house, proxy.http()
    quiet = sum(each.idle is not None for each in proxy.all)
    Raw(http, session)
    # One that ended before may still be counted for a moment.
    house.until("only what is read is counted", lambda: house.counter("heddle_streams") == quiet + 1)
    http.close()
    house.until("it ends", lambda: house.counter("heddle_streams") == quiet, 5.0)


def opened(proxy: Proxy) -> Raw:
    """The quiet stream."""
    if proxy.idle is None:
        raise AssertionError("the stream did not open")
    return proxy.idle


def a_quiet_stream_lives_by_its_heartbeats(proxy: Proxy) -> None:
    """It was opened before all checks: a heartbeat has come, and what happens now is told."""
    idle = opened(proxy)
    idle.until(": keep-alive")
    proxy.guest.send(proxy.quiet, say({"text": "hello"}))
    idle.until("session.status_idle")


def a_stream_that_breaks_does_not_look_ended(proxy: Proxy) -> None:
    """The server was killed: whoever reads must see that something is missing."""
    try:
        opened(proxy).until("the end of a stream that has none")
    except httpx2.TransportError as error:
        if isinstance(error, httpx2.TimeoutException):
            raise AssertionError("the stream did not break at all") from error
    # What ends well raises in `until`.


CHECKS = [
    a_stream_opens_before_there_is_anything_to_tell,
    previews_come_while_the_model_speaks,
    a_stream_resumes_after_its_last_event,
    a_stream_is_not_compressed,
    a_body_of_20_mib_passes,
    what_is_too_large_is_told_by_the_server,
    an_error_says_its_request_id_twice,
    the_counters_need_a_key,
    requests_share_a_connection_to_the_server,
    who_leaves_a_stream_is_gone,
    a_quiet_stream_lives_by_its_heartbeats,
]


def checked(check: Callable[[Proxy], None], proxy: Proxy) -> bool:
    """Makes one check and prints what came of it."""
    began = time.monotonic()
    wrong = None
    try:
        check(proxy)
    except AssertionError as error:
        wrong = str(error)
    except Exception as error:
        wrong = "".join(traceback.format_exception_only(error)).strip()
    took = f"{proxy.kind}: {check.__name__} ({time.monotonic() - began:.2f} s)"
    print(f"ok      {took}" if wrong is None else f"FAILED  {took}\n  {wrong}", flush=True)
    return wrong is None


def certificate(folder: pathlib.Path) -> None:
    """A certificate for loopback, made here."""
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(folder / "heddle.key"), "-out", str(folder / "heddle.pem")]
    about = ["-days", "2", "-subj", "/CN=heddle", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *words, *files, *about], check=True, capture_output=True)


def tried(kinds: list[str], without: str | None) -> list[bool]:
    """All checks of these proxies."""
    with tempfile.TemporaryDirectory(prefix="heddle-proxies-") as name:
        folder = pathlib.Path(name)
        certificate(folder)
        house = House(folder, Judge(Contract()))
        proxies: list[Proxy] = []
        try:
            for kind in kinds:
                proxies.append(Proxy(kind, folder, house, proxies, without))
            results = [checked(check, proxy) for check in CHECKS for proxy in proxies]
            house.server.end(signal.SIGKILL)
            # Caddy 2.6 ends it as if it were whole; the page says so.
            break_well = [proxy for proxy in proxies if proxy.kind == "nginx"]
            results += [checked(a_stream_that_breaks_does_not_look_ended, proxy) for proxy in break_well]
            return results
        finally:
            for proxy in proxies:
                proxy.close()
            house.close()


def main() -> int:
    """Tries what is installed; the exit code is 1 if anything failed."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--without", metavar="WORD")
    without = words.parse_args().without
    kinds, results = [], []
    for kind in ("nginx", "caddy"):
        missing = " and ".join(word for word in (kind, "openssl") if program(word) is None)
        if not missing:
            kinds.append(kind)
        elif os.environ.get("CI"):
            print(f"FAILED  {kind}: {missing} must be installed, and CI skips nothing")
            results.append(False)
        else:
            print(f"skipped {kind}: {missing} must be installed; CI does not skip this")
    if kinds:
        results += tried(kinds, without)
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
