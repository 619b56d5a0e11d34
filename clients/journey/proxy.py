"""The judge in between: a proxy on loopback that passes everything on at once and reads along."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import Counter
from collections.abc import Iterable

import httpx2
from aiohttp import web

from wire import AsyncJudged, Judge, is_stream

# What belongs to one connection, or is written anew for the next.
HOPS = {"connection", "host", "keep-alive", "transfer-encoding"}
# Largest body of a request, in bytes; the server takes less.
BODY_BYTES = 1 << 26


@dataclasses.dataclass(frozen=True)
class Noted:
    """What a request said beside its body."""

    method: str
    path: str
    query: str
    headers: dict[str, str]

    def key(self) -> str:
        """Where the API key stands."""
        named = [name for name in ("authorization", "x-api-key") if name in self.headers]
        return " and ".join(named) or "nowhere"


class Proxy:
    """Stands in front of a server; the judge hears every answer, and each request is noted."""

    def __init__(self, judge: Judge, upstream: str) -> None:
        self.upstream = upstream
        self.transport = AsyncJudged(judge)
        self.noted: list[Noted] = []
        self.url = ""
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.open(), self.loop).result(30)

    async def open(self) -> None:
        """Listens on a free port of loopback."""
        app = web.Application(client_max_size=BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self.passes)
        # A client that goes away ends its stream at the server, too.
        self.runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        host, port = self.runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def passes(self, request: web.Request) -> web.StreamResponse:
        """Passes one request on, and its answer back."""
        body = await request.read()
        headers = [pair for pair in request.headers.items() if pair[0].lower() not in HOPS]
        self.noted.append(
            Noted(
                request.method,
                request.path,
                request.query_string,
                {name.lower(): value for name, value in headers},
            )
        )
        onward = httpx2.Request(
            request.method, self.upstream + request.raw_path, headers=headers, content=body
        )
        answer = await self.transport.handle_async_request(onward)
        given = [pair for pair in answer.headers.multi_items() if pair[0].lower() not in HOPS]
        if not is_stream(answer):
            return web.Response(status=answer.status_code, headers=given, body=answer.content)
        stream = web.StreamResponse(status=answer.status_code, headers=given)
        try:
            await stream.prepare(request)
            async for chunk in answer.aiter_raw():
                await stream.write(chunk)
            await stream.write_eof()
        finally:
            await answer.aclose()
        return stream

    def taken(self) -> list[Noted]:
        """The requests since the last time that this was asked."""
        taken, self.noted = self.noted, []
        return taken

    def close(self) -> None:
        """Stops listening and ends what is open."""

        async def end() -> None:
            await self.runner.cleanup()
            await self.transport.aclose()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)


def manners(requests: list[Noted]) -> str:
    """How many requests a client sent, and what they carry: where they differ, with how many do so."""
    said = [f"{len(requests)} requests"]
    for what, of in (
        ("key in", Noted.key),
        ("version", lambda one: one.headers.get("anthropic-version", "none")),
        ("betas", lambda one: one.headers.get("anthropic-beta", "none")),
        ("?beta=true", lambda one: "yes" if "beta=true" in one.query else "no"),
    ):
        counts = Counter(of(one) for one in requests).most_common()
        each = [value if len(counts) == 1 else f"{value} ({count})" for value, count in counts]
        said.append(f"{what} {', '.join(each)}")
    return ", ".join(said) if requests else "no requests"


def unmannerly(requests: Iterable[Noted], key: str) -> list[str]:
    """Which requests carry their key elsewhere than in `key`, or are retries of one that was answered."""
    wrong = []
    for one in requests:
        if one.key() != key:
            wrong.append(f"{one.method} {one.path}: the key is in {one.key()}, not in {key}")
        if one.headers.get("x-stainless-retry-count", "0") != "0":
            wrong.append(f"{one.method} {one.path}: was retried")
    return wrong
