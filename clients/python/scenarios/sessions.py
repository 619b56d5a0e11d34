"""Sessions: create in every form, retrieve, list, update, archive, delete; lists of events."""

from __future__ import annotations

import itertools
from typing import Any

from anthropic import BadRequestError, NotFoundError

from guest import IDLE, PLAIN, TOOL, Guest, refuses, same, say, texts
from scenarios import scenario


def settled(session: Any) -> dict[str, Any]:
    """A session without what grows with time."""
    return session.to_dict() | {"stats": None}


@scenario
def a_session_opens_with_the_latest_a_pinned_or_a_changed_agent(guest: Guest) -> None:
    """A string is the latest version, a reference may pin one, overrides replace or clear."""
    sessions, agents = guest.beta.sessions, guest.beta.agents
    one = guest.agent(system="first")
    agents.update(one.id, version=1, system="second")
    latest = guest.session(agent=one.id, title="t", metadata={"k": "v"})
    same((latest.agent.id, latest.agent.version, latest.agent.system), (one.id, 2, "second"), "the latest")
    same(
        (latest.type, latest.status, latest.title, latest.metadata),
        ("session", "idle", "t", {"k": "v"}),
        "it",
    )
    same((latest.resources, latest.vault_ids, latest.outcome_evaluations), ([], [], []), "the lists")
    same((latest.archived_at, latest.budget, latest.deployment_id), (None, None, None), "what is unset")
    same(settled(sessions.retrieve(latest.id)), settled(latest), "read back")
    same(guest.list(latest.id), [], "no events yet")
    pinned = guest.session(agent={"type": "agent", "id": one.id, "version": 1})
    same((pinned.agent.version, pinned.agent.system), (1, "first"), "the pinned one")
    other = TOOL | {"name": "other"}
    changed = {"type": "agent_with_overrides", "id": one.id, "system": None, "tools": [other]}
    override = guest.session(agent=changed).agent
    same((override.id, override.version, override.system), (one.id, 2, None), "the changed one")
    same([tool.name for tool in override.tools], ["other"], "its tools")
    cleared = {"type": "agent_with_overrides", "id": one.id, "version": 1, "tools": []}
    same(guest.session(agent=cleared).agent.tools, [], "cleared tools")
    missing = {"type": "agent", "id": one.id, "version": 9}
    refuses(NotFoundError, lambda: guest.session(agent=missing), "agent.version")
    refuses(NotFoundError, lambda: guest.session(agent="agent_1111111111111111111112"))
    refuses(BadRequestError, lambda: guest.session(vault_ids=["vlt_1"]), "vault_ids", "is not supported yet")


@scenario
def initial_events_start_the_session(guest: Guest) -> None:
    """With initial events the session is running at once, and they are the first of its list."""
    guest.beta.sessions.create(
        agent=guest.agent().id, environment_id=guest.environment().id, initial_events=[]
    )
    gate = "initial"
    opened = guest.session(initial_events=[say({"text": "held here", "chunks": 2, "wait": gate})])
    same(opened.status, "running", "the status")
    guest.house.waiting(gate)
    last = guest.list(opened.id)[-1]
    with guest.stream(opened.id, after=last.id) as stream:
        guest.house.release(gate)
        stream.idle()
    guest.shows(opened.id, PLAIN)
    interrupt = {"type": "user.interrupt"}
    refuses(BadRequestError, lambda: guest.session(initial_events=[interrupt]), "initial_events")


@scenario
def sessions_are_listed_both_ways_with_filters(guest: Guest) -> None:
    """Lists of sessions page forwards and back, by agent, version, status and time."""
    sessions = guest.beta.sessions
    agent = guest.agent()
    made = [guest.session(agent=agent.id) for _ in range(5)]
    ids = [session.id for session in reversed(made)]
    first = sessions.list(agent_id=agent.id, limit=2)
    second = sessions.list(agent_id=agent.id, limit=2, page=first.next_page)
    third = sessions.list(agent_id=agent.id, limit=2, page=second.next_page)
    walked = [[session.id for session in page.data] for page in (first, second, third)]
    same(walked, [ids[:2], ids[2:4], ids[4:]], "forwards")
    same((first.prev_page, third.next_page), (None, None), "the ends")
    back = sessions.list(agent_id=agent.id, limit=2, page=third.prev_page)
    same([session.id for session in back.data], ids[2:4], "one back")
    start = sessions.list(agent_id=agent.id, limit=2, page=back.prev_page)
    same([session.id for session in start.data], ids[:2], "two back")
    rising = [session.id for session in sessions.list(agent_id=agent.id, order="asc", limit=3)]
    same(rising, ids[::-1], "oldest first")
    refuses(
        BadRequestError, lambda: sessions.list(agent_id=agent.id, order="asc", page=first.next_page), "page"
    )
    same(sessions.list(agent_id=agent.id, agent_version=2).data, [], "another version")
    refuses(BadRequestError, lambda: sessions.list(agent_version=1), "agent_version")
    later = sessions.list(agent_id=agent.id, created_at_gt=made[2].created_at)
    same([session.id for session in later], ids[:2], "later than the third")
    earlier = sessions.list(agent_id=agent.id, created_at_lte=made[2].created_at)
    same([session.id for session in earlier], ids[2:], "not later than the third")
    sessions.archive(made[0].id)
    same(len(list(sessions.list(agent_id=agent.id))), 4, "without the archived")
    ended = sessions.list(agent_id=agent.id, statuses=["terminated"], include_archived=True)
    same([session.id for session in ended], [made[0].id], "the terminated")
    resting = sessions.list(agent_id=agent.id, statuses=["idle", "running"], include_archived=True)
    same([session.id for session in resting], ids[:4], "idle or running")


@scenario
def a_session_is_updated_with_an_event(guest: Guest) -> None:
    """A change makes one session.updated that carries what changed; a change of nothing makes none."""
    sessions = guest.beta.sessions
    session = guest.session(metadata={"a": "1"}).id
    after = sessions.update(session, title="new", metadata={"b": "2"})
    same((after.title, after.metadata), ("new", {"a": "1", "b": "2"}), "title and metadata")
    same(sessions.retrieve(session).title, "new", "read back")
    sessions.update(session, title="new")
    sessions.update(session, agent={"tools": []})
    seen = guest.shows(session, ["session.updated", "session.updated"])
    same((seen[0].title, seen[0].metadata), ("new", {"a": "1", "b": "2"}), "the first update")
    same(seen[0].agent, None, "an agent that did not change")
    same(seen[1].agent.tools, [], "the second update")
    same(sessions.retrieve(session).agent.tools, [], "the tools")
    refuses(BadRequestError, lambda: sessions.update(session, vault_ids=["vlt_1"]), "vault_ids")


@scenario
def a_session_is_archived_and_deleted(guest: Guest) -> None:
    """Archive ends the session and its streams; delete removes it; neither while it runs."""
    sessions = guest.beta.sessions
    session = guest.session().id
    gate = "archive"
    with guest.stream(session) as stream:
        guest.send(session, say({"text": "held here", "chunks": 2, "wait": gate}))
        guest.house.waiting(gate)
        refuses(BadRequestError, lambda: sessions.archive(session), "running")
        refuses(BadRequestError, lambda: sessions.delete(session), "running")
        guest.house.release(gate)
        stream.idle()
        gone = sessions.archive(session)
        same((gone.status, gone.archived_at is not None), ("terminated", True), "the archived session")
        stream.seen += list(stream.events)
        ends = ["session.thread_status_terminated", "session.status_terminated"]
        same([event.type for event in stream.seen], [*PLAIN, *ends], "the stream to its end")
    same(sessions.archive(session), gone, "archived again")
    with guest.stream(session) as late:
        same([event.type for event in late.events], ["session.status_terminated"], "a late stream")
    refuses(BadRequestError, lambda: guest.send(session, say({"text": "no"})))
    refuses(BadRequestError, lambda: sessions.update(session, title="no"))
    deleted = sessions.delete(session)
    same((deleted.id, deleted.type), (session, "session_deleted"), "the deletion")
    for call in (sessions.retrieve, sessions.delete, sessions.archive, guest.list, guest.stream):
        refuses(NotFoundError, lambda call=call: call(session))


@scenario
def a_deleted_session_ends_its_streams(guest: Guest) -> None:
    """Delete shows session.deleted on an open stream and ends it."""
    session = guest.session().id
    with guest.stream(session) as stream:
        guest.beta.sessions.delete(session)
        same([event.type for event in stream.events], ["session.deleted"], "the stream")


@scenario
def events_are_listed_in_pages_orders_and_kinds(guest: Guest) -> None:
    """Lists of events page in both orders, by type and by time, and a cursor fits only its own list."""
    session = guest.session().id
    seen = guest.turn(session, say({"thinking": "hm", "text": "one"}))
    everything = guest.list(session)
    same([event.id for event in everything], [event.id for event in seen], "list and stream")
    same([event.id for event in guest.list(session, limit=2)], [event.id for event in seen], "pages of two")
    down = [event.id for event in guest.list(session, limit=3, order="desc")]
    same(down, [event.id for event in reversed(seen)], "newest first")
    kinds = guest.list(session, types=["agent.message", "user.message"], limit=1)
    same([event.type for event in kinds], ["user.message", "agent.message"], "two types")
    same(texts(kinds[1]), "one", "the text")
    for place, event in itertools.islice(enumerate(everything), 0, None, 3):
        after = guest.list(session, created_at_gt=event.processed_at)
        same([later.id for later in after], [later.id for later in everything[place + 1 :]], "later than one")
    page = guest.beta.sessions.events.list(session, limit=2).next_page
    other = guest.session().id
    refuses(BadRequestError, lambda: guest.beta.sessions.events.list(other, page=page), "page")
    refuses(
        BadRequestError, lambda: guest.beta.sessions.events.list(session, order="desc", page=page), "page"
    )
    refuses(BadRequestError, lambda: guest.list(session, limit=1001), "limit")
    refuses(BadRequestError, lambda: guest.list(session, types=["no.such"]), "types")
    same([event.type for event in guest.list(session)][-3:], IDLE, "the end")
