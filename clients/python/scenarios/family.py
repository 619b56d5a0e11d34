"""Children: made in parallel, blocked and answered from the session, listed, read, followed, archived."""

from __future__ import annotations

from typing import Any

from anthropic import BadRequestError, NotFoundError

from guest import (
    DELTAS,
    END,
    START,
    TOOL,
    TOOLSET,
    Guest,
    asks,
    bash,
    confirm,
    name,
    refuses,
    result,
    same,
    say,
    uses,
)
from scenarios import scenario
from scenarios.streams import resumes_everywhere
from team import (
    GO,
    NEEDS,
    REST,
    SETTLED,
    WEAVER,
    Team,
    born,
    create,
    ends,
    hears,
    line,
    look,
    reported,
    rests,
    spawned,
    spoke,
    till,
    wait,
    woken,
    works,
)


def asked(agent: str, call: str) -> list[str]:
    """What the session shows when a child rests on a call that the client answers."""
    return [f"{call} @{agent}", rests(agent, NEEDS)]


def steady(threads: list[Any]) -> list[dict[str, Any]]:
    """Threads without what grows with time."""
    return [thread.to_dict() | {"stats": None, "usage": None} for thread in threads]


def lines(events: list[object]) -> list[str]:
    """The lines of a stream."""
    return [line(event) for event in events]


@scenario
def two_children_work_in_parallel_and_are_answered_from_the_session(guest: Guest) -> None:
    """One is asked for bash and then calls a custom tool; both are answered where the session shows them."""
    team = Team(guest, spinner=[asks("bash"), TOOL], dyer=[TOOLSET])
    begin, dye = name("begin"), name("dye")
    spin = (
        uses(bash("echo wool > yarn; cat yarn"), wait=begin),
        uses(*look("wool")),
        {"text": "spun"},
    )
    steps = uses(create("spinner", *spin), create("dyer", {"text": "dyed", "wait": dye}))
    with team.stream() as stream:
        team.send(say(steps, {"text": "started"}, {"text": "one is done"}, {"text": "both are"}))
        till(stream, REST)
        guest.house.waiting(begin)
        guest.house.waiting(dye)
        spinner, dyer, primary = (team.thread(agent) for agent in ("spinner", "dyer", WEAVER))
        same((spinner.parent_thread_id, spinner.agent.id), (primary.id, team.agents["spinner"].id), "a child")
        same([spinner.status, dyer.status, primary.status], ["running", "running", "idle"], "who works")
        same((spinner.usage.output_tokens, spinner.archived_at), (0, None), "before it rests for the first time")
        guest.house.release(begin)
        call = till(stream, "agent.tool_use bash")
        same(call.session_thread_id, spinner.id, "whose call it is")
        stop = till(stream, rests("spinner", NEEDS)).stop_reason
        same(stop.event_ids, [call.id], "what it waits for")
        same(guest.beta.sessions.retrieve(team.session).status, "running", "the session")
        echo = team.send(confirm(call.id))
        same(echo[0].processed_at, None, "the echo")
        call = till(stream, "agent.custom_tool_use look_up")
        till(stream, rests("spinner", NEEDS))
        guest.house.release(dye)
        rest = stream.idle("requires_action")
        same(rest.stop_reason.event_ids, [call.id], "what the session waits for")
        team.send(result(call.id, "found"))
        stream.idle()
    waits = [*asked("spinner", "agent.tool_use bash")]
    wanted = [
        *[*GO, END, *spawned("spinner"), *spawned("dyer"), START, *spoke("started"), REST],
        *waits,
        *["user.tool_confirmation @spinner", works("spinner")],
        *asked("spinner", "agent.custom_tool_use look_up"),
        *[*woken("dyer", "dyed"), *spoke("one is done"), *SETTLED[:2]],
        "session.status_idle requires_action",
        "user.custom_tool_result @spinner: found",
        *["session.status_running", works("spinner")],
        *[*woken("spinner", "spun"), *spoke("both are"), *SETTLED],
    ]
    inside = [
        *[*born("spinner"), "agent.tool_use bash", END, rests("spinner", NEEDS)],
        *["user.tool_confirmation", works("spinner"), "agent.tool_result: wool", START],
        *["agent.custom_tool_use look_up", END, rests("spinner", NEEDS)],
        *["user.custom_tool_result: found", works("spinner"), START],
        *reported("spinner", "spun"),
    ]
    events = team.shows(wanted, spinner=inside, dyer=[*born("dyer"), *reported("dyer", "dyed")])
    same([event.id for event in stream.processed()], [event.id for event in events], "the stream")
    born_at = next(event for event in events if event.type == "session.thread_created")
    same((born_at.session_thread_id, born_at.workflow_run_id), (spinner.id, None), "who was made")


@scenario
def two_children_are_asked_and_answered_one_by_one(guest: Guest) -> None:
    """The session names both calls; one word leaves the other's, a denial reaches its own child's model."""
    team = Team(guest, spinner=[asks("bash")], dyer=[asks("bash")])
    kept, count = name("kept"), bash("echo ran >> count; cat count")
    steps = uses(
        wait("spinner", uses(count), {"text": "spun"}),
        wait("dyer", uses(count), {"text": "not dyed", "keep": kept}),
    )
    seen = guest.turn(team.session, say(steps, {"text": "done"}), stop=NEEDS)
    threads = {team.thread(agent).id: agent for agent in ("spinner", "dyer")}
    calls = {threads[event.session_thread_id]: event.id for event in seen if event.type == "agent.tool_use"}
    same(sorted(seen[-1].stop_reason.event_ids), sorted(calls.values()), "both wait")
    part = guest.turn(team.session, confirm(calls["dyer"], "deny", deny_message="No blue."), stop=NEEDS)
    same(part[-1].stop_reason.event_ids, [calls["spinner"]], "one waits")
    (heard,) = team.heard(kept)
    same(heard.startswith("error: ") and heard.endswith(" Rejection message: No blue."), True, f"what it is told: {heard!r}")
    refuses(BadRequestError, lambda: team.send(say({"text": "no"})), "waiting on responses to events [")
    rest = guest.turn(team.session, confirm(calls["spinner"]))
    runs = [GO[0], works(WEAVER)]
    word = "user.tool_confirmation"
    wanted = [word, *runs, works("dyer"), rests("dyer"), hears("dyer", "not dyed")]
    blocked = [rests(WEAVER, NEEDS), "session.usage", f"session.status_idle {NEEDS}"]
    same([line(event) for event in part], [*wanted, *blocked], "the first word")
    wanted = [word, *runs, works("spinner"), rests("spinner"), hears("spinner", "spun"), START]
    same([line(event) for event in rest], [*wanted, *spoke("done"), *SETTLED], "the second word")
    inside = [*born("spinner"), "agent.tool_use bash", END, rests("spinner", NEEDS), word, works("spinner")]
    inside += ["agent.tool_result: ran", START, *reported("spinner", "spun")]
    same([line(event) for event in team.events(team.thread("spinner").id)], inside, "the spinner's list")


@scenario
def the_sessions_list_and_stream_hold_what_the_children_show(guest: Guest) -> None:
    """Pages, orders, kinds and cursors of the session go over its children's events as over its own."""
    team = Team(guest, spinner=[TOOL], dyer=[])
    steps = uses(wait("spinner", uses(*look("wool")), {"text": "spun"}), wait("dyer", {"text": "dyed"}))
    seen = guest.turn(team.session, say(steps, {"text": "done"}), stop=NEEDS)
    guest.turn(team.session, result(seen[-1].stop_reason.event_ids[0], "found"))
    events = guest.list(team.session)
    for limit in (1, 4):
        same(guest.list(team.session, limit=limit), events, f"pages of {limit}")
    same(guest.list(team.session, limit=5, order="desc"), events[::-1], "newest first")
    kinds = ["session.thread_status_idle", "agent.custom_tool_use"]
    found = [event for event in events if event.type in kinds]
    same(guest.list(team.session, types=kinds, limit=2), found, "some kinds")
    for place in range(0, len(events), 3):
        later = guest.list(team.session, created_at_gt=events[place].processed_at)
        same(later, events[place + 1 :], f"later than event {place}")
    primary = team.thread(WEAVER).id
    own = team.events(primary)
    with team.follow(primary, after=own[0].id) as stream:
        same(stream.take(len(own) - 1), own[1:], "the primary's own stream")
    refuses(BadRequestError, lambda: team.follow(primary, after=found[0].id))
    resumes_everywhere(guest, team.session)


@scenario
def threads_are_listed_by_status_in_pages_and_read_one_by_one(guest: Guest) -> None:
    """The primary comes first, then the children as they were made; a page's cursor is this list's own."""
    team = Team(guest, spinner=[TOOL], dyer=[])
    gate = name("held")
    steps = uses(create("spinner", uses(*look("wool"))), create("dyer", {"text": "dyed", "wait": gate}))
    with team.stream() as stream:
        team.send(say(steps, {"text": "started"}))
        guest.house.waiting(gate)
        left = {REST, rests("spinner", NEEDS)}
        while left:
            left.discard(line(till(stream, "session.thread_status_idle")))
        threads = team.threads()
        named = [thread.agent.name for thread in threads]
        same(named, [WEAVER, "spinner", "dyer"], "the threads")
        same([thread.status for thread in threads], ["idle", "idle", "running"], "what they do")
        for limit in (1, 2):
            same(steady(team.threads(limit=limit)), steady(threads), f"pages of {limit}")
        for statuses, found in (
            (["running"], threads[2:]),
            (["idle"], threads[:2]),
            (["idle", "running"], threads),
        ):
            listed = team.threads(statuses=statuses, limit=1)
            same(steady(listed), steady(found), f"those that are {statuses}, in pages")
        same(team.threads(statuses=["terminated", "rescheduling"]), [], "none")
        for thread in threads:
            one = team.doors.retrieve(thread.id, session_id=team.session)
            same(steady([one]), steady([thread]), "read back")
        page = team.doors.list(team.session, limit=1).next_page
        other = Team(guest, spinner=[])
        refuses(BadRequestError, lambda: other.threads(page=page), "page")
        refuses(BadRequestError, lambda: team.threads(limit=1001), "limit")
        refuses(NotFoundError, lambda: other.events(threads[1].id))
        refuses(NotFoundError, lambda: other.archive(threads[1].id))
        guest.house.release(gate)
        stream.idle("requires_action")


@scenario
def a_child_is_followed_with_previews_and_from_every_event(guest: Guest) -> None:
    """A child's stream shows its own events and previews alone, and goes on from any of them."""
    team = Team(guest, spinner=[TOOL])
    gate, text = name("words"), "a few words that come one by one"
    spin = (uses(*look("wool")), {"thinking": "hm", "text": text, "chunks": 8, "wait": gate})
    steps = uses(wait("spinner", *spin)), {"text": "so it is"}
    seen = guest.turn(team.session, say(*steps), stop="requires_action")
    thread = team.thread("spinner").id
    with team.follow(thread, event_deltas=DELTAS) as inside, team.stream(event_deltas=DELTAS) as outside:
        team.send(result(seen[-1].stop_reason.event_ids[0], "found"))
        till(inside, "event_delta")
        guest.house.release(gate)
        till(inside, rests("spinner"))
        outside.idle()
    events = team.events(thread)
    said = [event for event in events if event.type == "agent.message"]
    heard = [event for event in inside.seen if event.type == "event_delta"]
    same({event.event_id for event in heard}, {said[0].id}, "whose pieces they are")
    same("".join(event.delta.content.text for event in heard), text, "the pieces together")
    begun = [event.event.type for event in inside.seen if event.type == "event_start"]
    same(begun, ["agent.thinking", "agent.message"], "what was begun")
    rest = [event.id for event in inside.processed()]
    same(rest, [event.id for event in events[-len(rest) :]], "the stream")
    own = [event for event in guest.list(team.session) if event.type == "agent.message"]
    begun = [event.event.id for event in outside.seen if event.type == "event_start"]
    same(begun, [event.id for event in own], "what the session previews")
    ids = [event.id for event in events]
    for place, cursor in enumerate(ids[:-1]):
        with team.follow(thread, after=cursor) as stream:
            left = ids[place + 1 :]
            same([event.id for event in stream.take(len(left))], left, f"after event {place}")
    with team.follow(thread, extra_query={"after_id": ids[1]}) as stream:
        same([event.id for event in stream.take(len(ids) - 2)], ids[2:], "after_id")
    foreign = guest.list(team.session)[0].id
    refuses(BadRequestError, lambda: team.follow(thread, after=foreign))
    refuses(BadRequestError, lambda: team.stream(extra_query={"after_id": said[0].id}))
    refuses(BadRequestError, lambda: team.follow(thread, event_deltas=["user.message"]), "event_deltas")


@scenario
def a_child_at_rest_is_archived(guest: Guest) -> None:
    """Archive ends a child that rests and its streams; not one that works, not the primary."""
    team = Team(guest, spinner=[], dyer=[])
    gate = name("held")
    with team.stream() as stream:
        team.send(say(uses(create("spinner", {"text": "spun", "wait": gate})), {"text": "a"}, {"text": "b"}))
        till(stream, REST)
        guest.house.waiting(gate)
        spinner = team.thread("spinner")
        refuses(BadRequestError, lambda: team.archive(spinner.id), "running", "user.interrupt")
        with team.follow(spinner.id) as inside:
            guest.house.release(gate)
            stream.idle()
            gone = team.archive(spinner.id)
            inside.seen += list(inside.events)
        same(till(stream, ends("spinner")).session_thread_id, spinner.id, "who ended")
    same((gone.status, gone.archived_at is not None), ("terminated", True), "the archived one")
    same((gone.stats is not None, gone.usage is not None), (True, True), "its stats and usage")
    same(team.archive(spinner.id), gone, "archived again")
    same(team.doors.retrieve(spinner.id, session_id=team.session), gone, "read back")
    same([thread.id for thread in team.threads(statuses=["terminated"])], [spinner.id], "the ended ones")
    ended = ends("spinner")
    same(lines(inside.seen), [*reported("spinner", "spun"), ended], "the stream to its end")
    with team.follow(spinner.id, after=inside.seen[-1].id) as late:
        same(lines(list(late.events)), [ended], "a late stream")
    primary = team.thread(WEAVER).id
    refuses(BadRequestError, lambda: team.archive(primary), "primary")
    refuses(NotFoundError, lambda: team.archive("sthr_1111111111111111111112"))
    wanted = [
        *[*GO, END, *spawned("spinner"), START, *spoke("a"), REST],
        *[*woken("spinner", "spun"), *spoke("b"), *SETTLED, ended],
    ]
    team.shows(wanted, spinner=[*born("spinner"), *reported("spinner", "spun"), ended])
    guest.turn(team.session, say({"text": "on"}))


@scenario
def a_parent_that_waits_gets_the_reports_as_results(guest: Guest) -> None:
    """Two Agent calls wait side by side; the later one first: each report is its own call's result."""
    team = Team(guest, spinner=[], itself=True)
    one, two, kept = name("one"), name("two"), name("kept")
    steps = uses(wait("spinner", {"text": "spun", "wait": one}), wait(WEAVER, {"text": "woven", "wait": two}))
    with team.stream() as stream:
        team.send(say(steps, {"text": "done", "keep": kept}))
        guest.house.waiting(one)
        guest.house.waiting(two)
        same([thread.status for thread in team.threads()], ["running"] * 3, "who works")
        guest.house.release(two)
        till(stream, f"agent.thread_message_received from {WEAVER}")
        guest.house.release(one)
        stream.idle()
    wanted = [
        *[*GO, END, *spawned("spinner"), *spawned(WEAVER)],
        *[REST, hears(WEAVER, "woven")],
        *[rests("spinner"), hears("spinner", "spun")],
        *[START, *spoke("done"), *SETTLED],
    ]
    team.shows(wanted, spinner=[*born("spinner"), *reported("spinner", "spun")])
    same(sorted(team.heard(kept)), ["result: spun", "result: woven"], "what the model is told")


@scenario
def a_child_that_fails_for_ever_ends_and_its_parent_is_told(guest: Guest) -> None:
    """Out of retries: idle, terminated; who waits gets an error, who does not gets it as mail."""
    team = Team(guest, spinner=[], dyer=[])
    gate, kept, mail = name("gate"), name("kept"), name("mail")
    fails = {"fail": 400, "message": "you cannot say this"}
    late = {"text": "", "wait": gate, "tools": [{"name": "send_to_agent", "input": {}}]}
    steps = uses(wait("spinner", fails), create("dyer", late, fails)), {"text": "so", "keep": kept}
    with team.stream() as stream:
        team.send(say(*steps, {"text": "well", "keep": mail}))
        till(stream, REST)
        guest.house.release(gate)
        stream.idle()
    (error,) = [event for event in team.events(team.thread("spinner").id) if event.type == "session.error"]
    same((error.error.type, error.error.retry_status.type), ("model_request_failed_error", "exhausted"), "it")
    told = f"Agent failed: {error.error.message}"
    same("you cannot say this" in told, True, f"the model's words in {told!r}")

    def failed(agent: str) -> list[str]:
        return [rests(agent, "retries_exhausted"), ends(agent)]

    wanted = [
        *[*GO, END, *spawned("spinner"), *spawned("dyer"), *failed("spinner")],
        *[hears("spinner", told), START, *spoke("so"), REST],
        *[*failed("dyer"), works(WEAVER)],
        *[hears("dyer", told), START, *spoke("well"), *SETTLED],
    ]
    last = [END, "session.error", f"agent.thread_message_sent to parent: {told}"]
    team.shows(wanted, spinner=[*born("spinner"), *last, *failed("spinner")])
    dyer = team.thread("dyer")
    same(team.heard(kept)[-1:], [f"error: {told}"], "what the waiting model is told")
    same(team.heard(mail), [f"Message from dyer ({dyer.id}):", told], "what the other is told")
    same((dyer.status, dyer.archived_at), ("terminated", None), "it ended by itself")
    guest.turn(team.session, say({"text": "on"}))


@scenario
def a_child_that_is_asked_again_makes_its_parent_wait_with_it(guest: Guest) -> None:
    """An overloaded model: the child, who waits for it and the session are rescheduled, and run again."""
    team = Team(guest, spinner=[])
    step = {"fail": 529, "times": 1, "key": name("busy"), "retry_after": 0, "then": {"text": "spun"}}
    guest.turn(team.session, say(uses(wait("spinner", step)), {"text": "done"}))
    wanted = [
        *[*GO, END, *spawned("spinner")],
        "session.thread_status_rescheduled spinner",
        f"session.thread_status_rescheduled {WEAVER}",
        "session.status_rescheduled",
        *[*GO[:2], works("spinner")],
        *[rests("spinner"), hears("spinner", "spun")],
        *[START, *spoke("done"), *SETTLED],
    ]
    again = ["session.thread_status_rescheduled spinner", works("spinner"), START]
    inside = [*born("spinner"), END, "session.error", *again, *reported("spinner", "spun")]
    team.shows(wanted, spinner=inside)
