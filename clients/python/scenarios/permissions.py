"""Permissions: how toolsets are settled, who is asked, and what a person's word does."""

from __future__ import annotations

from typing import Any

from anthropic import BadRequestError

from guest import (
    END,
    IDLE,
    PLAIN,
    RUNNING,
    START,
    TOOL,
    TOOLSET,
    Guest,
    asks,
    bash,
    calls,
    confirm,
    name,
    ran,
    refuses,
    result,
    same,
    say,
    turn_of,
    use,
    uses,
)
from scenarios import scenario

ALLOW, ASK = {"type": "always_allow"}, {"type": "always_ask"}
UNBUILT = "is not supported yet"
REJECTED = "Permission to use bash has been rejected."
# A turn that waits for a person, and how it goes on when the call has its result.
ASKED = [*RUNNING, "user.message", START, "agent.tool_use", END, *IDLE]
SETTLED = ["user.tool_confirmation", *RUNNING, "agent.tool_result", *PLAIN[3:]]
COUNT = bash("echo ran >> count; wc -l < count")


def nothing_ran(guest: Guest, session: str) -> None:
    """No command has written its line."""
    same((guest.house.sandbox(session) / "workspace" / "count").exists(), False, "a line of a command")


def lines(guest: Guest, session: str) -> int:
    """How often a command has written its line."""
    return len((guest.house.sandbox(session) / "workspace" / "count").read_text().splitlines())


@scenario
def a_toolset_comes_back_settled(guest: Guest) -> None:
    """Bare, with defaults and with configs: every switch and policy is there, inherited field by field."""
    bare = {"enabled": True, "permission_policy": ALLOW}
    (given,) = guest.agent(tools=[TOOLSET]).tools
    same(given.to_dict(), TOOLSET | {"default_config": bare, "configs": []}, "a bare one")
    asking = TOOLSET | {
        "default_config": {"permission_policy": ASK},
        "configs": [{"name": "read", "permission_policy": ALLOW}, {"name": "bash", "enabled": False}],
    }
    (given,) = guest.agent(tools=[asking]).tools
    wanted = TOOLSET | {
        "default_config": {"enabled": True, "permission_policy": ASK},
        "configs": [
            {"type": "read", "name": "read", "enabled": True, "permission_policy": ALLOW},
            {"type": "bash", "name": "bash", "enabled": False, "permission_policy": ASK},
        ],
    }
    same(given.to_dict(), wanted, "one with configs")
    session = guest.session(agent=guest.agent(tools=[asking]).id)
    same([tool.to_dict() for tool in session.agent.tools], [wanted], "the session's")


@scenario
def the_web_tools_are_shown_and_not_offered(guest: Guest) -> None:
    """web_fetch and web_search come back enabled with their null fields; the model never hears of them."""
    tools = TOOLSET | {"configs": [{"name": "web_fetch"}, {"name": "web_search", "allowed_domains": None}]}
    agent = guest.agent(tools=[tools])
    (given,) = agent.tools
    on, domains = (
        {"enabled": True, "permission_policy": ALLOW},
        {"allowed_domains": None, "blocked_domains": None},
    )
    fetch = {"max_content_tokens": None, "url_sources": None}
    wanted = [
        {"type": "web_fetch", "name": "web_fetch"} | on | domains | fetch,
        {"type": "web_search", "name": "web_search"} | on | domains | {"user_location": None},
    ]
    same([config.to_dict() for config in given.configs], wanted, "the configs")
    kept = name("kept")
    seen = guest.turn(
        guest.session(agent=agent.id).id,
        say(uses(use("web_fetch", url="https://example.com"), keep=kept), {"text": "done"}),
    )
    offered = [tool["name"] for tool in guest.house.asked(kept)["tools"]]
    same(sorted(offered), ["bash", "edit", "glob", "grep", "read", "write"], "what is offered")
    same([failed for _, failed, _ in ran(seen)], [True], "a call all the same")


@scenario
def a_bad_toolset_is_refused_by_its_path(guest: Guest) -> None:
    """A tool twice, an unknown one, a second toolset, the policy auto, no domains: 400 by path."""

    def refused(tools: list[Any], *words: str) -> None:
        refuses(BadRequestError, lambda: guest.agent(tools=tools), *words)

    twice = [{"name": "bash"}, {"name": "read"}, {"name": "bash", "enabled": False}]
    refused([TOOLSET | {"configs": twice}], "tools.0.configs.2.name")
    refused([TOOL, TOOLSET | {"configs": [{"name": "shell"}]}], "tools.1.configs.0.name")
    refused([TOOLSET | {"configs": [{"name": "bash", "type": "read"}]}], "tools.0.configs.0.type")
    refused([TOOLSET, TOOLSET], "tools.1")
    auto = {"permission_policy": {"type": "auto"}}
    refused([TOOLSET | {"default_config": auto}], "tools.0.default_config.permission_policy", UNBUILT)
    place = "tools.0.configs.0"
    refused([TOOLSET | {"configs": [{"name": "bash"} | auto]}], f"{place}.permission_policy", UNBUILT)
    web = {"name": "web_fetch", "allowed_domains": []}
    refused([TOOLSET | {"configs": [web]}], f"{place}.allowed_domains", "ambiguous")
    custom = TOOL | {"name": "bash"}
    refuses(BadRequestError, lambda: guest.agent(tools=[custom, TOOLSET]), "tools.0.name")


@scenario
def a_person_allows_and_the_call_runs_once(guest: Guest) -> None:
    """An asked call waits, runs once when it is allowed; a second word is recorded and has no effect."""
    session = guest.worker(asks("bash"))
    seen = guest.turn(session, say(uses(COUNT), {"text": "done"}), stop="requires_action")
    call = seen[4]
    same((call.evaluated_permission, call.evaluation.type), ("ask", "always_ask"), "the permission")
    same(seen[-1].stop_reason.event_ids, [call.id], "what it waits for")
    nothing_ran(guest, session)
    refuses(BadRequestError, lambda: guest.send(session, say({"text": "no"})))
    refuses(BadRequestError, lambda: guest.send(session, confirm("sevt_1111111111111111111112")), "events")
    refuses(BadRequestError, lambda: guest.send(session, result(call.id, "mine")), "events")
    worded = confirm(call.id, deny_message="x")
    refuses(BadRequestError, lambda: guest.send(session, worded), "deny_message")
    with guest.stream(session) as stream:
        echo = guest.send(session, confirm(call.id))
        same((echo[0].type, echo[0].processed_at), ("user.tool_confirmation", None), "the echo")
        stream.idle()
        same(ran([call, *stream.seen]), [("bash", False, "1\n")], "what ran")
    events = guest.shows(session, [*ASKED, *SETTLED])
    same(
        (events[9].id, events[9].result, events[9].tool_use_id), (echo[0].id, "allow", call.id), "the word"
    )
    asked = guest.house.referee()["requests"]
    guest.turn(session, confirm(call.id, "deny"))
    pair = [*RUNNING, "user.tool_confirmation", *IDLE]
    guest.shows(session, [*ASKED, *SETTLED, *pair])
    same((guest.house.referee()["requests"], lines(guest, session)), (asked, 1), "requests and runs")


@scenario
def a_person_denies_and_the_model_goes_on(guest: Guest) -> None:
    """A denied call is answered behind a new running pair with the person's words; the turn goes on."""
    session = guest.worker(asks("bash"))
    steps = uses(COUNT), uses(use("write", file_path="other", content="way")), {"text": "done"}
    call = guest.turn(session, say(*steps), stop="requires_action")[4]
    seen = guest.turn(session, confirm(call.id, "deny", deny_message="Not on a Saturday."))
    went_on = [*SETTLED[:4], START, "agent.tool_use", END, "agent.tool_result", *PLAIN[3:]]
    same([event.type for event in seen], went_on, "the stream")
    same((seen[0].result, seen[0].deny_message), ("deny", "Not on a Saturday."), "the word")
    denied, other = ran([call, *seen])
    same(denied, ("bash", True, f"{REJECTED} Rejection message: Not on a Saturday."), "the denied call")
    same(other[:2], ("write", False), "the other way")
    guest.shows(session, [*ASKED, *went_on])
    nothing_ran(guest, session)
    plain = guest.turn(session, say(uses(COUNT), {"text": "done"}), stop="requires_action")[4]
    same(
        ran([plain, *guest.turn(session, confirm(plain.id, "deny"))]),
        [("bash", True, REJECTED)],
        "without words",
    )
    nothing_ran(guest, session)


@scenario
def of_two_asked_calls_none_runs_before_both_are_settled(guest: Guest) -> None:
    """With one of two allowed the session rests again, names the other, and nothing has run."""
    session = guest.worker(asks())
    called = [*ASKED[:5], "agent.tool_use", *ASKED[5:]]
    seen = guest.turn(session, say(uses(COUNT, COUNT), {"text": "done"}), stop="requires_action")
    one, two = seen[4], seen[5]
    same(seen[-1].stop_reason.event_ids, [one.id, two.id], "both wait")
    part = guest.turn(session, confirm(two.id), stop="requires_action")
    same([event.type for event in part], ["user.tool_confirmation", *IDLE], "one is answered")
    same(part[-1].stop_reason.event_ids, [one.id], "one waits")
    refuses(BadRequestError, lambda: guest.send(session, say({"text": "no"})))
    nothing_ran(guest, session)
    rest = guest.turn(session, confirm(one.id, "deny"))
    both = [*SETTLED[:4], *SETTLED[3:]]
    same([event.type for event in rest], both, "both are settled")
    same(ran([one, two, *rest]), [("bash", True, REJECTED), ("bash", False, "1\n")], "what came of them")
    guest.shows(session, [*called, "user.tool_confirmation", *IDLE, *both])
    seen = guest.turn(session, say(uses(COUNT, COUNT), {"text": "done"}), stop="requires_action")
    at_once = guest.turn(session, confirm(seen[4].id), confirm(seen[5].id))
    twice = [
        "user.tool_confirmation",
        "user.tool_confirmation",
        *RUNNING,
        *["agent.tool_result"] * 2,
        *PLAIN[3:],
    ]
    same([event.type for event in at_once], twice, "both in one request")
    same([said for _, _, said in ran([*seen, *at_once])], ["2\n", "3\n"], "in the order they were called")


@scenario
def a_word_on_a_call_that_nobody_asked_about_is_refused(guest: Guest) -> None:
    """A confirmation of an allowed call, or of a custom one, is 400; nothing is recorded."""
    session = guest.worker(TOOL, asks("write"))
    seen = guest.turn(session, say(uses(COUNT), {"text": "done"}))
    refuses(BadRequestError, lambda: guest.send(session, confirm(seen[4].id)), "events")
    seen = guest.turn(session, say(calls("a"), {"text": "done"}), stop="requires_action")
    refuses(BadRequestError, lambda: guest.send(session, confirm(seen[4].id)), "events")
    guest.turn(session, result(seen[4].id, "found"))
    waits = [*RUNNING, "user.message", START, "agent.custom_tool_use", END, *IDLE]
    goes_on = ["user.custom_tool_result", *RUNNING, *PLAIN[3:]]
    guest.shows(session, [*turn_of(1), *waits, *goes_on])


@scenario
def all_three_kinds_of_tools_in_one_answer(guest: Guest) -> None:
    """Beside an asked call nothing runs, the allowed one neither, until both answers are there; then in order."""
    session = guest.worker(TOOL, asks("bash"))
    look, write = {"name": "look_up", "input": {"word": "a"}}, use("write", file_path="count", content="free\n")
    seen = guest.turn(session, say(uses(look, write, COUNT), {"text": "done"}), stop="requires_action")
    called = [
        *[*RUNNING, "user.message", START, "agent.custom_tool_use", "agent.tool_use", "agent.tool_use", END],
        *IDLE,
    ]
    same([event.type for event in seen], called, "the stream")
    custom, allowed, asked = seen[4].id, seen[5], seen[6].id
    same(allowed.evaluated_permission, "allow", "the permission of the one that waits with them")
    same(seen[-1].stop_reason.event_ids, [custom, asked], "what it waits for")
    nothing_ran(guest, session)
    refuses(BadRequestError, lambda: guest.send(session, confirm(allowed.id)), "events")
    part = guest.turn(session, confirm(asked), stop="requires_action")
    same(part[-1].stop_reason.event_ids, [custom], "the custom one waits")
    nothing_ran(guest, session)
    last = guest.turn(session, result(custom, "found"))
    rest = ["user.custom_tool_result", *RUNNING, "agent.tool_result", "agent.tool_result", *PLAIN[3:]]
    same([event.type for event in last], rest, "how it goes on")
    same([tool for tool, _, _ in ran([*seen, *last])], ["write", "bash"], "the order")
    same(ran([*seen, *last])[1], ("bash", False, "2\n"), "the command came second")
    guest.shows(session, [*called, "user.tool_confirmation", *IDLE, *rest])


@scenario
def a_denial_lets_what_was_allowed_run(guest: Guest) -> None:
    """The allowed calls around a denied one run once it is denied, in the order given."""
    session = guest.worker(asks("bash"))
    first, last = use("write", file_path="count", content="one\n"), use("read", file_path="count")
    seen = guest.turn(session, say(uses(first, COUNT, last), {"text": "done"}), stop="requires_action")
    same(seen[-1].stop_reason.event_ids, [seen[5].id], "what it waits for")
    nothing_ran(guest, session)
    rest = guest.turn(session, confirm(seen[5].id, "deny"))
    done = ran([*seen, *rest])
    same([(tool, failed) for tool, failed, _ in done], [("write", False), ("bash", True), ("read", False)], "all")
    same(done[2][2], "one\n", "what was read")
    same(lines(guest, session), 1, "lines")


@scenario
def a_tool_that_is_off_is_denied_at_once(guest: Guest) -> None:
    """A call of a disabled tool is denied before any policy: no evaluation, an answer at once, no run."""
    session = guest.worker(TOOLSET | {"configs": [{"name": "bash", "enabled": False}]})
    kept = name("kept")
    seen = guest.turn(session, say(uses(COUNT, keep=kept), {"text": "done"}))
    same([event.type for event in seen], turn_of(1), "the stream")
    same((seen[4].evaluated_permission, seen[4].evaluation), ("deny", None), "the permission")
    same([(tool, failed) for tool, failed, _ in ran(seen)], [("bash", True)], "its answer")
    offered = [tool["name"] for tool in guest.house.asked(kept)["tools"]]
    same("bash" in offered, False, "whether it is offered")
    refuses(BadRequestError, lambda: guest.send(session, confirm(seen[4].id)), "events")
    nothing_ran(guest, session)


@scenario
def the_tools_of_a_session_change_while_it_rests(guest: Guest) -> None:
    """An update of a session's tools holds from the next turn on; while it waits or runs it is refused."""
    session = guest.worker()
    sessions = guest.beta.sessions
    same(guest.runs(session, uses(COUNT)), [("bash", False, "1\n")], "before")
    after = sessions.update(session, agent={"tools": [asks("bash")]})
    same(after.agent.tools[0].configs[0].permission_policy.type, "always_ask", "the session's tools")
    updated = guest.list(session)[-1]
    same((updated.type, updated.agent.to_dict()), ("session.updated", after.agent.to_dict()), "the event")
    call = guest.turn(session, say(uses(COUNT), {"text": "done"}), stop="requires_action")[4]
    same(call.evaluated_permission, "ask", "the permission")
    guest.turn(session, confirm(call.id))
    guest.shows(session, [*turn_of(1), "session.updated", *ASKED, *SETTLED])
    gate = name("update")
    with guest.stream(session) as stream:
        guest.send(session, say({"text": "one two", "chunks": 2, "wait": gate}))
        guest.house.waiting(gate)
        refuses(BadRequestError, lambda: sessions.update(session, agent={"tools": []}))
        guest.house.release(gate)
        stream.idle()
    kept = name("kept")
    sessions.update(session, agent={"tools": []})
    guest.turn(session, say({"text": "x", "keep": kept}))
    same(guest.house.asked(kept).get("tools") or [], [], "no tools")
