"""Waiting in Agent for a child that needs the client, is archived, interrupted or declines."""

from __future__ import annotations

from anthropic import BadRequestError, NotFoundError

from guest import END, INTERRUPTED, START, TOOL, TOOLSET, Guest, bash, name, refuses, result, same, say, uses
from scenarios import scenario
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
    up,
    wait,
    works,
)

CANCELLED = "The thread was ended before this was answered."
# The session rests because a child does, for which the coordinator waits.
BLOCKED = [
    *[*GO, END, *spawned("spinner"), "agent.custom_tool_use look_up @spinner"],
    *[rests("spinner", NEEDS), rests(WEAVER, NEEDS)],
    *["session.usage", "session.status_idle requires_action"],
]
ASKED = [*born("spinner"), "agent.custom_tool_use look_up", END, rests("spinner", NEEDS)]
# How the session goes on when the wait is over.
AGAIN = [*GO[:2], START]


def interrupt(thread: str | None = None) -> dict[str, str]:
    """An interrupt of all, or of one thread."""
    return {"type": "user.interrupt"} | ({"session_thread_id": thread} if thread else {})


def blocked(guest: Guest, *then: dict[str, object]) -> tuple[Team, str, str]:
    """A coordinator that waits for a child that waits for the client; gives the child and its call."""
    team = Team(guest, spinner=[TOOL])
    steps = uses(wait("spinner", uses(*look("wool")), {"text": "spun"}))
    seen = guest.turn(team.session, say(steps, *then), stop="requires_action")
    same([line(event) for event in seen], [wanted.split(" @")[0] for wanted in BLOCKED], "the stream")
    (call,) = seen[-1].stop_reason.event_ids
    for event in seen:
        if event.type.endswith("status_idle"):
            same(event.stop_reason.event_ids, [call], "what it waits for")
    team.shows(BLOCKED, spinner=ASKED)
    return team, team.thread("spinner").id, call


@scenario
def archive_of_a_child_that_is_waited_for_cancels_the_wait(guest: Guest) -> None:
    """The session is idle and takes no message; after the archive the coordinator is told and goes on."""
    kept = name("kept")
    team, child, call = blocked(guest, {"text": "went on", "keep": kept})
    same(guest.beta.sessions.retrieve(team.session).status, "idle", "the session")
    same([thread.status for thread in team.threads()], ["idle", "idle"], "the threads")
    refuses(BadRequestError, lambda: team.send(say({"text": "no"})), "waiting on responses to events [")
    refuses(BadRequestError, lambda: team.archive(team.thread(WEAVER).id), "primary")
    refuses(NotFoundError, lambda: team.archive("sthr_1111111111111111111112"))
    with team.stream() as stream:
        gone = team.archive(child)
        stream.idle()
    same((gone.id, gone.status), (child, "terminated"), "the archived one")
    closed = f": {CANCELLED}"
    ended = ends("spinner")
    went_on = [*AGAIN, *spoke("went on"), *SETTLED]
    wanted = [*BLOCKED, f"user.custom_tool_result @spinner{closed}", ended, *went_on]
    inside = [*ASKED, f"user.custom_tool_result{closed}", ended]
    events = team.shows(wanted, spinner=inside)
    same(events[len(BLOCKED)].is_error, True, "whether the closing result is an error")
    same(team.heard(kept), ["result: Agent cancelled."], "what the model is told")
    refuses(BadRequestError, lambda: team.send(result(call, "too late")), "terminated")
    refuses(BadRequestError, lambda: team.send(interrupt(child)), "terminated")
    same(team.archive(child), gone, "archived again")
    team.shows(wanted, spinner=inside)
    guest.turn(team.session, say({"text": "on"}))


@scenario
def the_answer_to_a_child_wakes_who_waits_for_it(guest: Guest) -> None:
    """A result for the child runs all three again; a second one is recorded and has no effect."""
    kept = name("kept")
    team, child, call = blocked(guest, {"text": "done", "keep": kept})
    with team.stream() as stream:
        (echo,) = guest.send(team.session, result(call, "found"))
        stream.idle()
    same((echo.session_thread_id, echo.processed_at is not None), (child, True), "the echo")
    running = works("spinner")
    answered = [
        *["user.custom_tool_result @spinner: found", *GO[:2], running, rests("spinner")],
        *[hears("spinner", "spun"), START, *spoke("done"), *SETTLED],
    ]
    inside = [*ASKED, "user.custom_tool_result: found", running, START, *reported("spinner", "spun")]
    team.shows([*BLOCKED, *answered], spinner=inside)
    same(team.heard(kept), ["result: spun"], "what the model is told")
    requests = guest.house.referee()["requests"]
    other = "answered with another result"
    refuses(BadRequestError, lambda: team.send(result(call, "twice")), "custom_tool_use_id", other)
    guest.turn(team.session, result(call, "found"))
    idle = rests("spinner")
    pair = ["session.status_running", running, "user.custom_tool_result @spinner: found", idle, *SETTLED[1:]]
    team.shows(
        [*BLOCKED, *answered, *pair], spinner=[*inside, running, "user.custom_tool_result: found", idle]
    )
    same(guest.house.referee()["requests"], requests, "model requests")


@scenario
def an_interrupt_of_a_child_that_is_waited_for_ends_the_wait(guest: Guest) -> None:
    """Its open call is closed, it rests, the coordinator is told; the second time there is nothing to do."""
    kept = name("kept")
    team, child, _ = blocked(guest, {"text": "so be it", "keep": kept})
    guest.turn(team.session, interrupt(child))
    closed, idle = f": {INTERRUPTED}", rests("spinner")
    wanted = [
        *[*BLOCKED, f"user.custom_tool_result @spinner{closed}", "user.interrupt @spinner", idle],
        *[*AGAIN, *spoke("so be it"), *SETTLED],
    ]
    inside = [*ASKED, f"user.custom_tool_result{closed}", "user.interrupt", idle]
    team.shows(wanted, spinner=inside)
    same(team.heard(kept), ["error: Agent interrupted."], "what the model is told")
    team.send(interrupt(child))
    team.shows([*wanted, "user.interrupt @spinner"], spinner=[*inside, "user.interrupt"])
    refuses(NotFoundError, lambda: team.send(interrupt("sthr_1111111111111111111112")), "no thread")


@scenario
def an_interrupt_of_a_child_that_nobody_waits_for_is_told_nobody(guest: Guest) -> None:
    """Its request is cut and it rests without a report; the coordinator has no turn, the others go on."""
    team = Team(guest, spinner=[], dyer=[])
    one, two = name("one"), name("two")
    steps = uses(
        create("spinner", {"text": "spun", "wait": one}), create("dyer", {"text": "dyed", "wait": two})
    )
    with team.stream() as stream:
        team.send(say(steps, {"text": "started"}, {"text": "dyed only"}))
        till(stream, REST)
        guest.house.waiting(one)
        guest.house.waiting(two)
        team.send(interrupt(team.thread("spinner").id))
        till(stream, rests("spinner"))
        guest.house.release(one)
        guest.house.release(two)
        stream.idle()
    wanted = [
        *[*GO, END, *spawned("spinner"), *spawned("dyer"), START, *spoke("started"), REST],
        *["user.interrupt @spinner", rests("spinner")],
        *[rests("dyer"), works(WEAVER)],
        *[hears("dyer", "dyed"), START, *spoke("dyed only"), *SETTLED],
    ]
    inside = [*born("spinner"), END, "user.interrupt", rests("spinner")]
    team.shows(wanted, spinner=inside)
    (cut,) = [event for event in team.events(team.thread("spinner").id) if event.type == END]
    same(cut.is_error, True, "the span's end")


@scenario
def an_interrupt_of_all_stops_every_thread(guest: Guest) -> None:
    """Calls, waits, requests and commands end, mail that waits makes no turn, and a message starts anew."""
    team = Team(guest, spinner=[TOOL], dyer=[TOOLSET], fuller=[])
    kept, gate = name("kept"), name("full")
    steps = uses(
        wait("spinner", uses(*look("wool"))),
        create("dyer", uses(bash("echo begun > begun; sleep 1000"))),
        create("fuller", {"text": "fulled", "wait": gate}),
    )
    with team.stream() as stream:
        team.send(say(steps, {"text": "never said"}))
        guest.house.waiting(gate)
        guest.house.written(team.session, "begun")
        till(stream, rests(WEAVER, NEEDS))
        guest.house.release(gate)
        till(stream, rests("fuller"))
        team.send(interrupt())
        stream.idle()
    closed = f": {INTERRUPTED}"
    wanted = [
        *[*GO, END, *spawned("spinner"), *spawned("dyer"), *spawned("fuller")],
        *["agent.custom_tool_use look_up @spinner", rests("spinner", NEEDS)],
        *[rests(WEAVER, NEEDS), rests("fuller")],
        hears("fuller", "fulled"),
        *[f"user.custom_tool_result @spinner{closed}", "user.interrupt"],
        *[rests("dyer"), rests("spinner"), *SETTLED],
    ]
    inside = [*born("dyer"), "agent.tool_use bash", END, f"agent.tool_result{closed}", rests("dyer")]
    team.shows(wanted, dyer=inside, spinner=[*ASKED, f"user.custom_tool_result{closed}", rests("spinner")])
    anew = guest.turn(team.session, say({"text": "anew", "keep": kept}))
    same([line(event) for event in anew], [*GO, *spoke("anew"), *SETTLED], "the next turn")
    told = team.heard(kept)
    fuller = team.thread("fuller").id
    letter = [f"Message from fuller ({fuller}):", "fulled"]
    same(told[2:-1], [f"error: {INTERRUPTED}", *letter], "the wait's end and the mail that waited")


@scenario
def an_interrupt_and_a_message_turn_the_whole_family_round(guest: Guest) -> None:
    """In one request: every thread stops, and the coordinator begins anew with the message."""
    team = Team(guest, spinner=[], dyer=[])
    one, two = name("one"), name("two")
    steps = uses(wait("spinner", {"text": "spun", "wait": one}), wait("dyer", {"text": "dyed", "wait": two}))
    with team.stream() as stream:
        team.send(say(steps, {"text": "never said"}))
        guest.house.waiting(one)
        guest.house.waiting(two)
        team.send(interrupt(), say({"text": "the other way"}))
        stream.idle()
        stream.idle()
    stopped = ["user.interrupt", rests("dyer"), rests("spinner"), *SETTLED]
    wanted = [
        *GO,
        END,
        *spawned("spinner"),
        *spawned("dyer"),
        *stopped,
        *GO,
        *spoke("the other way"),
        *SETTLED,
    ]
    team.shows(wanted, spinner=[*born("spinner"), END, rests("spinner")])
    guest.house.release(one)
    guest.house.release(two)
    guest.turn(team.session, say({"text": "on"}))


@scenario
def an_interrupted_coordinator_gets_the_report_as_mail(guest: Guest) -> None:
    """An interrupt of the primary ends its waits; the child goes on, and its report starts a turn."""
    team = Team(guest, spinner=[])
    gate, kept = name("gate"), name("kept")
    spin = up("half spun"), {"text": "spun", "wait": gate}
    with team.stream() as stream:
        team.send(say(uses(wait("spinner", *spin)), {"text": "by mail then", "keep": kept}))
        guest.house.waiting(gate)
        team.send(interrupt(team.thread(WEAVER).id))
        till(stream, REST)
        same(guest.beta.sessions.retrieve(team.session).status, "running", "the session")
        guest.house.release(gate)
        stream.idle()
    wanted = [
        *[*GO, END, *spawned("spinner"), f"user.interrupt @{WEAVER}", REST],
        *[rests("spinner"), works(WEAVER), hears("spinner", "half spun")],
        *[START, *spoke("by mail then"), *SETTLED],
    ]
    sent = [*spoke("spun"), "agent.thread_message_sent to parent: half spun"]
    inside = [*born("spinner"), END, START, *sent, rests("spinner")]
    team.shows(wanted, spinner=inside)
    letter = f"Message from spinner ({team.thread('spinner').id}):"
    same(team.heard(kept), [f"error: {INTERRUPTED}", letter, "half spun"], "what the model is told")


@scenario
def a_refusal_is_told_to_who_waits_and_mailed_to_others(guest: Guest) -> None:
    """A child that declines rests with refusal; the parent reads so, as an error or as mail."""
    team = Team(guest, spinner=[], dyer=[])
    kept, mail, gate = name("kept"), name("mail"), name("gate")
    no = {"text": "no", "stop": "refusal", "category": "bio"}
    steps = uses(wait("spinner", no), create("dyer", no | {"wait": gate})), {"text": "so", "keep": kept}
    with team.stream() as stream:
        team.send(say(*steps, {"text": "well", "keep": mail}))
        till(stream, REST)
        guest.house.release(gate)
        stream.idle()
    said = "The agent declined to continue."
    wanted = [
        *[*GO, END, *spawned("spinner"), *spawned("dyer"), rests("spinner", "refusal")],
        *[hears("spinner", said), START, *spoke("so"), REST],
        *[rests("dyer", "refusal"), works(WEAVER)],
        *[hears("dyer", said), START, *spoke("well"), *SETTLED],
    ]
    sent = f"agent.thread_message_sent to parent: {said}"
    inside = [*born("spinner"), *spoke("no"), sent, rests("spinner", "refusal")]
    team.shows(wanted, spinner=inside)
    same(team.heard(kept)[-1], f"error: {said}", "who waited")
    same(team.heard(mail)[-1], said, "who did not")


@scenario
def archive_of_blocked_children_that_nobody_waits_for_leaves_what_is_left(guest: Guest) -> None:
    """The session rests on the other's call, then on none; the coordinator has no turn."""
    team = Team(guest, spinner=[TOOL], dyer=[TOOL])
    steps = uses(create("spinner", uses(*look("wool"))), create("dyer", uses(*look("woad"))))
    seen = guest.turn(team.session, say(steps, {"text": "started"}), stop="requires_action")
    before = [line(event) for event in guest.list(team.session)]
    called = {event.input["word"]: event.id for event in seen if event.type == "agent.custom_tool_use"}
    same(sorted(seen[-1].stop_reason.event_ids), sorted(called.values()), "what it waits for")
    team.archive(team.thread("spinner").id)
    team.archive(team.thread("dyer").id)
    after = guest.list(team.session)[len(before) :]
    closed = "user.custom_tool_result: " + CANCELLED
    wanted = [
        *[closed, ends("spinner"), "session.usage", "session.status_idle requires_action"],
        *[closed, ends("dyer"), "session.usage", "session.status_idle"],
    ]
    same([line(event) for event in after], wanted, "the two ends")
    same(after[3].stop_reason.event_ids, [called["woad"]], "what is left")
    guest.turn(team.session, say({"text": "on"}))


@scenario
def a_child_that_waits_to_try_again_is_not_archived_but_interrupted(guest: Guest) -> None:
    """All that wait read rescheduling; an interrupt of it is told its parent, and then it can be ended."""
    team, kept = Team(guest, spinner=[]), name("kept")
    step = {"fail": 529, "times": 1, "key": name("busy"), "retry_after": 60, "then": {"text": "never"}}
    with team.stream() as stream:
        team.send(say(uses(wait("spinner", step)), {"text": "so be it", "keep": kept}))
        till(stream, "session.status_rescheduled")
        child = team.thread("spinner").id
        listed = team.threads(statuses=["rescheduling"])
        same([thread.agent.name for thread in listed], [WEAVER, "spinner"], "those that wait")
        refuses(BadRequestError, lambda: team.archive(child), "rescheduling", "user.interrupt")
        same(guest.beta.sessions.retrieve(team.session).status, "rescheduling", "the session")
        team.send(interrupt(child))
        stream.idle()
    later = "session.thread_status_rescheduled spinner"
    wanted = [
        *[*GO, END, *spawned("spinner"), later, f"session.thread_status_rescheduled {WEAVER}"],
        *["session.status_rescheduled", "user.interrupt @spinner", rests("spinner")],
        *[*AGAIN, *spoke("so be it"), *SETTLED],
    ]
    inside = [*born("spinner"), END, "session.error", later, "user.interrupt", rests("spinner")]
    team.shows(wanted, spinner=inside)
    same(team.heard(kept), ["error: Agent interrupted."], "what the model is told")
    same(team.archive(child).status, "terminated", "the child at last")
