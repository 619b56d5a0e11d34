"""Streams: previews, resume from every event, refusals of foreign cursors."""

from __future__ import annotations

from typing import Any

from anthropic import BadRequestError

from guest import (
    DELTAS,
    END,
    MODEL,
    PLAIN,
    PREVIEWS,
    START,
    THOUGHT,
    Guest,
    Stream,
    calls,
    refuses,
    result,
    same,
    say,
)
from scenarios import scenario


def previewed(stream: Stream, events: list[Any], said: str, what: str) -> None:
    """The previews of a turn with thinking, whose list this is, add up to the answer under its id."""
    same(stream.processed(), events, f"{what}: stream and list")
    starts = [(event.event.type, event.event.id) for event in stream.seen if event.type == "event_start"]
    wanted = [("agent.thinking", events[4].id), ("agent.message", events[5].id)]
    same(starts, wanted, f"{what}: what was begun")
    pieces = [event for event in stream.seen if event.type == "event_delta"]
    same({event.event_id for event in pieces}, {events[5].id}, f"{what}: whose pieces they are")
    same(pieces[0].delta.content.text != "", True, f"{what}: whether the first piece has words")
    same("".join(event.delta.content.text for event in pieces), said, f"{what}: the pieces together")
    same([block.text for block in events[5].content], [said], f"{what}: the message")
    place = [event.type for event in stream.seen].index(END)
    late = [event.type for event in stream.seen[place:] if event.type in PREVIEWS]
    same(late, [], f"{what}: previews after the end")


@scenario
def previews_add_up_to_the_message_under_its_own_id(guest: Guest) -> None:
    """Previews come while the model speaks and add up to the final message, which has the previewed id."""
    session = guest.session().id
    gate = "preview"
    text = "a few words that come one by one"
    with guest.stream(session, event_deltas=DELTAS) as stream, guest.stream(session) as bare:
        guest.send(session, say({"thinking": "hm", "text": text, "chunks": 8, "wait": gate}))
        stream.until("event_delta")
        guest.house.release(gate)
        stream.idle()
        bare.idle()
    previewed(stream, guest.shows(session, THOUGHT), text, MODEL)
    same([event.type for event in bare.seen if event.type in PREVIEWS], [], "previews nobody asked for")


@scenario
def previews_of_one_kind_only(guest: Guest) -> None:
    """Only the kinds that were asked for are previewed; a kind without previews is refused."""
    session = guest.session().id
    with guest.stream(session, event_deltas=["agent.thinking"]) as stream:
        guest.send(session, say({"thinking": "hm", "text": "x y", "chunks": 2}))
        stream.idle()
    kinds = [event.type for event in stream.seen if event.type in PREVIEWS]
    same(kinds, ["event_start"], "the previews")
    refuses(BadRequestError, lambda: guest.stream(session, event_deltas=["user.message"]), "event_deltas")


def resumes_everywhere(guest: Guest, session: str) -> None:
    """From each event on, by header or by parameter, the stream gives exactly the rest."""
    events = guest.list(session)
    ids = [event.id for event in events]
    for place, cursor in enumerate(ids[:-1]):
        rest = ids[place + 1 :]
        with guest.stream(session, after=cursor) as stream:
            same([event.id for event in stream.take(len(rest))], rest, f"after event {place}")
    query = {"after_id": ids[2]}
    with guest.stream(session, extra_query=query) as stream:
        same([event.id for event in stream.take(len(ids) - 3)], ids[3:], "after_id")
    with guest.stream(session, after=ids[-1]) as stream:
        guest.send(session, say({"text": "more"}))
        stream.idle()
        same([event.type for event in stream.seen], PLAIN, "after the last")


@scenario
def a_stream_resumes_from_any_event(guest: Guest) -> None:
    """Last-Event-ID and after_id give exactly what follows, from every event of the list."""
    session = guest.session().id
    seen = guest.turn(
        session, say(calls("a", "b"), {"thinking": "hm", "text": "done"}), stop="requires_action"
    )
    guest.turn(session, result(seen[4].id, "A"), stop="requires_action")
    guest.turn(session, result(seen[5].id, "B"))
    resumes_everywhere(guest, session)


@scenario
def a_cursor_may_be_still_queued_but_never_foreign(guest: Guest) -> None:
    """The id that a POST has just returned is a cursor at once; an unknown or foreign id is 400."""
    session, other = guest.session().id, guest.session().id
    gate = "cursor"
    guest.send(session, say({"text": "first one", "chunks": 2, "wait": gate}))
    guest.house.waiting(gate)
    queued = guest.send(session, say({"text": "second"}))[0]
    with guest.stream(session, after=queued.id) as stream:
        guest.house.release(gate)
        stream.idle()
        wanted = ["agent.message", END, "user.message", START, "agent.message", END, *PLAIN[6:]]
        same([event.type for event in stream.processed()], wanted, "after the queued one")
    for bad in ("sevt_1111111111111111111112", "nonsense", session):
        refuses(BadRequestError, lambda bad=bad: guest.stream(session, after=bad))
    refuses(BadRequestError, lambda: guest.stream(other, after=queued.id))
    thread = guest.beta.sessions.threads.list(session).data[0].id
    headers = {"Last-Event-ID": "nonsense"}
    threads = guest.beta.sessions.threads
    refuses(
        BadRequestError,
        lambda: threads.events.stream(thread, session_id=session, extra_headers=headers),
    )
