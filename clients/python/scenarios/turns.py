"""Turns, event by event: plain, with custom tools, refused, interrupted, with messages in between."""

from __future__ import annotations


from anthropic import BadRequestError

from guest import (
    END,
    IDLE,
    PLAIN,
    RUNNING,
    START,
    THOUGHT,
    TOLD,
    Guest,
    calls,
    refuses,
    result,
    same,
    say,
    texts,
)
from scenarios import scenario

CALLED = [*RUNNING, "user.message", START, "agent.custom_tool_use", END, *IDLE]
ANSWERED = ["user.custom_tool_result", *RUNNING, START, "agent.message", END, *IDLE]


@scenario
def a_plain_turn_has_the_recorded_order_and_costs_two_commits(guest: Guest) -> None:
    """A plain turn shows the recorded events in order and costs two durable commits."""
    session = guest.session().id
    before = guest.house.counter("heddle_commits_total")
    seen = guest.turn(session, say({"text": "hello"}))
    same(guest.house.counter("heddle_commits_total") - before, 2, "commits")
    same([event.type for event in seen], PLAIN, "the stream")
    events = guest.shows(session, PLAIN)
    same(events, seen, "list and stream")
    same((texts(events[4]), events[5].is_error), ("hello", False), "the answer")
    same(events[5].model_request_start_id, events[3].id, "the span")
    same(events[8].stop_reason.type, "end_turn", "the stop")
    first = guest.turn(session, say({"thinking": "hm", "text": "again"}))
    same([event.type for event in first], THOUGHT, "with thinking")


@scenario
def the_echo_of_a_send_is_what_the_list_holds(guest: Guest) -> None:
    """A send echoes its events with the ids that the list has; a message's processed_at is null there."""
    session = guest.session().id
    with guest.stream(session) as stream:
        echo = guest.send(session, say({"text": "a"}))
        stream.idle()
    same([(event.type, event.processed_at) for event in echo], [("user.message", None)], "the echo")
    same([event.id for event in guest.list(session, types=["user.message"])], [echo[0].id], "the id")
    refuses(BadRequestError, lambda: guest.send(session, {"type": "user.message", "content": []}), "content")
    refuses(BadRequestError, lambda: guest.send(session, {"type": "agent.message", "content": []}), "type")
    bad = {"type": "user.message", "content": [{"type": "text", "text": 3}]}
    refuses(BadRequestError, lambda: guest.send(session, say({"text": "x"}), bad), "events", "text")
    guest.shows(session, PLAIN)


@scenario
def a_custom_tool_is_called_and_answered(guest: Guest) -> None:
    """A call ends the turn in requires_action; its result starts the next request."""
    session = guest.session().id
    seen = guest.turn(session, say(calls("a"), {"text": "done"}), stop="requires_action")
    call = seen[4]
    same((call.name, call.input), ("look_up", {"word": "a"}), "the call")
    same(seen[-1].stop_reason.event_ids, [call.id], "what it waits for")
    parked = f"waiting on responses to events [{call.id}]"
    refuses(BadRequestError, lambda: guest.send(session, say({"text": "no"})), parked)
    unknown = result("sevt_1111111111111111111112", "x")
    nothing = "does not match any custom_tool_use event in this session"
    refuses(BadRequestError, lambda: guest.send(session, unknown), "events.0.custom_tool_use_id", nothing)
    with guest.stream(session) as stream:
        echo = guest.send(session, result(call.id, "found"))
        stream.idle()
    same(echo[0].processed_at is not None, True, "a result is processed at once")
    events = guest.shows(session, [*CALLED, *ANSWERED])
    same(events[9].id, echo[0].id, "the result's id")
    same(texts(events[13]), "done", "the answer")


@scenario
def a_second_result_changes_nothing(guest: Guest) -> None:
    """The same result again gives the empty pair of running and idle, without a model request; another is 400."""
    session = guest.session().id
    seen = guest.turn(session, say(calls("a"), {"text": "done"}), stop="requires_action")
    guest.turn(session, result(seen[4].id, "found"))
    asked = guest.house.referee()["requests"]
    other = "answered with another result"
    refuses(BadRequestError, lambda: guest.send(session, result(seen[4].id, "other")), "custom_tool_use_id", other)
    failed = result(seen[4].id, "found", is_error=True)
    refuses(BadRequestError, lambda: guest.send(session, failed), "custom_tool_use_id", other)
    again = guest.turn(session, result(seen[4].id, "found"))
    pair = [*RUNNING, "user.custom_tool_result", *IDLE]
    same([event.type for event in again], pair, "the pair")
    same(guest.house.referee()["requests"], asked, "model requests")
    guest.shows(session, [*CALLED, *ANSWERED, *pair])
    guest.turn(session, say({"text": "still well"}))


@scenario
def two_parallel_calls_are_answered_one_by_one(guest: Guest) -> None:
    """Answering one of two calls re-emits idle with the other; the model goes on after the last."""
    session = guest.session().id
    seen = guest.turn(session, say(calls("a", "b"), {"text": "done"}), stop="requires_action")
    one, two = seen[4].id, seen[5].id
    same(seen[-1].stop_reason.event_ids, [one, two], "both wait")
    part = guest.turn(session, result(two, "B"), stop="requires_action")
    same(part[-1].stop_reason.event_ids, [one], "one waits")
    guest.turn(session, result(one, "A"))
    called = [*CALLED[:5], "agent.custom_tool_use", *CALLED[5:]]
    guest.shows(session, [*called, "user.custom_tool_result", *IDLE, *ANSWERED])


@scenario
def two_parallel_calls_are_answered_at_once(guest: Guest) -> None:
    """Both results in one request make one turn."""
    session = guest.session().id
    seen = guest.turn(session, say(calls("a", "b"), {"text": "done"}), stop="requires_action")
    guest.turn(session, result(seen[4].id, "A"), result(seen[5].id, "B"))
    called = [*CALLED[:5], "agent.custom_tool_use", *CALLED[5:]]
    answered = ["user.custom_tool_result", *ANSWERED]
    guest.shows(session, [*called, *answered])


@scenario
def a_refused_turn_ends_idle_with_refusal(guest: Guest) -> None:
    """A refusal ends the turn with its reason, and the session can go on."""
    session = guest.session().id
    seen = guest.turn(session, say({"text": "", "stop": "refusal", "category": "bio"}), stop="refusal")
    wanted = [event for event in PLAIN if event != "agent.message"]
    same([event.type for event in seen], wanted, "the stream")
    # Chat completions have no word for what is refused.
    category = "bio" if guest.house.wire == "messages" else None
    same((seen[-1].stop_details.type, seen[-1].stop_details.category), ("refusal", category), "the details")
    guest.turn(session, say({"text": "better"}))
    guest.shows(session, [*wanted, *PLAIN])


@scenario
def an_interrupt_cuts_the_request(guest: Guest) -> None:
    """An interrupt closes the span, shows itself and leaves the session idle at end_turn; it can go on."""
    session = guest.session().id
    gate = "interrupt"
    with guest.stream(session) as stream:
        guest.send(session, say({"text": "never to be heard", "chunks": 3, "wait": gate}))
        guest.house.waiting(gate)
        echo = guest.send(session, {"type": "user.interrupt"})
        same(echo[0].processed_at, None, "the echo")
        stream.idle()
    wanted = [*RUNNING, "user.message", START, END, "user.interrupt", *IDLE]
    events = guest.shows(session, wanted)
    same(events[4].is_error, True, "the span's end")
    guest.house.release(gate)
    guest.turn(session, say({"text": "on"}))
    guest.shows(session, [*wanted, *PLAIN])


@scenario
def an_interrupt_answers_open_calls(guest: Guest) -> None:
    """An interrupt while a custom call is open answers it as an error; a following message starts anew."""
    session = guest.session().id
    seen = guest.turn(session, say(calls("a"), {"text": "done"}), stop="requires_action")
    with guest.stream(session) as stream:
        guest.send(session, {"type": "user.interrupt"})
        stream.idle()
    closing = ["user.custom_tool_result", "user.interrupt", *IDLE]
    events = guest.shows(session, [*CALLED, *closing])
    same((events[9].custom_tool_use_id, events[9].is_error), (seen[4].id, True), "the closing result")
    guest.turn(session, say({"text": "anew"}))
    guest.shows(session, [*CALLED, *closing, *PLAIN])
    idle = guest.send(session, {"type": "user.interrupt"})
    same(guest.list(session)[-1].id, idle[0].id, "an interrupt of an idle session is recorded, no more")


@scenario
def a_message_during_a_turn_waits_for_its_end(guest: Guest) -> None:
    """A message during a turn shows queued at once, is taken before the turn ends: one running, one idle."""
    session = guest.session().id
    gate = "queue"
    with guest.stream(session) as stream:
        guest.send(session, say({"text": "first answer", "chunks": 2, "wait": gate}))
        guest.house.waiting(gate)
        second = guest.send(session, say({"text": "second answer"}))[0]
        same(guest.beta.sessions.retrieve(session).status, "running", "the status after the send")
        listed = guest.list(session)
        same((listed[-1].id, listed[-1].processed_at), (second.id, None), "queued ones come last")
        down = guest.list(session, order="desc")
        same((down[0].id, down[0].processed_at), (second.id, None), "or first")
        queued = stream.until("user.message")
        queued = queued if queued.processed_at is None else stream.until("user.message")
        same((queued.id, queued.processed_at), (second.id, None), "the queued copy")
        guest.house.release(gate)
        stream.idle()
        answer = ["agent.message", END]
        wanted = [*RUNNING, "user.message", START, *answer, "user.message", START, *answer, *IDLE]
        events = guest.shows(session, wanted)
        same([event.id for event in stream.processed()], [event.id for event in events], "the stream")
    same(events[6].id, second.id, "the second message")
    same([texts(events[4]), texts(events[8])], ["first answer", "second answer"], "the answers")


@scenario
def a_message_during_a_tool_turn_comes_after_the_result(guest: Guest) -> None:
    """A message sent during the request that calls a tool is taken with the tool's result."""
    session = guest.session().id
    gate = "boundary"
    with guest.stream(session) as stream:
        first = {"text": "one two", "chunks": 2, "wait": gate} | {"tools": calls("a")["tools"]}
        guest.send(session, say(first, {"text": "unused"}))
        guest.house.waiting(gate)
        second = guest.send(session, say({"text": "taken"}))[0]
        guest.house.release(gate)
        stream.idle("requires_action")
        call = next(event for event in stream.seen if event.type == "agent.custom_tool_use")
        guest.send(session, result(call.id, "found"))
        stream.idle()
    called = [*RUNNING, "user.message", START, "agent.message", "agent.custom_tool_use", END, *IDLE]
    wanted = [
        *called,
        "user.custom_tool_result",
        *RUNNING,
        "user.message",
        START,
        "agent.message",
        END,
        *IDLE,
    ]
    events = guest.shows(session, wanted)
    same((events[13].id, texts(events[15])), (second.id, "taken"), "the message and its answer")


@scenario
def an_answer_cut_at_the_output_limit_goes_on(guest: Guest) -> None:
    """max_tokens with text ends the turn; inside a call the call is answered and the turn goes on."""
    session = guest.session().id
    guest.turn(session, say({"text": "cut of", "stop": "max_tokens"}))
    guest.shows(session, PLAIN)
    guest.turn(session, say({"text": "", "bad_json_tool": "look_up"}, {"text": "sorry"}))
    cut = [*RUNNING, "user.message", START, "agent.custom_tool_use", END, "user.custom_tool_result"]
    guest.shows(session, [*PLAIN, *cut, START, "agent.message", END, *IDLE])


@scenario
def usage_adds_up(guest: Guest) -> None:
    """The session's usage is the sum of its requests, in the usage event and in the session."""
    session = guest.session().id
    for _ in range(2):
        seen = guest.turn(session, say({"text": "x", "usage": TOLD}))
        same(seen[5].model_usage.input_tokens, 7, "a span's tokens")
    usage = guest.beta.sessions.retrieve(session).usage
    same((usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens), (14, 10, 6), "the sums")
    same(seen[7].usage.to_dict(), usage.to_dict(), "the usage event")


@scenario
def a_get_right_after_the_idle_event_is_idle(guest: Guest) -> None:
    """Fifty times: the session and its thread read idle as soon as the idle event was seen."""
    session = guest.session().id
    for _ in range(50):
        seen = guest.turn(session, say({"text": "tick"}))
        read = guest.beta.sessions.retrieve(session)
        same((read.status, read.usage.to_dict()), ("idle", seen[-2].usage.to_dict()), "the session")
        thread = guest.beta.sessions.threads.list(session).data[0]
        same(thread.status, "idle", "the thread")
    guest.shows(session, PLAIN * 50)
