"""A coordinator, its roster and their session: scripts for all of them, and what their lists show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from guest import END, START, TOOL, Guest, Stream, same, texts, uses

# Scenarios take these words of the scripts from here.
from scripts import create, script, wait  # noqa: F401

WEAVER = "weaver"
NEEDS = "requires_action"
# The tools of a coordinator and of a child that delegate.
FOUR, UP = ["create_agent", "Agent", "send_to_agent", "list_agents"], "send_to_parent"
# Of a child's own events the session shows these; others only the child.
CROSSING = {
    *(f"session.thread_status_{status}" for status in ("running", "idle", "rescheduled", "terminated")),
    *("agent.tool_use", "agent.custom_tool_use", "user.tool_confirmation", "user.custom_tool_result"),
    "user.interrupt",
}


def works(name: str) -> str:
    """A thread goes to work."""
    return f"session.thread_status_running {name}"


def rests(name: str, why: str = "") -> str:
    """A thread comes to rest, at the end of its turn or for another reason."""
    return f"session.thread_status_idle {name} {why}".strip()


def ends(name: str) -> str:
    """A thread ends."""
    return f"session.thread_status_terminated {name}"


def hears(name: str, text: str) -> str:
    """A thread takes what this one has sent."""
    return f"agent.thread_message_received from {name}: {text}"


REST = rests(WEAVER)
# How a turn of the coordinator begins, and how the session comes to rest.
GO = ["session.status_running", works(WEAVER), "user.message", START]
SETTLED = [REST, "session.usage", "session.status_idle"]


def coordinator(*agents: Any) -> dict[str, Any]:
    """A roster of these entries."""
    return {"type": "coordinator", "agents": list(agents)}


def tell(place: int, message: str) -> dict[str, Any]:
    """A call that writes to the thread whose id the caller has heard as this one, counted from 0."""
    return {"name": "send_to_agent", "input": {"thread_id": f"$thread:{place}", "message": message}}


def up_call(message: str) -> dict[str, Any]:
    """A call that writes to the caller's parent."""
    return {"name": UP, "input": {"message": message}}


def up(message: str) -> dict[str, Any]:
    """A step of a child: it writes to its parent."""
    return uses(up_call(message))


def spawned(name: str) -> list[str]:
    """What the session shows when a child is made."""
    return [
        f"session.thread_created {name}",
        f"agent.thread_message_sent to {name}",
        works(name),
    ]


def born(name: str) -> list[str]:
    """How a child's own list begins."""
    return [works(name), f"agent.thread_message_received from {WEAVER}", START]


def spoke(text: str) -> list[str]:
    """An answer of the model without calls."""
    return [f"agent.message: {text}", END]


def reported(name: str, text: str) -> list[str]:
    """How a child's turn ends on its own list, when it has sent nothing in it."""
    return [*spoke(text), f"agent.thread_message_sent to parent: {text}", rests(name)]


def woken(name: str, text: str) -> list[str]:
    """What the session shows when a child has ended its turn, and the parent was at rest."""
    return [
        rests(name),
        works(WEAVER),
        f"agent.thread_message_received from {name}: {text}",
        START,
    ]


def line(event: Any, names: dict[str, str] | None = None) -> str:
    """An event in one line: its type, who is meant, why it stopped, what it says if that is no script."""
    words = [event.type]
    for word in ("agent_name", "name"):
        words += [getattr(event, word, None) or ""]
    if event.type.startswith("agent.thread_message"):
        to = event.type.endswith("sent")
        words += ["to", event.to_agent_name or "parent"] if to else ["from", event.from_agent_name]
    stop = getattr(event, "stop_reason", None)
    words += [stop.type if stop and stop.type != "end_turn" else ""]
    if names and not hasattr(event, "agent_name") and getattr(event, "session_thread_id", None):
        words += [f"@{names.get(event.session_thread_id, 'nobody')}"]
    said = texts(event) if getattr(event, "content", None) else ""
    told = " ".join(word for word in words if word)
    return f"{told}: {said.strip()}" if said and not said.startswith("script:") else told


def till(stream: Stream, wanted: str) -> Any:
    """Reads on until an event whose line begins so and gives it."""
    for event in stream.events:
        stream.seen.append(event)
        if line(event).startswith(wanted):
            return event
    raise AssertionError(f"the stream ended before {wanted}: {[line(event) for event in stream.seen]}")


class Team:
    """A session of the agent `weaver`, whose roster holds members with these tools, and itself if asked."""

    def __init__(self, guest: Guest, *own: dict[str, Any], itself: bool = False, **members: Any) -> None:
        self.guest = guest
        self.agents = {name: guest.agent(name=name, tools=list(tools)) for name, tools in members.items()}
        roster = [agent.id for agent in self.agents.values()] + [{"type": "self"}] * itself
        self.weaver = guest.agent(name=WEAVER, tools=list(own), multiagent=coordinator(*roster))
        self.session = guest.session(agent=self.weaver.id).id

    @property
    def doors(self) -> Any:
        """The thread routes of the SDK."""
        return self.guest.beta.sessions.threads

    def threads(self, **more: Any) -> list[Any]:
        """The session's threads."""
        return list(self.doors.list(self.session, **more))

    def thread(self, name: str) -> Any:
        """The one thread of this agent; the coordinator's is the primary."""
        primary = name == WEAVER
        found = [
            thread
            for thread in self.threads()
            if thread.agent.name == name and (thread.parent_thread_id is None) == primary
        ]
        same(len(found), 1, f"threads of {name}")
        return found[0]

    def events(self, thread: str, **more: Any) -> list[Any]:
        """A thread's list."""
        return list(self.doors.events.list(thread, session_id=self.session, **more))

    def stream(self, **more: Any) -> Stream:
        """Follows the session."""
        return self.guest.stream(self.session, **more)

    def follow(self, thread: str, after: str | None = None, **more: Any) -> Stream:
        """Follows a thread."""
        headers = {"Last-Event-ID": after} if after else None
        stream = self.doors.events.stream
        return Stream(stream(thread, session_id=self.session, extra_headers=headers, **more))

    def send(self, *events: dict[str, Any]) -> list[Any]:
        """Sends events to the session."""
        return self.guest.send(self.session, *events)

    def archive(self, thread: str) -> Any:
        """Archives a thread."""
        return self.doors.archive(thread, session_id=self.session)

    def heard(self, kept: str) -> list[str]:
        """What the last message of a kept request says: results, errors and texts."""
        return [heard(block) for block in self.guest.house.asked(kept)["messages"][-1]["content"]]

    def shows(self, wanted: Iterable[str], **children: Iterable[str]) -> list[Any]:
        """The lists of the session and of the children named hold exactly these lines.

        What stands on both has one id and names its thread on the session's alone; nothing of a child's
        inside is on the session's list; the primary's own list is the session's without the children's.
        """
        events = self.guest.list(self.session)
        threads = self.threads()
        names = {thread.id: thread.agent.name for thread in threads}
        same([line(event, names) for event in events], list(wanted), "the session's list")
        crossed: set[str] = set()
        for thread in threads[1:]:
            crossed |= self.crossing(thread, events)
        own = [event for event in events if event.id not in crossed]
        same(self.events(threads[0].id), own, "the primary's own list")
        for name, lines in children.items():
            inside = self.events(self.thread(name).id)
            same([line(event) for event in inside], list(lines), f"the list of {name}")
        return events

    def crossing(self, thread: Any, events: list[Any]) -> set[str]:
        """The ids of a child's events on the session's list, which show it as they should."""
        inside = {event.id: event for event in self.events(thread.id)}
        same(len(inside), len(self.events(thread.id, limit=7)), "ids of their own")
        times = [event.processed_at for event in inside.values()]
        same(times, sorted(times), "the times")
        both = [event for event in events if event.id in inside]
        same({event.type for event in both} - CROSSING, set(), "what of a child is on the session's list")
        for event in both:
            given, own = event.to_dict(), inside[event.id].to_dict()
            if not event.type.startswith("session.") and event.type != "user.interrupt":
                same((given["session_thread_id"], own["session_thread_id"]), (thread.id, None), "whose it is")
                own["session_thread_id"] = thread.id
            same(given, own, "an event on both lists")
        return {event.id for event in both}


def heard(block: dict[str, Any]) -> str:
    """A block of a message as the model is sent it, in one line."""
    if block["type"] == "text":
        return block["text"]
    said = "".join(part["text"] for part in block.get("content") or [])
    return f"{'error' if block.get('is_error') else 'result'}: {said}"


def look(*words: str) -> list[dict[str, Any]]:
    """Calls of the custom tool."""
    return [{"name": TOOL["name"], "input": {"word": word}} for word in words]
