"""What a guest does in a scenario: makes agents and sessions, speaks by scripts, follows streams."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import anthropic

from house import House

# Scenarios take the words of the scripts from here too.
from scripts import TOOL, TOOLSET, asks, bash, calls, say, use, uses  # noqa: F401

MODEL = "claude-sonnet-4-5"
INTERRUPTED = "Tool execution was interrupted before completion. Please retry."
UNKNOWN = "The server stopped while this ran; its outcome is unknown. Check before you repeat it."
RESTARTED = "[shell restarted: working directory and variables are gone]"
RUNNING = ["session.status_running", "session.thread_status_running"]
START, END = "span.model_request_start", "span.model_request_end"
IDLE = ["session.thread_status_idle", "session.usage", "session.status_idle"]
RESCHEDULED = ["session.thread_status_rescheduled", "session.status_rescheduled"]
PLAIN = [*RUNNING, "user.message", START, "agent.message", END, *IDLE]
THOUGHT = [*PLAIN[:4], "agent.thinking", *PLAIN[4:]]
PREVIEWS = ("event_start", "event_delta")
DELTAS = ["agent.message", "agent.thinking"]
# What a scripted answer says it has cost.
TOLD = {"input_tokens": 7, "output_tokens": 5, "cache_read_input_tokens": 3}
# A picture of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"type": "base64", "media_type": "image/png", "data": PIXEL}

fresh = itertools.count(1)


def name(word: str) -> str:
    """A name that no other scenario has."""
    return f"{word}-{next(fresh)}"


def confirm(call: str, verdict: str = "allow", **more: Any) -> dict[str, Any]:
    """A person's word on a call."""
    return {"type": "user.tool_confirmation", "tool_use_id": call, "result": verdict} | more


def turn_of(*many: int) -> list[str]:
    """The types of a turn whose answers make so many calls of built-in tools each, and then speak."""
    called = [
        kind
        for count in many
        for kind in [START, *["agent.tool_use"] * count, END, *["agent.tool_result"] * count]
    ]
    return [*RUNNING, "user.message", *called, *PLAIN[3:]]


def ran(events: list[Any]) -> list[tuple[str, bool, str]]:
    """Each call of a built-in tool that these events answer: the tool, whether it failed, what it said."""
    results = {event.tool_use_id: event for event in events if event.type == "agent.tool_result"}
    used = [event for event in events if event.type == "agent.tool_use" and event.id in results]
    return [(call.name, bool(results[call.id].is_error), texts(results[call.id])) for call in used]


def result(call: str, text: str, **more: Any) -> dict[str, Any]:
    """A client's answer to a call."""
    content = [{"type": "text", "text": text}]
    return {"type": "user.custom_tool_result", "custom_tool_use_id": call, "content": content} | more


def texts(event: Any) -> str:
    """The text of a message."""
    return "".join(block.text for block in event.content)


def same(got: Any, wanted: Any, what: str = "") -> None:
    """Two values are equal, or the scenario fails."""
    if got != wanted:
        raise AssertionError(f"{what or 'value'}:\n    got    {got!r}\n    wanted {wanted!r}")


def refuses(
    kind: type[anthropic.APIStatusError], call: Callable[[], Any], *words: str
) -> anthropic.APIStatusError:
    """The call raises the SDK's own error of this class, with a request id and these words."""
    try:
        given = call()
    except anthropic.APIStatusError as error:
        same(type(error), kind, f"the error's class ({error.message})")
        if not (error.request_id or "").startswith("req_"):
            raise AssertionError(f"the error has request id {error.request_id!r}") from error
        body = error.body if isinstance(error.body, dict) else {}
        message = str(body.get("error", {}).get("message", ""))
        missing = [word for word in words if word not in message]
        same(missing, [], f"words missing in {message!r}")
        return error
    raise AssertionError(f"was not refused with {kind.__name__}: {given!r}")


class Stream:
    """A stream that a guest follows."""

    def __init__(self, stream: anthropic.Stream[Any]) -> None:
        self.stream = stream
        self.events: Iterator[Any] = iter(stream)
        self.seen: list[Any] = []

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def take(self, many: int) -> list[Any]:
        """The next events, whatever they are."""
        taken = list(itertools.islice(self.events, many))
        self.seen += taken
        return taken

    def until(self, kind: str, stop: str | None = None) -> Any:
        """Reads on until an event of this type (and stop reason) and gives it."""
        for event in self.events:
            self.seen.append(event)
            if event.type == kind and (stop is None or event.stop_reason.type == stop):
                return event
        raise AssertionError(f"the stream ended before {kind}: {[event.type for event in self.seen]}")

    def idle(self, stop: str = "end_turn") -> Any:
        """Reads on until the session rests; it must rest for this reason."""
        event = self.until("session.status_idle")
        same(event.stop_reason.type, stop, "the stop reason")
        return event

    def processed(self) -> list[Any]:
        """What was seen, without previews and queued copies."""
        return [event for event in self.seen if event.type not in PREVIEWS and event.processed_at is not None]


class Guest:
    """One guest: an official client, and short words for what it does."""

    def __init__(self, house: House, client: anthropic.Anthropic | None = None) -> None:
        self.house = house
        self.client = client or house.client()
        self.beta = self.client.beta

    def agent(self, **more: Any) -> Any:
        """A new agent with the custom tool."""
        given = {"name": name("agent"), "model": MODEL, "tools": [TOOL]} | more
        return self.beta.agents.create(**given)

    def environment(self, **more: Any) -> Any:
        """A new environment."""
        return self.beta.environments.create(**({"name": name("environment")} | more))

    def session(self, **more: Any) -> Any:
        """A new session of a new agent."""
        given = {"agent": more.pop("agent", None) or self.agent().id, "environment_id": self.environment().id}
        return self.beta.sessions.create(**(given | more))

    def stream(self, session: str, after: str | None = None, **more: Any) -> Stream:
        """Follows a session, from `after` on if it is given."""
        headers = {"Last-Event-ID": after} if after else None
        return Stream(self.beta.sessions.events.stream(session, extra_headers=headers, **more))

    def send(self, session: str, *events: dict[str, Any]) -> list[Any]:
        """Sends events and gives the echo."""
        return self.beta.sessions.events.send(session, events=list(events)).data

    def turn(self, session: str, *events: dict[str, Any], stop: str = "end_turn") -> list[Any]:
        """Sends events, waits for the session to rest and gives what the stream showed."""
        with self.stream(session) as stream:
            self.send(session, *events)
            stream.idle(stop)
            return stream.seen

    def list(self, session: str, **more: Any) -> list[Any]:
        """All events of a session, over as many pages as there are."""
        return list(self.beta.sessions.events.list(session, **more))

    def worker(self, *tools: dict[str, Any], **more: Any) -> str:
        """A new session whose agent has these tools, or else all built-in ones; gives its id."""
        return self.session(agent=self.agent(tools=list(tools or [TOOLSET])).id, **more).id

    def runs(self, session: str, *steps: dict[str, Any]) -> list[tuple[str, bool, str]]:
        """A turn with these steps and a last word; gives what came of its calls of built-in tools."""
        return ran(self.turn(session, say(*steps, {"text": "done"})))

    def shell(self, session: str, command: str) -> str:
        """A turn that runs one command, which must go well; gives what it said."""
        ((_, failed, said),) = self.runs(session, uses(bash(command)))
        same(failed, False, f"whether `{command}` failed ({said})")
        return said

    def shows(self, session: str, wanted: list[str]) -> list[Any]:
        """The session's list holds exactly these types, with rising times and ids of their own; gives it."""
        events = self.list(session)
        same([event.type for event in events], wanted, "the order of events")
        times = [event.processed_at for event in events]
        same(times, sorted(times), "the times")
        same(len({event.id for event in events}), len(events), "ids of their own")
        return events


def dies_in_the_middle(guest: Guest, how: signal.Signals) -> tuple[Guest, str]:
    """Ends the server while the model speaks; the next one asks again, the stream goes on from its cursor.

    Gives a guest of the next server, and the session.
    """
    session, gate = guest.session().id, name("dies")
    with guest.stream(session, event_deltas=DELTAS) as stream:
        guest.send(session, say({"text": "spoken at last", "chunks": 3, "wait": gate}))
        guest.house.waiting(gate)
        stream.until("event_delta")
        cursor = next(event.id for event in stream.seen if event.type == START)
        code = guest.house.restart(how)
    if how == signal.SIGTERM:
        same(code, 0, "the exit code")
    guest.house.release(gate)
    after = Guest(guest.house)
    with after.stream(session, after=cursor) as stream:
        stream.idle()
        rest = [END, START, "agent.message", END, *IDLE]
        same([event.type for event in stream.processed()], rest, "after the restart")
    events = after.shows(session, [*RUNNING, "user.message", START, *rest])
    same((events[4].is_error, events[7].is_error), (True, False), "the two requests")
    same(texts(events[6]), "spoken at last", "the answer")
    return after, session
