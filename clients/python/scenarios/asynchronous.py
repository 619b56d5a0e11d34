"""The same server through the official asynchronous client."""

from __future__ import annotations

import asyncio

from anthropic import AsyncAnthropic, NotFoundError

from guest import MODEL, TOOL, Guest, calls, name, result, same, say
from scenarios import scenario


async def lives(client: AsyncAnthropic) -> None:
    """One life of a session, followed while it goes on."""
    beta = client.beta
    agent = await beta.agents.create(name=name("async"), model=MODEL, tools=[TOOL])
    environment = await beta.environments.create(name=name("async"))
    session = (await beta.sessions.create(agent=agent.id, environment_id=environment.id)).id
    seen = []
    async with await beta.sessions.events.stream(session) as stream:
        await beta.sessions.events.send(session, events=[say(calls("a"), {"text": "done"})])
        async for event in stream:
            seen.append(event)
            if event.type == "agent.custom_tool_use":
                call = event.id
            if event.type == "session.status_idle" and event.stop_reason.type == "requires_action":
                await beta.sessions.events.send(session, events=[result(call, "found")])
            elif event.type == "session.status_idle":
                break
    listed = [event async for event in beta.sessions.events.list(session, limit=4)]
    same([event.id for event in listed], [event.id for event in seen], "list and stream")
    same((await beta.sessions.retrieve(session)).status, "idle", "the status")
    await beta.sessions.archive(session)
    await beta.sessions.delete(session)
    try:
        await beta.sessions.retrieve(session)
    except NotFoundError:
        return
    raise AssertionError("a deleted session was read")


async def many_speak(client: AsyncAnthropic, session: str) -> None:
    """Twenty senders at once."""
    async with await client.beta.sessions.events.stream(session) as stream:
        said = [client.beta.sessions.events.send(session, events=[say({"text": "x"})]) for _ in range(20)]
        sent = {echo.data[0].id for echo in await asyncio.gather(*said)}
        waits = set(sent)
        async for event in stream:
            if event.type == "user.message" and event.processed_at:
                waits.remove(event.id)
            if event.type == "session.status_idle" and not waits:
                break
    listed = [event async for event in client.beta.sessions.events.list(session)]
    spoken = [event.id for event in listed if event.type == "user.message"]
    same((len(spoken), set(spoken)), (20, sent), "each message once")
    same([event.type for event in listed if event.processed_at is None], [], "what still waits")


@scenario
def twenty_senders_speak_to_one_session(guest: Guest) -> None:
    """Messages sent side by side to one session are all there once, and the session rests after the last."""
    session = guest.session().id

    async def speak() -> None:
        async with guest.house.async_client() as client:
            await many_speak(client, session)

    asyncio.run(speak())
    same(guest.beta.sessions.retrieve(session).status, "idle", "the status")


@scenario
def the_asynchronous_client_lives_a_session(guest: Guest) -> None:
    """Create, stream, custom tool, list, archive, delete with AsyncAnthropic; eight sessions side by side."""

    async def all_lives() -> None:
        async with guest.house.async_client() as client:
            await asyncio.gather(*(lives(client) for _ in range(8)))

    asyncio.run(all_lives())
