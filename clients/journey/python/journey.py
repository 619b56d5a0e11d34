"""The journey of `../README.md` with the official Python SDK: `python journey.py sync`, or `async`."""

from __future__ import annotations

import asyncio
import os
import sys
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import anthropic

import words
from either import each, got, opened, whole
from words import MODEL, NAME, TOOLS, tell


def gate(method: str, verb: str, which: str) -> None:
    """Waits until a model stands at a gate, or opens it."""
    url = f"{os.environ['JOURNEY_MODEL']}/{verb}/{which}-{NAME}"
    urllib.request.urlopen(urllib.request.Request(url, method=method)).close()


async def refused(step: str, what: str, call: Any) -> None:
    """Tells of an error that must come."""
    try:
        await got(call())
    except anthropic.APIStatusError as error:
        tell(step, f"{what} {words.refusal(error)}")
        return
    raise AssertionError(f"{step}: {what} was not refused")


async def follow(step: str, stream: Any, kind: str, thread: str | None = None) -> None:
    """Tells of what a stream shows, up to an event of this type, and of this thread if one is given."""
    async for event in each(stream):
        tell(step, words.event(event))
        if event.type == kind and (thread is None or event.session_thread_id == thread):
            return
    raise AssertionError(f"{step}: the stream ended before {kind}")


class Journey:
    """One traveller, who remembers what was made on the way."""

    def __init__(self, client: anthropic.Anthropic | anthropic.AsyncAnthropic) -> None:
        self.client = client
        self.beta: Any = client.beta
        self.environment = self.spare = self.helper = self.lead = ""
        self.session = self.other = self.team = ""
        # The ids that talking has printed.
        self.seen: list[str] = []

    async def environments(self) -> None:
        """Step `environment`."""
        environments = self.beta.environments
        made = await got(
            environments.create(
                name=f"loom-{NAME}",
                description="a quiet room",
                config={"type": "cloud", "networking": {"type": "unrestricted"}},
                metadata={"b": "2", "a": "1"},
            )
        )
        self.environment = made.id
        tell("environment", f"created {words.environment(made)}")
        self.spare = (await got(environments.create(name=f"spare-{NAME}"))).id
        read = await got(environments.retrieve(self.spare))
        tell("environment", f"retrieved {words.environment(read)}")
        given: dict[str, Any] = {"description": "a bright room", "metadata": {"c": "3"}}
        changed = await got(environments.update(self.environment, **given))
        tell("environment", f"updated {words.environment(changed)}")
        tell("environment", f"listed {words.ours(await whole(environments.list(limit=1)))}")

    async def agents(self) -> None:
        """Step `agents`."""
        agents = self.beta.agents
        made = await got(
            agents.create(
                name=f"helper-{NAME}",
                model=MODEL,
                description="helps",
                system="You help at the loom.",
                metadata={"b": "2", "a": "1"},
                tools=TOOLS,
            )
        )
        self.helper = made.id
        tell("agents", f"created {words.agent(made)}")
        changed = await got(agents.update(made.id, version=1, description="helps a lot", metadata={"c": "3"}))
        tell("agents", f"updated {words.agent(changed)}")
        same = await got(agents.update(made.id, version=2, description="helps a lot"))
        tell("agents", f"unchanged version={same.version}")
        await refused("agents", "stale", lambda: agents.update(made.id, version=1, description="late"))
        versions = await whole(agents.versions.list(made.id, limit=1))
        tell("agents", f"versions {words.listed(agent.version for agent in versions)}")
        first = await got(agents.retrieve(made.id, version=1))
        tell("agents", f"retrieved {words.agent(first)}")

    async def coordinator(self) -> None:
        """Step `coordinator`."""
        agents = self.beta.agents
        roster = {"type": "coordinator", "agents": [self.helper]}
        made = await got(agents.create(name=f"lead-{NAME}", model=MODEL, multiagent=roster))
        self.lead = made.id
        tell("coordinator", f"created {words.agent(made)}")
        tell("coordinator", f"retrieved {words.agent(await got(agents.retrieve(made.id)))}")
        tell("coordinator", f"listed {words.ours(await whole(agents.list(limit=1)))}")

    async def sessions(self) -> None:
        """Step `sessions`."""
        sessions = self.beta.sessions
        made = await got(
            sessions.create(
                agent={"type": "agent", "id": self.helper, "version": 1},
                environment_id=self.environment,
                title="first cloth",
                metadata={"b": "2", "a": "1"},
            )
        )
        self.session = made.id
        tell("sessions", f"created {words.session(made)}")
        self.other = (await got(sessions.create(agent=self.helper, environment_id=self.environment))).id
        tell("sessions", f"retrieved {words.session(await got(sessions.retrieve(self.other)))}")
        changed = await got(sessions.update(self.other, title="second cloth", metadata={"c": "3"}))
        tell("sessions", f"updated {words.session(changed)}")
        async for event in each(sessions.events.list(self.other)):
            tell("sessions", f"event {words.event(event)}")
        first = await got(sessions.list(agent_id=self.helper, limit=1))
        tell("sessions", f"page {words.ids(first.data)} prev={words.shown(first.prev_page)}")
        second = await got(first.get_next_page())
        tell("sessions", f"next {words.ids(second.data)}")
        back = await got(sessions.list(agent_id=self.helper, limit=1, page=second.prev_page))
        tell("sessions", f"prev {words.ids(back.data)}")
        tell("sessions", f"listed {words.ids(await whole(sessions.list(agent_id=self.helper, limit=1)))}")

    async def turn(self) -> None:
        """Step `turn`: previews join to the message."""
        begun: list[str] = []
        pieces: list[str] = []
        said = ""
        deltas = ["agent.message", "agent.thinking"]
        async for event in self.talks("turn", words.script("turn"), event_deltas=deltas):
            if event.type == "event_start":
                begun.append(f"{event.event.type}:{event.event.id}")
            elif event.type == "event_delta":
                pieces.append(event.delta.content.text)
            elif event.type == "agent.message":
                said = words.texts(event)
        tell("turn", f"begun {words.listed(begun)}")
        tell("turn", f"previews {''.join(pieces)}")
        tell("turn", f"same {words.shown(''.join(pieces) == said)}")

    async def custom(self) -> None:
        """Step `custom`: a call that the client answers."""
        (call,) = await self.talk("custom", words.script("look_up"))
        answer = {
            "type": "user.custom_tool_result",
            "custom_tool_use_id": call,
            "content": [{"type": "text", "text": "Wool: see sheep."}],
        }
        await self.talk("custom", answer)

    async def confirmation(self) -> None:
        """Step `confirmation`: a command that is allowed, and one that is not."""
        word = {"type": "user.tool_confirmation"}
        (call,) = await self.talk("confirmation", words.script("allowed"))
        await self.talk("confirmation", word | {"tool_use_id": call, "result": "allow"})
        (call,) = await self.talk("confirmation", words.script("denied"))
        denial = {"tool_use_id": call, "result": "deny", "deny_message": "Not on a Saturday."}
        await self.talk("confirmation", word | denial)

    async def children(self) -> None:
        """Step `children`: two of them, in parallel."""
        sessions, threads = self.beta.sessions, self.beta.sessions.threads
        made = await got(sessions.create(agent=self.lead, environment_id=self.environment))
        team = self.team = made.id
        tell("children", f"created {words.session(made)}")
        (primary,) = await whole(threads.list(team))
        tell("children", f"thread {words.thread(primary)}")
        async with opened(sessions.events.stream(team)) as stream:
            await got(sessions.events.send(team, events=[words.script("children")]))
            await follow("children", stream, "session.thread_status_idle", primary.id)
            gate("GET", "waiting", "one")
            gate("GET", "waiting", "two")
            async for one in each(threads.list(team, limit=1)):
                tell("children", f"thread {words.thread(one)}")
            first, second = await self.are("running")
            async with opened(threads.events.stream(first, session_id=team)) as inside:
                gate("POST", "release", "one")
                await follow("inside", inside, "session.thread_status_idle", first)
            await follow("children", stream, "session.thread_status_idle", primary.id)
            interrupt = {"type": "user.interrupt", "session_thread_id": second}
            await got(sessions.events.send(team, events=[interrupt]))
            await follow("children", stream, "session.status_idle")
            ended = await got(threads.archive(first, session_id=team))
            tell("children", f"archived {words.thread(ended)}")
            await follow("children", stream, "session.thread_status_terminated", first)
        await self.are("terminated")
        read = await got(threads.retrieve(second, session_id=team))
        tell("children", f"retrieved {words.thread(read)}")
        async for event in each(threads.events.list(first, session_id=team, limit=3)):
            tell("children", f"inside {words.event(event)}")

    async def are(self, status: str) -> list[str]:
        """Tells which threads of the coordinator's session have this status, and gives their ids."""
        listed = await whole(self.beta.sessions.threads.list(self.team, **words.statuses(status)))
        tell("children", f"{status} {words.ids(listed)}")
        return [one.id for one in listed]

    async def pages(self) -> None:
        """Step `pages`: the list of events, in every form."""
        events = self.beta.sessions.events
        listed = await whole(events.list(self.session, limit=5))
        same = words.shown([event.id for event in listed] == self.seen)
        tell("pages", f"all {len(listed)} same={same}")
        down = await whole(events.list(self.session, limit=5, order="desc"))
        same = words.shown([event.id for event in down] == self.seen[::-1])
        tell("pages", f"desc {len(down)} same={same}")
        types = ["user.message", "agent.message"]
        async for event in each(events.list(self.session, types=types, limit=2)):
            tell("pages", f"message {words.event(event)}")
        async for event in each(events.list(self.session, created_at_gte=listed[-4].processed_at)):
            tell("pages", f"late {words.event(event)}")

    async def errors(self) -> None:
        """Step `errors`: one of each class."""
        agents, sessions = self.beta.agents, self.beta.sessions
        stranger: Any = self.client.with_options(api_key="wrong").beta.agents
        foreign = {"anthropic-workspace-id": "wrkspc_1111111111111111111zzz"}
        large = "x" * (33 << 20)
        for what, call in {
            "bad": lambda: agents.create(name="", model=MODEL),
            "key": lambda: stranger.list(),
            "workspace": lambda: agents.list(extra_headers=foreign),
            "missing": lambda: sessions.retrieve("sesn_1111111111111111111112"),
            "large": lambda: agents.create(name="x", model=MODEL, system=large),
            "taken": lambda: self.beta.environments.create(name=f"loom-{NAME}"),
            "unbuilt": lambda: self.beta.vaults.list(),
        }.items():
            await refused("errors", what, call)

    async def ends(self) -> None:
        """Step `ends`: everything is put away."""
        sessions, agents, environments = self.beta.sessions, self.beta.agents, self.beta.environments
        tell("ends", f"archived {words.session(await got(sessions.archive(self.session)))}")
        read = await got(sessions.retrieve(self.session))
        tell("ends", f"retrieved {words.session(read)}")
        tell("ends", f"usage output={read.usage.output_tokens}")
        async with opened(sessions.events.stream(self.session)) as stream:
            async for event in each(stream):
                tell("ends", f"event {words.event(event)}")
        tell("ends", "stream ended")
        for session in (self.session, self.other, self.team):
            gone = await got(sessions.delete(session))
            tell("ends", f"deleted {gone.id} {gone.type}")
        await refused("ends", "gone", lambda: sessions.retrieve(self.session))
        for agent in (self.lead, self.helper):
            tell("ends", f"archived {words.agent(await got(agents.archive(agent)))}")
        tell("ends", f"agents {words.ours(await whole(agents.list()))}")
        tell("ends", f"archived {words.environment(await got(environments.archive(self.spare)))}")
        for environment in (self.spare, self.environment):
            gone = await got(environments.delete(environment))
            tell("ends", f"deleted {gone.id} {gone.type}")
        await refused("ends", "gone", lambda: environments.retrieve(self.environment))

    async def talks(self, step: str, event: Any, **more: Any) -> AsyncIterator[Any]:
        """Sends one event, and tells of and gives what the session shows until it rests."""
        events = self.beta.sessions.events
        async with opened(events.stream(self.session, **more)) as stream:
            tell(step, f"sent {words.echo(await got(events.send(self.session, events=[event])))}")
            async for shown in each(stream):
                if shown.type not in ("event_start", "event_delta"):
                    tell(step, words.event(shown))
                    self.seen.append(shown.id)
                yield shown
                if shown.type == "session.status_idle":
                    return
        raise AssertionError(f"{step}: the stream ended")

    async def talk(self, step: str, event: Any) -> list[str]:
        """Talks, and gives the ids of the calls that the session then waits for."""
        *_, rest = [shown async for shown in self.talks(step, event)]
        return rest.stop_reason.event_ids if rest.stop_reason.type == "requires_action" else []

    async def whole(self) -> None:
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
            await step()


async def main() -> None:
    """Goes with the client that the command line names."""
    kind = {"sync": anthropic.Anthropic, "async": anthropic.AsyncAnthropic}[sys.argv[1]]
    client = kind(base_url=os.environ["JOURNEY_URL"], api_key=os.environ["JOURNEY_KEY"])
    try:
        await Journey(client).whole()
    finally:
        await got(client.close())


if __name__ == "__main__":
    asyncio.run(main())
