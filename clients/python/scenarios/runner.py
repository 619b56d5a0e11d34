"""The official tool runner on a session with children, and the asynchronous client on their threads."""

from __future__ import annotations

import asyncio
from typing import Any

from anthropic import AsyncAnthropic, beta_async_tool

from guest import TOOL, Guest, name, result, same, say, texts, uses
from scenarios import scenario
from team import Team, create, look, wait

# Seconds after the end of a turn at which the runner leaves.
LEAVES = 0.2


@beta_async_tool
async def look_up(word: str) -> str:
    """Looks a word up."""
    return f"found {word}"


async def runs(client: AsyncAnthropic, session: str) -> list[tuple[str, bool, bool]]:
    """Lets the official runner answer until all rest; gives each word, if it was posted, if it went wrong."""
    runner = client.beta.sessions.events.tool_runner(session, tools=[look_up], max_idle=LEAVES)
    return [(str(call.event.input["word"]), call.posted, call.is_error) async for call in runner]


@scenario
def the_official_runner_answers_for_all_threads(guest: Guest) -> None:
    """It comes late: what is answered or ended it leaves alone, the rest it answers once, until all rest."""
    team = Team(guest, TOOL, spinner=[TOOL], dyer=[TOOL], fuller=[TOOL])
    kept = name("kept")
    steps = uses(
        wait("spinner", uses(*look("wool")), uses(*look("silk")), {"text": "spun"}),
        wait("dyer", uses(*look("woad", "madder")), {"text": "dyed", "keep": kept}),
        create("fuller", uses(*look("soap"))),
    )
    seen = guest.turn(team.session, say(steps, uses(*look("loom")), {"text": "done"}), stop="requires_action")
    called = {event.input["word"]: event.id for event in seen if event.type == "agent.custom_tool_use"}
    same(sorted(called), ["madder", "soap", "woad", "wool"], "what waits")
    team.archive(team.thread("fuller").id)
    guest.turn(team.session, result(called["woad"], "blue"), stop="requires_action")

    async def attend() -> list[tuple[str, bool, bool]]:
        async with guest.house.async_client() as client:
            return await runs(client, team.session)

    answered = asyncio.run(attend())
    wanted = [(word, True, False) for word in ("loom", "madder", "silk", "wool")]
    same(sorted(answered), wanted, "what the runner answered")
    session = guest.beta.sessions.retrieve(team.session)
    same((session.status, texts(guest.list(team.session)[-5])), ("idle", "done"), "how it ended")
    results = [event for event in guest.list(team.session) if event.type == "user.custom_tool_result"]
    same(len({event.custom_tool_use_id for event in results}), len(results), "one answer a call")
    same(sorted(team.heard(kept)), ["result: blue", "result: found madder"], "what the dyer is told")


async def follows(client: AsyncAnthropic, team: Team, thread: str, many: int) -> list[Any]:
    """A child's list and, after its first event, its stream: one after the other the same."""
    threads = client.beta.sessions.threads
    listed = [event async for event in threads.events.list(thread, session_id=team.session, limit=2)]
    headers = {"Last-Event-ID": listed[0].id}
    stream = await threads.events.stream(thread, session_id=team.session, extra_headers=headers)
    seen = listed[:1]
    async with stream:
        async for event in stream:
            seen.append(event)
            if len(seen) == many:
                break
    same([event.id for event in seen], [event.id for event in listed], "list and stream")
    return seen


@scenario
def the_asynchronous_client_follows_many_children(guest: Guest) -> None:
    """Ten children, each listed in pages and followed at once by AsyncAnthropic; archived side by side."""
    team = Team(guest, spinner=[])
    many = [create("spinner", {"text": f"spun {number}"}) for number in range(10)]
    guest.turn(team.session, say(uses(*many), {"text": "started"}))
    children = [thread.id for thread in team.threads()[1:]]

    async def attend() -> None:
        async with guest.house.async_client() as client:
            lists = await asyncio.gather(*(follows(client, team, child, 7) for child in children))
            said = [texts(event) for seen in lists for event in seen if event.type == "agent.message"]
            same(said, [f"spun {number}" for number in range(10)], "what each said")
            archive = client.beta.sessions.threads.archive
            gone = await asyncio.gather(*(archive(child, session_id=team.session) for child in children))
            same([thread.id for thread in gone], children, "who was archived")

    asyncio.run(attend())
    same([thread.status for thread in team.threads()[1:]], ["terminated"] * 10, "the children")
