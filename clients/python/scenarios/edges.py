"""Turns at their edges: several events at once, strange texts, images, failed tools, slow readers."""

from __future__ import annotations

from anthropic import BadRequestError

from guest import (
    END,
    IDLE,
    PICTURE,
    PLAIN,
    RUNNING,
    START,
    Guest,
    calls,
    name,
    refuses,
    result,
    same,
    say,
    texts,
)
from scenarios import scenario

INTERRUPT = {"type": "user.interrupt"}
CUT = [*RUNNING, "user.message", START, END, "user.interrupt", *IDLE]


@scenario
def an_interrupt_and_a_message_in_one_request(guest: Guest) -> None:
    """[interrupt, message] ends the turn and begins the next, in one request and one commit."""
    session = guest.session().id
    gate = name("both")
    with guest.stream(session) as stream:
        guest.send(session, say({"text": "never heard", "chunks": 2, "wait": gate}))
        guest.house.waiting(gate)
        guest.send(session, INTERRUPT, say({"text": "instead"}))
        stream.idle()
        stream.idle()
    events = guest.shows(session, [*CUT, *PLAIN])
    same(texts(events[-5]), "instead", "the answer")
    guest.house.release(gate)


@scenario
def a_queued_message_starts_a_turn_after_an_interrupt(guest: Guest) -> None:
    """What was queued when the interrupt came is taken in a new turn at once."""
    session = guest.session().id
    gate = name("queued")
    with guest.stream(session) as stream:
        guest.send(session, say({"text": "never heard", "chunks": 2, "wait": gate}))
        guest.house.waiting(gate)
        queued = guest.send(session, say({"text": "taken"}))[0]
        guest.send(session, INTERRUPT)
        stream.idle()
        stream.idle()
    events = guest.shows(session, [*CUT, *PLAIN])
    same((events[11].id, texts(events[-5])), (queued.id, "taken"), "the queued message")
    guest.house.release(gate)


@scenario
def several_messages_are_one_turn(guest: Guest) -> None:
    """Two messages in one request are asked together; an interrupt of an idle session changes nothing."""
    session = guest.session().id
    guest.turn(session, say({"text": "unused"}), say({"text": "both"}))
    answer = [START, "agent.message", END, *IDLE]
    events = guest.list(session)
    order = [event.type for event in events]
    together = [*RUNNING, "user.message", "user.message", *answer]
    apart = [*RUNNING, "user.message", START, "agent.message", END, "user.message", *answer]
    same(order in (together, apart), True, f"one running and one idle: {order}")
    guest.send(session, INTERRUPT)
    same(guest.list(session)[-1].type, "user.interrupt", "a lone interrupt")
    many = [say({"text": "x"})] * 101
    refuses(BadRequestError, lambda: guest.send(session, *many), "events")
    refuses(BadRequestError, lambda: guest.send(session), "events")


@scenario
def strange_texts_come_through_unchanged(guest: Guest) -> None:
    """Line ends of every kind, quotes, emoji and long texts are the same in stream, previews and list."""
    session = guest.session().id
    strange = 'a\nb\r\nc\rd \u2028 \u0085 \U0001f9f5 "quoted" \\ é data: x\n\nid: y\n\nend'
    for text in (strange, "long " * 40_000):
        with guest.stream(session, event_deltas=["agent.message"]) as stream:
            guest.send(session, say({"text": text, "chunks": 7}))
            stream.idle()
        heard = "".join(event.delta.content.text for event in stream.seen if event.type == "event_delta")
        spoken = [texts(event) for event in stream.seen if event.type == "agent.message"]
        listed = [texts(event) for event in guest.list(session, types=["agent.message"])]
        same(spoken == [text], True, "the streamed text is the model's")
        same(listed[-1] == text, True, "the listed text is the model's")
        # Of a long text the stream may leave out previews, from one on, rather than keep them for its reader.
        whole = text == strange
        same(heard == text if whole else text.startswith(heard), True, "the previewed text is the model's")


@scenario
def images_and_documents_are_shown_and_asked(guest: Guest) -> None:
    """A message with an image and a document is kept word for word."""
    session = guest.session().id
    document = {"type": "text", "media_type": "text/plain", "data": "plain words"}
    content = [{"type": "image", "source": PICTURE}, {"type": "document", "source": document}]
    seen = guest.turn(
        session, {"type": "user.message", "content": content + say({"text": "seen"})["content"]}
    )
    same([block.type for block in seen[2].content], ["image", "document", "text"], "the blocks")
    same(seen[2].content[0].source.to_dict(), PICTURE, "the image")
    same(seen[2].content[1].source.to_dict(), document, "the document")
    bad = {"type": "image", "source": PICTURE | {"media_type": "image/tiff"}}
    refuses(
        BadRequestError, lambda: guest.send(session, {"type": "user.message", "content": [bad]}), "media_type"
    )


@scenario
def a_failed_tool_and_one_without_words(guest: Guest) -> None:
    """A result may say that the tool failed, hold an image, or nothing at all."""
    session = guest.session().id
    for given in (
        {"is_error": True},
        {"content": [{"type": "image", "source": PICTURE}]},
        {"content": []},
        {},
    ):
        seen = guest.turn(session, say(calls("a"), {"text": "done"}), stop="requires_action")
        call = next(event.id for event in seen if event.type == "agent.custom_tool_use")
        bare = {"type": "user.custom_tool_result", "custom_tool_use_id": call}
        after = guest.turn(session, bare | given)
        same(after[0].is_error, given.get("is_error"), "is_error")
    guest.turn(session, say({"text": "on"}))


@scenario
def archive_and_delete_while_a_call_is_open(guest: Guest) -> None:
    """A session that waits for its client may be archived or deleted."""
    sessions = guest.beta.sessions
    waits = guest.session().id
    seen = guest.turn(waits, say(calls("a")), stop="requires_action")
    same(sessions.archive(waits).status, "terminated", "the status")
    refuses(BadRequestError, lambda: guest.send(waits, result(seen[4].id, "late")))
    same([event.type for event in guest.list(waits)][-1], "session.status_terminated", "its last event")
    other = guest.session().id
    guest.turn(other, say(calls("a")), stop="requires_action")
    same(sessions.delete(other).type, "session_deleted", "the deletion")


@scenario
def a_slow_reader_misses_nothing(guest: Guest) -> None:
    """A reader that does not read for many turns gets every event in order, once."""
    session = guest.session(agent=guest.agent(model="endless").id).id
    with guest.stream(session) as slow:
        for _ in range(30):
            guest.turn(session, say({"text": "word " * 12_000}))
        ids = [event.id for event in guest.list(session)]
        same([event.id for event in slow.take(len(ids))], ids, "the slow stream")
    guest.shows(session, PLAIN * 30)


@scenario
def a_silent_stream_has_a_heartbeat(guest: Guest) -> None:
    """A stream without events carries a comment within eleven seconds."""
    session = guest.session().id
    response = guest.beta.sessions.events.with_streaming_response.stream(session, timeout=11.0)
    with response as opened:
        first = next(line for line in opened.iter_lines() if line)
    same(first.startswith(":"), True, f"a comment: {first!r}")
