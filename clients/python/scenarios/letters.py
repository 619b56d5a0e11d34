"""Letters between threads, messages in between, and the files that all threads of a session share."""

from __future__ import annotations

import json
import re
from typing import Any

from guest import END, START, TOOL, TOOLSET, Guest, bash, name, ran, result, same, say, texts, use, uses
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
    script,
    spawned,
    spoke,
    tell,
    till,
    up,
    up_call,
    wait,
    woken,
    works,
)

LIST = {"name": "list_agents", "input": {}}


def told(said: str) -> Any:
    """The result of a delegation tool."""
    kind, _, text = said.partition(": ")
    same(kind, "result", f"what {said!r} is")
    return json.loads(text)


@scenario
def what_a_child_sends_before_its_end_is_kept_for_who_waits_or_mail_at_once(guest: Guest) -> None:
    """send_to_parent: in order the report of one that is waited for, mail of another, which then has none."""
    team = Team(guest, spinner=[], dyer=[])
    gate, kept = name("gate"), name("kept")
    dye = uses(up_call("half dyed, "), wait=gate), up("nearly")
    steps = uses(wait("dyer", *dye, {"text": "dyed"}), create("spinner", up("half spun"), {"text": "spun"}))
    with team.stream() as stream:
        team.send(say(steps, {"text": "done", "keep": kept}))
        till(stream, rests("spinner"))
        guest.house.release(gate)
        stream.idle()
    report, mail = "half dyed, nearly", "half spun"
    wanted = [
        *[*GO, END, *spawned("dyer"), *spawned("spinner"), rests("spinner")],
        *[rests("dyer"), hears("dyer", report)],
        *[hears("spinner", mail), START, *spoke("done"), *SETTLED],
    ]
    sent = "agent.thread_message_sent to parent"
    team.shows(
        wanted,
        dyer=[
            *[*born("dyer"), END, START, END, START, *spoke("dyed"), f"{sent}: {report}"],
            rests("dyer"),
        ],
        spinner=[
            *[*born("spinner"), END, f"{sent}: {mail}", START, *spoke("spun")],
            rests("spinner"),
        ],
    )
    spinner, said = team.thread("spinner").id, team.heard(kept)
    same(told(said[0]), {"thread_id": spinner, "agent": "spinner", "status": "running"}, "who was made")
    # A result of chat completions is one text, with what was sent in lines of their own.
    lines = report if guest.house.wire == "messages" else report.replace("nearly", "\nnearly")
    same(
        said[1:], [f"result: {lines}", f"Message from spinner ({spinner}):", mail], "what the model is told"
    )


@scenario
def letters_reach_a_child_at_work_and_at_rest_and_not_after_its_end(guest: Guest) -> None:
    """At work it reads at its next step, at rest it goes to work; ended, the sender is told what to do."""
    team = Team(guest, spinner=[])
    one, two, kept, error = name("one"), name("two"), name("kept"), name("error")
    spin = {"text": "spun", "wait": one}, {"text": "spun more"}, {"text": "spun again", "wait": two}
    steps = (
        uses(create("spinner", *spin)),
        uses(tell(0, "at work")),
        uses(LIST),
        *({"text": "waiting", "keep": kept}, uses(tell(0, "at rest")), {"text": "waiting still"}),
        {"text": "done"},
    )
    with team.stream() as stream:
        team.send(say(*steps))
        till(stream, REST)
        guest.house.release(one)
        till(stream, "agent.message: waiting still")
        till(stream, REST)
        guest.house.release(two)
        stream.idle()
    spinner = team.thread("spinner").id
    listed = {"thread_id": spinner, "agent": "spinner", "status": "running", "pending_messages": 1}
    same([told(said) for said in team.heard(kept)], [{"agents": [listed]}], "list_agents")
    team.archive(spinner)
    last = uses(tell(0, "too late"), LIST), {"text": "well", "keep": error}
    guest.turn(team.session, say(*last))
    refused, ended = team.heard(error)
    same((refused[:7], spinner in refused, "create_agent" in refused), ("error: ", True, True), refused)
    wanted = {"agents": [listed | {"status": "terminated", "pending_messages": 0}]}
    same(told(ended), wanted, "list_agents at last")
    sent, runs = "agent.thread_message_sent to spinner", works("spinner")
    wanted = [
        *[*GO, END, *spawned("spinner"), START, END, f"{sent}: at work"],
        *[START, END, START, *spoke("waiting")],
        *[REST, *woken("spinner", "spun more"), END, f"{sent}: at rest", runs, START],
        *[*spoke("waiting still"), REST, *woken("spinner", "spun again"), *spoke("done"), *SETTLED],
        *[ends("spinner"), *GO, END, START, *spoke("well"), *SETTLED],
    ]
    read = f"agent.thread_message_received from {WEAVER}"
    inside = [
        *[*born("spinner"), *spoke("spun"), f"{read}: at work", START, *reported("spinner", "spun more")],
        *[runs, f"{read}: at rest", START, *reported("spinner", "spun again")],
        ends("spinner"),
    ]
    team.shows(wanted, spinner=inside)


@scenario
def wrong_errands_say_what_to_do_and_are_not_shown(guest: Guest) -> None:
    """Unknown agents and threads, empty tasks, cut calls: errors for the model, nothing for the client."""
    team = Team(guest, spinner=[])
    first, torn, second, third = (name(step) for step in ("first", "torn", "second", "third"))
    none = "sthr_1111111111111111111112"
    wrong = [
        *[{"name": tool, "input": {"agent": "nobody", "task": "x"}} for tool in ("create_agent", "Agent")],
        {"name": "create_agent", "input": {"agent": "spinner", "task": " "}},
        {"name": "Agent", "input": {"task": "x"}},
        {"name": "send_to_agent", "input": {"thread_id": none, "message": "x"}},
        {"name": "send_to_agent", "input": {"thread_id": team.thread(WEAVER).id, "message": "x"}},
    ]
    steps = uses(*wrong), {"text": "", "bad_json_tool": "create_agent", "keep": first}
    steps += ({"text": "", "bad_json_tool": "create_agent", "stop": "tool_use", "keep": torn},)
    steps += uses(up_call("x"), keep=second), {"text": "so", "keep": third}
    seen = guest.turn(team.session, say(*steps))
    named = ["spinner", "spinner", "task", "agent", none, "list_agents"]
    for said, word in zip(team.heard(first), named, strict=True):
        same((said[:7], word in said), ("error: ", True), f"what the model is told: {said!r} names {word}")
    (said,) = team.heard(torn)
    cut = re.fullmatch(r"error: cut off at the output limit( of about \d+ tokens)?: this call did not run\..*", said)
    same(cut is not None, True, f"what is said of a call that was cut off: {said!r}")
    (said,) = team.heard(second)
    same((said[:7], "JSON object" in said), ("error: ", True), "a call that the model wrote whole and wrong")
    (said,) = team.heard(third)
    same((said[:7], "send_to_parent" in said), ("error: ", True), "what has no parent")
    refused = ["agent.tool_use send_to_parent", END, f"agent.tool_result: {said.removeprefix('error: ')}"]
    wanted = [*GO, END, START, END, START, END, START, *refused, START, *spoke("so"), *SETTLED]
    same([line(event) for event in team.shows(wanted)], [line(event) for event in seen], "the stream")
    same(len(team.threads()), 1, "threads")


@scenario
def a_child_delegates_to_nobody(guest: Guest) -> None:
    """Not even the coordinator's own copy: the call is denied on the child, the session shows none of it."""
    team = Team(guest, spinner=[], itself=True)
    kept = name("kept")
    own = uses(create("spinner", {"text": "x"})), {"text": "alone then", "keep": kept}
    guest.turn(team.session, say(uses(wait(WEAVER, *own)), {"text": "done"}))
    same([thread.agent.name for thread in team.threads()], [WEAVER, WEAVER], "the threads")
    (said,) = team.heard(kept)
    same((said[:7], "create_agent" in said), ("error: ", True), said)
    wanted = [*GO, END, *spawned(WEAVER), rests(WEAVER), hears(WEAVER, "alone then"), START]
    team.shows([*wanted, *spoke("done"), *SETTLED])
    inside = team.events(team.threads()[1].id)
    denied = ["agent.tool_use create_agent", END, f"agent.tool_result: {said.removeprefix('error: ')}", START]
    wanted = [*born(WEAVER), *denied, *reported(WEAVER, "alone then")]
    same([line(event) for event in inside], wanted, "the copy's list")
    same(inside[3].evaluated_permission, "deny", "the permission")


@scenario
def a_child_keeps_its_history_and_reads_letters_verbatim(guest: Guest) -> None:
    """The task is a child's first message word for word; a letter follows what it said, with its sender."""
    team = Team(guest, spinner=[])
    kept, gate = name("kept"), name("gate")
    task = create("spinner", {"text": "spun", "wait": gate}, {"text": "spun again", "keep": kept})
    with team.stream() as stream:
        team.send(say(uses(task), {"text": "a"}, uses(tell(0, " Once more,\nplease. ")), {"text": "b"}))
        till(stream, REST)
        guest.house.release(gate)
        till(stream, "agent.message: b")
        stream.idle()
    asked = guest.house.asked(kept)["messages"]
    same([message["role"] for message in asked], ["user", "assistant", "user"], "the roles")
    same(asked[0]["content"][0]["text"], task["input"]["task"], "the task")
    same(len(asked[0]["content"]), 1, "nothing beside the task")
    letter = [block["text"] for block in asked[2]["content"]]
    primary = team.thread(WEAVER).id
    same(letter, [f"Message from {WEAVER} ({primary}):", " Once more,\nplease. "], "the letter")


@scenario
def a_report_is_taken_at_the_coordinators_next_tool_boundary(guest: Guest) -> None:
    """A report that comes while the coordinator runs a command is read with the command's result, once."""
    team = Team(guest, TOOLSET, spinner=[])
    gate, kept = name("gate"), name("kept")
    waits = uses(bash("echo begun > begun; until [ -e go ]; do sleep 0.02; done; echo went"))
    steps = uses(create("spinner", {"text": "spun", "wait": gate})), waits, {"text": "done", "keep": kept}
    with team.stream() as stream:
        team.send(say(*steps))
        guest.house.written(team.session, "begun")
        guest.house.release(gate)
        till(stream, rests("spinner"))
        (guest.house.sandbox(team.session) / "workspace" / "go").touch()
        stream.idle()
    wanted = [
        *[*GO, END, *spawned("spinner"), START, "agent.tool_use bash", END],
        *[rests("spinner"), "agent.tool_result: went"],
        *[hears("spinner", "spun"), START, *spoke("done"), *SETTLED],
    ]
    team.shows(wanted, spinner=[*born("spinner"), *reported("spinner", "spun")])
    letter = f"Message from spinner ({team.thread('spinner').id}):"
    same(team.heard(kept), ["result: went\n", letter, "spun"], "what the model is told")


@scenario
def a_report_waits_for_the_answer_to_the_coordinators_own_call(guest: Guest) -> None:
    """While the coordinator rests on a call of its own the mail waits; both are read in one turn."""
    team = Team(guest, TOOL, spinner=[])
    gate, kept = name("gate"), name("kept")
    steps = uses(create("spinner", {"text": "spun", "wait": gate}), *look("loom"))
    with team.stream() as stream:
        team.send(say(steps, {"text": "done", "keep": kept}))
        till(stream, rests(WEAVER, NEEDS))
        guest.house.release(gate)
        (call,) = stream.idle(NEEDS).stop_reason.event_ids
        team.send(result(call, "found"))
        stream.idle()
    wanted = [
        *[*GO, "agent.custom_tool_use look_up", END, *spawned("spinner"), rests(WEAVER, NEEDS)],
        *[rests("spinner"), "session.usage", f"session.status_idle {NEEDS}"],
        *["user.custom_tool_result: found", *GO[:2], hears("spinner", "spun")],
        *[START, *spoke("done"), *SETTLED],
    ]
    team.shows(wanted, spinner=[*born("spinner"), *reported("spinner", "spun")])
    letter = [f"Message from spinner ({team.thread('spinner').id}):", "spun"]
    same(team.heard(kept)[1:], ["result: found", *letter], "what the model is told")


@scenario
def a_message_goes_to_the_coordinator_while_its_children_work(guest: Guest) -> None:
    """At rest it begins a turn; in Agent it is queued and read with the report. No child sees it."""
    team = Team(guest, spinner=[], dyer=[])
    spin, dye = name("spin"), name("dye")
    with team.stream() as stream:
        team.send(say(uses(create("spinner", {"text": "spun", "wait": spin})), {"text": "started"}))
        till(stream, REST)
        steps = uses(wait("dyer", {"text": "dyed", "wait": dye})), {"text": "never said"}
        team.send(say(*steps))
        guest.house.waiting(dye)
        last = {"type": "user.message", "content": [{"type": "text", "text": "And?"}]}
        (queued,) = team.send(last)
        same(team.guest.list(team.session)[-1].processed_at, None, "whether it is queued")
        same(guest.beta.sessions.retrieve(team.session).status, "running", "the session")
        guest.house.release(dye)
        till(stream, REST)
        guest.house.release(spin)
        stream.idle()
    wanted = [
        *[*GO, END, *spawned("spinner"), START, *spoke("started"), REST],
        *[works(WEAVER), "user.message", START, END],
        *[*spawned("dyer"), rests("dyer")],
        *[hears("dyer", "dyed"), "user.message: And?", START],
        *[*spoke("never said"), REST, *woken("spinner", "spun"), *spoke("ok"), *SETTLED],
    ]
    events = team.shows(wanted, dyer=[*born("dyer"), *reported("dyer", "dyed")])
    same([event.id for event in events if event.type == "user.message"][-1], queued.id, "the queued message")


@scenario
def threads_share_the_files_and_have_a_shell_each(guest: Guest) -> None:
    """One child writes, another reads, the coordinator too; directory and variables are each one's own."""
    team = Team(guest, TOOLSET, spinner=[TOOLSET], dyer=[TOOLSET])
    where = bash('pwd; echo "[$YARN]"')
    spin = (
        uses(
            bash("mkdir deep; cd deep; YARN=red; echo wool > yarn"),
            use("write", file_path="note", content="n"),
        ),
        uses(where),
        {"text": "spun"},
    )
    dye = uses(use("read", file_path="deep/yarn"), use("read", file_path="note"), where), {"text": "dyed"}
    own = uses(bash("cat deep/yarn note; echo more >> deep/yarn"), where)
    steps = uses(wait("spinner", *spin)), uses(wait("dyer", *dye)), own, {"text": "done"}
    seen = guest.turn(team.session, say(*steps))
    rest = ("bash", False, "/workspace\n[]\n")
    same(ran(seen)[1:], [rest], "the coordinator's shell")
    same(ran(seen)[0][2], "wool\nn", "what the coordinator reads")
    spinner, dyer = team.thread("spinner").id, team.thread("dyer").id
    same(ran(team.events(spinner))[2:], [("bash", False, "/workspace/deep\n[red]\n")], "the writer's shell")
    wanted = [("read", False, "wool\n"), ("read", False, "n"), rest]
    same(ran(team.events(dyer)), wanted, "the reader and its shell")
    again = uses(tell(0, script(uses(bash("cat yarn"), where), {"text": "spun on"})))
    who = uses(LIST)
    guest.turn(team.session, say(who, again, {"text": "a"}, {"text": "b"}))
    more = [("bash", False, "wool\nmore\n"), ("bash", False, "/workspace/deep\n[red]\n")]
    same(ran(team.events(spinner))[3:], more, "the writer's shell, later")
    calls = [event for event in guest.list(team.session) if event.type == "agent.tool_use"]
    same([call.session_thread_id for call in calls], [None, None], "whose calls the session shows")
    same(texts(team.events(spinner)[-2]), "spun on", "its report")
