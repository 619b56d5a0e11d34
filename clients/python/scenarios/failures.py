"""Failing models: overloaded, cut, refused for ever; the session survives all of them."""

from __future__ import annotations

from guest import END, IDLE, PLAIN, RESCHEDULED, RUNNING, START, Guest, name, same, say, texts
from scenarios import scenario

FAILED = [START, END, "session.error"]


@scenario
def an_overloaded_model_is_asked_again(guest: Guest) -> None:
    """529 twice, then fine: two errors that say retrying, rescheduled and running each time, one answer."""
    session = guest.session().id
    step = {"fail": 529, "times": 2, "key": name("busy"), "retry_after": 0, "then": {"text": "at last"}}
    guest.turn(session, say(step))
    wanted = [*RUNNING, "user.message", *FAILED, *RESCHEDULED]
    wanted += [*RUNNING, *FAILED, *RESCHEDULED, *RUNNING, START, "agent.message", END, *IDLE]
    events = guest.shows(session, wanted)
    for place in (5, 12):
        error = events[place].error
        same((error.type, error.retry_status.type), ("model_overloaded_error", "retrying"), "the error")
        same(events[place - 1].is_error, True, "the span's end")
    same(texts(events[18]), "at last", "the answer")


@scenario
def a_cut_stream_is_asked_again(guest: Guest) -> None:
    """A connection cut in the middle of an answer is one failed request; its half answer is in no event."""
    session = guest.session().id
    step = {"text": "half of it", "chunks": 4, "cut_after": 4, "times": 1, "key": name("cut")}
    guest.turn(session, say(step | {"then": {"text": "whole"}}))
    wanted = [*RUNNING, "user.message", *FAILED, *RESCHEDULED, *RUNNING, START, "agent.message", END, *IDLE]
    events = guest.shows(session, wanted)
    same(events[5].error.retry_status.type, "retrying", "the error")
    same(texts(events[11]), "whole", "the answer")


@scenario
def a_model_that_says_no_for_ever_leaves_a_usable_session(guest: Guest) -> None:
    """A 400 is not retried: idle retries_exhausted with the model's words; the next message works."""
    session = guest.session().id
    asked = guest.house.referee()["requests"]
    seen = guest.turn(session, say({"fail": 400, "message": "you cannot say this"}), stop="retries_exhausted")
    wanted = [*RUNNING, "user.message", *FAILED, *IDLE]
    same([event.type for event in seen], wanted, "the stream")
    same(guest.house.referee()["requests"], asked + 1, "model requests")
    error = seen[5].error
    same((error.type, error.retry_status.type), ("model_request_failed_error", "exhausted"), "the error")
    same("you cannot say this" in error.message, True, "the model's words")
    same(guest.beta.sessions.retrieve(session).status, "idle", "the status")
    guest.turn(session, say({"text": "fine"}))
    guest.shows(session, [*wanted, *PLAIN])


@scenario
def each_failure_has_its_class(guest: Guest) -> None:
    """429 and 500 are asked again; 401 and 402 are not, and say what to do."""
    for status, kind in ((429, "model_rate_limited_error"), (500, "model_request_failed_error")):
        session = guest.session().id
        step = {"fail": status, "times": 1, "key": name("class"), "retry_after": 0, "then": {"text": "fine"}}
        seen = guest.turn(session, say(step))
        errors = [event.error for event in seen if event.type == "session.error"]
        same([(error.type, error.retry_status.type) for error in errors], [(kind, "retrying")], "the errors")
    for status, kind in ((401, "model_request_failed_error"), (402, "billing_error")):
        session = guest.session().id
        seen = guest.turn(session, say({"fail": status}), stop="retries_exhausted")
        error = seen[5].error
        same((error.type, error.retry_status.type), (kind, "exhausted"), "the error")
        same("key-of-the-scripted-model" in error.message, False, "the key is not told")
    same(
        "ANTHROPIC_API_KEY" in seen[5].error.message or "ANTHROPIC_API_KEY" in denied(guest),
        True,
        "the variable",
    )


def denied(guest: Guest) -> str:
    """What the session says of a key that the model refuses."""
    seen = guest.turn(guest.session().id, say({"fail": 401}), stop="retries_exhausted")
    return str(seen[5].error.message)


@scenario
def an_interrupt_ends_a_retry(guest: Guest) -> None:
    """A session that waits to try again reads rescheduling, and an interrupt ends the waiting."""
    session = guest.session().id
    step = {"fail": 529, "times": 1, "key": name("wait"), "retry_after": 60, "then": {"text": "never"}}
    with guest.stream(session) as stream:
        guest.send(session, say(step))
        stream.until("session.status_rescheduled")
        same(guest.beta.sessions.retrieve(session).status, "rescheduling", "the status")
        guest.send(session, {"type": "user.interrupt"})
        stream.idle()
    guest.shows(session, [*RUNNING, "user.message", *FAILED, *RESCHEDULED, "user.interrupt", *IDLE])
    guest.turn(session, say({"text": "fine"}))
