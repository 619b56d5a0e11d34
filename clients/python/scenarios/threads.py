"""The primary thread on the thread routes."""

from __future__ import annotations

from anthropic import BadRequestError, NotFoundError

from guest import Guest, Stream, refuses, same, say
from scenarios import scenario


@scenario
def the_primary_thread_is_listed_read_and_followed(guest: Guest) -> None:
    """The primary thread shows the session's status, agent and events, under the same ids."""
    session = guest.session()
    threads = guest.beta.sessions.threads
    listed = threads.list(session.id).data
    same(len(listed), 1, "threads")
    thread = listed[0]
    same(
        (thread.type, thread.session_id, thread.parent_thread_id), ("session_thread", session.id, None), "it"
    )
    same((thread.status, thread.agent.id), ("idle", session.agent.id), "status and agent")
    same((thread.stats, thread.usage), (None, None), "before the first turn")
    same(threads.retrieve(thread.id, session_id=session.id), thread, "read back")
    with Stream(threads.events.stream(thread.id, session_id=session.id)) as stream:
        seen = guest.turn(session.id, say({"text": "x"}))
        got = [event.id for event in threads.events.list(thread.id, session_id=session.id, limit=3)]
        same(got, [event.id for event in seen], "the thread's events are the session's")
        same([event.id for event in stream.take(len(got))], got, "the thread's stream")
        headers = {"Last-Event-ID": got[1]}
        with Stream(threads.events.stream(thread.id, session_id=session.id, extra_headers=headers)) as again:
            same([event.id for event in again.take(len(got) - 2)], got[2:], "the thread's stream, resumed")
    running = [event for event in seen if event.type == "session.thread_status_running"]
    same(
        (running[0].session_thread_id, running[0].agent_name),
        (thread.id, session.agent.name),
        "its status event",
    )
    after = threads.retrieve(thread.id, session_id=session.id)
    same(after.usage is not None and after.stats is not None, True, "after the first turn")
    same([one.id for one in threads.list(session.id, statuses=["idle"])], [thread.id], "the idle ones")
    same(threads.list(session.id, statuses=["running"]).data, [], "the running ones")


@scenario
def the_primary_thread_cannot_be_archived(guest: Guest) -> None:
    """The primary thread ends with its session only; a thread of another session is not there."""
    session, other = guest.session().id, guest.session().id
    threads = guest.beta.sessions.threads
    thread = threads.list(session).data[0].id
    refuses(BadRequestError, lambda: threads.archive(thread, session_id=session), "primary")
    refuses(NotFoundError, lambda: threads.retrieve(thread, session_id=other))
    refuses(NotFoundError, lambda: list(threads.events.list(thread, session_id=other)))
