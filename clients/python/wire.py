"""The wire between the official client and the server, with a judge that reads along."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2

from contract import Contract, refused

# Seconds without a byte before a read gives up; a stream has a heartbeat every ten.
SILENCE = 25.0


class Late(Exception):
    """A scenario took longer than it may."""


class Shown:
    """What good answers were seen: operations of the contract, and types of events."""

    def __init__(self) -> None:
        self.operations: set[str] = set()
        self.events: set[str] = set()

    def answer(self, operation: dict[str, Any] | None, body: Any) -> None:
        """Notes the answer to an operation, and the events that it lists."""
        if operation is None:
            return
        name = operation["operation"]
        self.operations.add(name)
        if name.endswith("events.list"):
            self.events.update(event["type"] for event in body["data"])


class Judge:
    """Collects what is wrong with the answers of a server."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.wrong: list[str] = []
        self.requests: list[str] = []
        self.shown = Shown()
        self.deadline = time.monotonic() + 60

    def allow(self, seconds: float) -> None:
        """Gives a scenario so many seconds from now."""
        self.deadline = time.monotonic() + seconds

    def hurry(self) -> None:
        """Ends a scenario whose time is over."""
        if time.monotonic() > self.deadline:
            raise Late("the scenario's time is over")

    def whole(self, request: httpx2.Request, response: httpx2.Response) -> None:
        """Judges an answer that is no stream."""
        method, path = request.method, request.url.path
        self.requests.append(f"{method} {path}")
        if not path.startswith("/v1/"):
            return
        for header in ("request-id", "anthropic-organization-id", "anthropic-workspace-id"):
            if header not in response.headers:
                self.wrong.append(
                    f"{method} {path}: the answer {response.status_code} has no header {header}"
                )
        if not response.headers.get("content-type", "").startswith("application/json"):
            self.wrong.append(
                f"{method} {path}: an answer {response.status_code} is not JSON: {response.text[:200]!r}"
            )
            return
        body = response.json()
        if response.status_code == 200:
            self.wrong += self.contract.answer(method, path, body)
            self.shown.answer(self.contract.operation(method, path), body)
        else:
            said = refused(response.status_code, response.headers, body)
            self.wrong += [f"{method} {path}: {one}" for one in said]

    def opened(self, request: httpx2.Request, response: httpx2.Response) -> None:
        """Judges the head of a stream."""
        self.shown.answer(self.contract.operation(request.method, request.url.path), None)
        self.requests.append(f"{request.method} {request.url.path}")
        wanted = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
        for header, value in wanted.items():
            if response.headers.get(header) != value:
                self.wrong.append(f"{request.url.path}: {header} is {response.headers.get(header)!r}")
        if "content-encoding" in response.headers:
            self.wrong.append(f"{request.url.path}: the stream is compressed")

    def frame(self, request: httpx2.Request, frame: str) -> None:
        """Judges one frame of a stream."""
        lines = [line for line in frame.split("\n") if line and not line.startswith(":")]
        if not lines:
            return
        fields = [line.split(": ", 1) for line in lines]
        path = request.url.path
        if any(len(field) != 2 for field in fields):
            self.wrong.append(f"{path}: a frame reads {frame!r}")
            return
        frame_id = next((value for name, value in fields if name == "id"), None)
        name = next((value for name, value in fields if name == "event"), None)
        event = json.loads("\n".join(value for name, value in fields if name == "data"))
        self.wrong += self.contract.event(request.method, path, event)
        self.shown.events.add(event.get("type"))
        if name != "message":
            self.wrong.append(f"{path}: a frame's event is {name!r}")
        moves = event.get("id") if event.get("processed_at") else None
        if frame_id != moves:
            self.wrong.append(f"{path}: the frame of {event.get('type')} has id {frame_id!r}, not {moves!r}")


class Frames:
    """Cuts the bytes of a stream into frames for the judge."""

    def __init__(self, judge: Judge, request: httpx2.Request) -> None:
        self.judge, self.request, self.rest = judge, request, b""

    def hear(self, chunk: bytes) -> None:
        """Judges the frames that `chunk` ends."""
        self.judge.hurry()
        *frames, self.rest = (self.rest + chunk).split(b"\n\n")
        for frame in frames:
            self.judge.frame(self.request, frame.decode())


class Heard(httpx2.SyncByteStream):
    """A stream's bytes, heard by the judge."""

    def __init__(self, stream: httpx2.SyncByteStream, frames: Frames) -> None:
        self.stream, self.frames = stream, frames

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.stream:
            self.frames.hear(chunk)
            yield chunk

    def close(self) -> None:
        self.stream.close()


class AsyncHeard(httpx2.AsyncByteStream):
    """A stream's bytes, heard by the judge."""

    def __init__(self, stream: httpx2.AsyncByteStream, frames: Frames) -> None:
        self.stream, self.frames = stream, frames

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self.stream:
            self.frames.hear(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self.stream.aclose()


def is_stream(response: httpx2.Response) -> bool:
    """Whether the answer is an event stream."""
    return response.headers.get("content-type", "").startswith("text/event-stream")


class Judged(httpx2.BaseTransport):
    """A transport whose answers are judged."""

    def __init__(self, judge: Judge) -> None:
        self.judge, self.inner = judge, httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.judge.hurry()
        response = self.inner.handle_request(request)
        head = {
            "status_code": response.status_code,
            "headers": response.headers,
            "extensions": response.extensions,
        }
        if is_stream(response):
            self.judge.opened(request, response)
            return httpx2.Response(stream=Heard(response.stream, Frames(self.judge, request)), **head)
        body = b"".join(response.stream)
        response.close()
        whole = httpx2.Response(content=body, **head)
        self.judge.whole(request, whole)
        return whole

    def close(self) -> None:
        self.inner.close()


class AsyncJudged(httpx2.AsyncBaseTransport):
    """A transport whose answers are judged."""

    def __init__(self, judge: Judge) -> None:
        self.judge, self.inner = judge, httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.judge.hurry()
        response = await self.inner.handle_async_request(request)
        head = {
            "status_code": response.status_code,
            "headers": response.headers,
            "extensions": response.extensions,
        }
        if is_stream(response):
            self.judge.opened(request, response)
            return httpx2.Response(stream=AsyncHeard(response.stream, Frames(self.judge, request)), **head)
        body = b"".join([chunk async for chunk in response.stream])
        await response.aclose()
        whole = httpx2.Response(content=body, **head)
        self.judge.whole(request, whole)
        return whole

    async def aclose(self) -> None:
        await self.inner.aclose()
