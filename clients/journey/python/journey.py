"""The journey of `../README.md` with the official Python SDK, synchronously."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable
from typing import Any

import anthropic

import words
from words import MODEL, NAME, TOOLS, tell


def gate(method: str, verb: str, which: str) -> None:
    """Waits until a model stands at a gate, or opens it."""
    url = f"{os.environ['JOURNEY_MODEL']}/{verb}/{which}-{NAME}"
    urllib.request.urlopen(urllib.request.Request(url, method=method)).close()


class Journey:
    """One traveller, who remembers what was made on the way."""

    def __init__(self, client: anthropic.Anthropic) -> None:
        self.client = client
        self.beta = client.beta
        self.environment = self.spare = self.helper = self.lead = ""
        self.session = self.other = self.team = ""
        # The ids that the streams of the session have shown.
        self.seen: list[str] = []

    def environments(self) -> None:
        """Step `environment`."""
        environments = self.beta.environments
        made = environments.create(
            name=f"loom-{NAME}",
            description="a quiet room",
            config={"type": "cloud", "networking": {"type": "unrestricted"}},
            metadata={"b": "2", "a": "1"},
        )
        self.environment = made.id
        tell("environment", f"created {words.environment(made)}")
        self.spare = environments.create(name=f"spare-{NAME}").id
        tell("environment", f"retrieved {words.environment(environments.retrieve(self.spare))}")
        changed = environments.update(self.environment, description="a bright room", metadata={"c": "3"})
        tell("environment", f"updated {words.environment(changed)}")
        tell("environment", f"listed {words.ours(environments.list(limit=1))}")

    def agents(self) -> None:
        """Step `agents`."""
        agents = self.beta.agents
        made = agents.create(
            name=f"helper-{NAME}",
            model=MODEL,
            description="helps",
            system="You help at the loom.",
            metadata={"b": "2", "a": "1"},
            tools=TOOLS,
        )
        self.helper = made.id
        tell("agents", f"created {words.agent(made)}")
        changed = agents.update(made.id, version=1, description="helps a lot", metadata={"c": "3"})
        tell("agents", f"updated {words.agent(changed)}")
        same = agents.update(made.id, version=2, description="helps a lot")
        tell("agents", f"unchanged version={same.version}")
        self.refused("agents", "stale", lambda: agents.update(made.id, version=1, description="late"))
        versions = words.listed(agent.version for agent in agents.versions.list(made.id, limit=1))
        tell("agents", f"versions {versions}")
        tell("agents", f"retrieved {words.agent(agents.retrieve(made.id, version=1))}")

    def coordinator(self) -> None:
        """Step `coordinator`."""
        agents = self.beta.agents
        made = agents.create(
            name=f"lead-{NAME}", model=MODEL, multiagent={"type": "coordinator", "agents": [self.helper]}
        )
        self.lead = made.id
        tell("coordinator", f"created {words.agent(made)}")
        tell("coordinator", f"retrieved {words.agent(agents.retrieve(made.id))}")
        tell("coordinator", f"listed {words.ours(agents.list(limit=1))}")

    def sessions(self) -> None:
        """Step `sessions`."""
        sessions = self.beta.sessions
        made = sessions.create(
            agent={"type": "agent", "id": self.helper, "version": 1},
            environment_id=self.environment,
            title="first cloth",
            metadata={"b": "2", "a": "1"},
        )
        self.session = made.id
        tell("sessions", f"created {words.session(made)}")
        self.other = sessions.create(agent=self.helper, environment_id=self.environment).id
        tell("sessions", f"retrieved {words.session(sessions.retrieve(self.other))}")
        changed = sessions.update(self.other, title="second cloth", metadata={"c": "3"})
        tell("sessions", f"updated {words.session(changed)}")
        for event in sessions.events.list(self.other):
            tell("sessions", f"event {words.event(event)}")
        first = sessions.list(agent_id=self.helper, limit=1)
        tell("sessions", f"page {words.listed(one.id for one in first.data)} prev={words.shown(first.prev_page)}")
        second = first.get_next_page()
        tell("sessions", f"next {words.listed(one.id for one in second.data)}")
        back = sessions.list(agent_id=self.helper, limit=1, page=second.prev_page)
        tell("sessions", f"prev {words.listed(one.id for one in back.data)}")
        listed = words.listed(one.id for one in sessions.list(agent_id=self.helper, limit=1))
        tell("sessions", f"listed {listed}")

    def turn(self) -> None:
        """Step `turn`: previews join to the message."""
        events = self.beta.sessions.events
        begun, pieces, said = [], [], ""
        with events.stream(self.session, event_deltas=["agent.message", "agent.thinking"]) as stream:
            sent = events.send(self.session, events=[words.script("turn")])
            tell("turn", f"sent {words.echo(sent)}")
            for event in stream:
                if event.type == "event_start":
                    begun.append(f"{event.event.type}:{event.event.id}")
                elif event.type == "event_delta":
                    pieces.append(event.delta.content.text)
                else:
                    self.show("turn", event)
                if event.type == "agent.message":
                    said = words.texts(event)
                if event.type == "session.status_idle":
                    break
        tell("turn", f"begun {words.listed(begun)}")
        tell("turn", f"previews {''.join(pieces)}")
        tell("turn", f"same {words.shown(''.join(pieces) == said)}")

    def custom(self) -> None:
        """Step `custom`: a call that the client answers."""
        (call,) = self.talk("custom", words.script("look_up"))
        answer = {
            "type": "user.custom_tool_result",
            "custom_tool_use_id": call,
            "content": [{"type": "text", "text": "Wool: see sheep."}],
        }
        self.talk("custom", answer)

    def confirmation(self) -> None:
        """Step `confirmation`: a command that is allowed, and one that is not."""
        word = {"type": "user.tool_confirmation"}
        (call,) = self.talk("confirmation", words.script("allowed"))
        self.talk("confirmation", word | {"tool_use_id": call, "result": "allow"})
        (call,) = self.talk("confirmation", words.script("denied"))
        denial = {"tool_use_id": call, "result": "deny", "deny_message": "Not on a Saturday."}
        self.talk("confirmation", word | denial)

    def children(self) -> None:
        """Step `children`: two of them, in parallel."""
        sessions = self.beta.sessions
        threads = sessions.threads
        made = sessions.create(agent=self.lead, environment_id=self.environment)
        self.team = made.id
        tell("children", f"created {words.session(made)}")
        (primary,) = threads.list(self.team).data
        tell("children", f"thread {words.thread(primary)}")
        with sessions.events.stream(self.team) as stream:
            sessions.events.send(self.team, events=[words.script("children")])
            self.follow("children", stream, "session.thread_status_idle", primary.id)
            gate("GET", "waiting", "one")
            gate("GET", "waiting", "two")
            working = list(threads.list(self.team, **words.statuses("running")))
            for one in threads.list(self.team, limit=1):
                tell("children", f"thread {words.thread(one)}")
            tell("children", f"running {words.listed(one.id for one in working)}")
            first, second = (one.id for one in working)
            with threads.events.stream(first, session_id=self.team) as inside:
                gate("POST", "release", "one")
                self.follow("inside", inside, "session.thread_status_idle", first)
            self.follow("children", stream, "session.thread_status_idle", primary.id)
            sessions.events.send(
                self.team, events=[{"type": "user.interrupt", "session_thread_id": second}]
            )
            self.follow("children", stream, "session.status_idle")
            tell("children", f"archived {words.thread(threads.archive(first, session_id=self.team))}")
            self.follow("children", stream, "session.thread_status_terminated", first)
        ended = threads.list(self.team, **words.statuses("terminated"))
        tell("children", f"terminated {words.listed(one.id for one in ended)}")
        tell("children", f"retrieved {words.thread(threads.retrieve(second, session_id=self.team))}")
        for event in threads.events.list(first, session_id=self.team, limit=3):
            tell("children", f"inside {words.event(event)}")

    def pages(self) -> None:
        """Step `pages`: the list of events, in every form."""
        events = self.beta.sessions.events
        whole = list(events.list(self.session, limit=5))
        ids = [event.id for event in whole]
        tell("pages", f"all {len(ids)} same={words.shown(ids == self.seen)}")
        down = [event.id for event in events.list(self.session, limit=5, order="desc")]
        tell("pages", f"desc {len(down)} same={words.shown(down == self.seen[::-1])}")
        for event in events.list(self.session, types=["user.message", "agent.message"], limit=2):
            tell("pages", f"message {words.event(event)}")
        later = events.list(self.session, created_at_gte=whole[-4].processed_at)
        for event in later:
            tell("pages", f"late {words.event(event)}")

    def errors(self) -> None:
        """Step `errors`: one of each class."""
        beta = self.beta
        self.refused("errors", "bad", lambda: beta.agents.create(name="", model=MODEL))
        stranger = self.client.with_options(api_key="wrong")
        self.refused("errors", "key", lambda: stranger.beta.agents.list())
        foreign = {"anthropic-workspace-id": "wrkspc_1111111111111111111zzz"}
        self.refused("errors", "workspace", lambda: beta.agents.list(extra_headers=foreign))
        missing = "sesn_1111111111111111111112"
        self.refused("errors", "missing", lambda: beta.sessions.retrieve(missing))
        self.refused("errors", "taken", lambda: beta.environments.create(name=f"loom-{NAME}"))
        self.refused("errors", "unbuilt", lambda: beta.vaults.list())

    def ends(self) -> None:
        """Step `ends`: everything is put away."""
        sessions, agents, environments = self.beta.sessions, self.beta.agents, self.beta.environments
        tell("ends", f"archived {words.session(sessions.archive(self.session))}")
        gone = sessions.retrieve(self.session)
        tell("ends", f"retrieved {words.session(gone)}")
        tell("ends", f"usage output={gone.usage.output_tokens}")
        with sessions.events.stream(self.session) as stream:
            for event in stream:
                tell("ends", f"event {words.event(event)}")
        tell("ends", "stream ended")
        for session in (self.session, self.other, self.team):
            deleted = sessions.delete(session)
            tell("ends", f"deleted {deleted.id} {deleted.type}")
        self.refused("ends", "gone", lambda: sessions.retrieve(self.session))
        for agent in (self.lead, self.helper):
            tell("ends", f"archived {words.agent(agents.archive(agent))}")
        tell("ends", f"agents {words.ours(agents.list())}")
        tell("ends", f"archived {words.environment(environments.archive(self.spare))}")
        for environment in (self.spare, self.environment):
            removed = environments.delete(environment)
            tell("ends", f"deleted {removed.id} {removed.type}")
        self.refused("ends", "gone", lambda: environments.retrieve(self.environment))

    def talk(self, step: str, event: Any) -> list[str]:
        """Sends one event and follows the session until it rests; gives the calls that it waits for."""
        events = self.beta.sessions.events
        with events.stream(self.session) as stream:
            tell(step, f"sent {words.echo(events.send(self.session, events=[event]))}")
            for shown in stream:
                self.show(step, shown)
                if shown.type == "session.status_idle":
                    return shown.stop_reason.event_ids if shown.stop_reason.type == "requires_action" else []
        raise AssertionError(f"{step}: the stream ended")

    def show(self, step: str, event: Any) -> None:
        """Tells of an event of the session and remembers it."""
        tell(step, words.event(event))
        self.seen.append(event.id)

    def follow(self, step: str, stream: Any, kind: str, thread: str | None = None) -> None:
        """Tells of what a stream shows, up to an event of this type, and of this thread if one is given."""
        for event in stream:
            tell(step, words.event(event))
            if event.type == kind and (thread is None or event.session_thread_id == thread):
                return
        raise AssertionError(f"{step}: the stream ended before {kind}")

    def refused(self, step: str, what: str, call: Callable[[], Any]) -> None:
        """Tells of an error that must come."""
        try:
            call()
        except anthropic.APIStatusError as error:
            tell(step, f"{what} {words.refusal(error)}")
            return
        raise AssertionError(f"{step}: {what} was not refused")

    def whole(self) -> None:
        """All steps, in their order."""
        for step in (
            self.environments,
            self.agents,
            self.coordinator,
            self.sessions,
            self.turn,
            self.custom,
            self.confirmation,
            self.children,
            self.pages,
            self.errors,
            self.ends,
        ):
            step()


if __name__ == "__main__":
    with anthropic.Anthropic(
        base_url=os.environ["JOURNEY_URL"], api_key=os.environ["JOURNEY_KEY"]
    ) as opened:
        Journey(opened).whole()
