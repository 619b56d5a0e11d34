"""Ends of the server while a coordinator and its children work: all go on, and nothing is told twice."""

from __future__ import annotations

import json
import pathlib
import signal

from guest import (
    END,
    RESTARTED,
    START,
    TOOL,
    TOOLSET,
    UNKNOWN,
    Guest,
    asks,
    bash,
    confirm,
    name,
    ran,
    result,
    same,
    say,
    texts,
    uses,
)
from house import KEY
from scenarios import scenario
from team import (
    GO,
    NEEDS,
    SETTLED,
    WEAVER,
    Team,
    born,
    coordinator,
    create,
    hears,
    line,
    look,
    reported,
    rests,
    spawned,
    spoke,
    tell,
    till,
    wait,
    works,
)


def written(log: pathlib.Path) -> int:
    """How many lines the commands have written."""
    return len(log.read_text().splitlines())


def reborn(team: Team, how: signal.Signals = signal.SIGKILL) -> None:
    """Ends the server and goes on with the next one."""
    team.guest.house.restart(how)
    team.guest = Guest(team.guest.house)


@scenario
def a_family_goes_on_after_a_kill(guest: Guest) -> None:
    """Ended with children at work, in a command, asked and waited for: each goes on and reports once."""
    team = Team(guest, spinner=[asks("bash")], dyer=[], fuller=[TOOLSET])
    gate, kept, begun = name("gate"), name("kept"), bash("echo begun >> begun; sleep 1000")
    steps = uses(
        wait("spinner", uses(bash("echo spun")), {"text": "spun"}),
        wait("dyer", {"text": "dyed", "wait": gate}),
        create("fuller", uses(begun), uses(bash("cat begun")), {"text": "fulled"}),
    )
    with team.stream() as stream:
        team.send(say(steps, {"text": "all in", "keep": kept}))
        guest.house.waiting(gate)
        guest.house.written(team.session, "begun")
        cursor = till(stream, rests("spinner", NEEDS)).id
        before = [(thread.id, thread.status) for thread in team.threads()]
        same([status for _, status in before], ["running", "idle", "running", "running"], "before the kill")
        reborn(team)
    same([thread.id for thread in team.threads()], [id for id, _ in before], "the threads")
    with team.stream(after=cursor) as stream:
        till(stream, rests("fuller"))
        guest.house.release(gate)
        till(stream, rests(WEAVER, NEEDS))
        rest = stream.idle(NEEDS)
        reborn(team, signal.SIGTERM)
    same(team.guest.beta.sessions.retrieve(team.session).status, "idle", "the session, blocked")
    with team.stream(after=rest.id) as stream:
        team.send(confirm(rest.stop_reason.event_ids[0]))
        stream.idle()
    running = works("spinner")
    wanted = [
        *[*GO, END, *spawned("spinner"), *spawned("dyer"), *spawned("fuller")],
        *["agent.tool_use bash @spinner", rests("spinner", NEEDS)],
        *[rests("fuller"), rests("dyer")],
        hears("dyer", "dyed"),
        *[rests(WEAVER, NEEDS), "session.usage", f"session.status_idle {NEEDS}"],
        *["user.tool_confirmation @spinner", *GO[:2], running, rests("spinner")],
        hears("spinner", "spun"),
        hears("fuller", "fulled"),
        *[START, *spoke("all in"), *SETTLED],
    ]
    spin = [
        *[*born("spinner"), "agent.tool_use bash", END, rests("spinner", NEEDS)],
        *["user.tool_confirmation", running, "agent.tool_result: spun", START, *reported("spinner", "spun")],
    ]
    full = [
        *[*born("fuller"), "agent.tool_use bash", END, f"agent.tool_result: {UNKNOWN}", START],
        *["agent.tool_use bash", END, f"agent.tool_result: {RESTARTED}\nbegun", START],
        *reported("fuller", "fulled"),
    ]
    team.shows(wanted, spinner=spin, dyer=[*born("dyer"), END, START, *reported("dyer", "dyed")], fuller=full)
    fuller = team.thread("fuller").id
    made, *told = team.heard(kept)
    same(json.loads(made.removeprefix("result: "))["thread_id"], fuller, "who was made")
    letter = [f"Message from fuller ({fuller}):", "fulled"]
    same(told, ["result: dyed", "result: spun", *letter], "what the model is told")


@scenario
def many_children_survive_one_kill_after_another(guest: Guest) -> None:
    """Three kills while ten children run commands: no command runs twice, each child reports once."""
    team, many = Team(guest, spinner=[TOOLSET]), 10

    def counts(number: int) -> dict[str, object]:
        return uses(*[bash(f"echo {number}.{call} >> log") for call in range(3)])

    spin = [create("spinner", counts(number), {"text": f"spun {number}"}) for number in range(many)]
    (message,) = team.send(say(uses(*spin), {"text": "started"}))
    log = guest.house.sandbox(team.session) / "workspace" / "log"
    for lines in (1, 5, 10):
        guest.house.until("more is done", lambda lines=lines: log.exists() and written(log) >= lines)
        reborn(team)
    with team.stream(after=message.id) as stream:
        heard = [till(stream, "agent.thread_message_received") for _ in range(many)]
        stream.idle()
    reports = sorted(f"spun {number}" for number in range(many))
    same(sorted(texts(event) for event in heard), reports, "the reports")
    same(written(log), len(set(log.read_text().splitlines())), "commands that ran twice")
    events = [line(event) for event in team.guest.list(team.session)]
    same(sum(event.startswith("agent.thread_message_received") for event in events), many, "letters")
    unknown = 0
    for child in team.threads()[1:]:
        done = ran(team.events(child.id))
        same(len(done), 3, "a child's calls")
        unknown += sum(said == UNKNOWN for _, _, said in done)
    same(3 * many - unknown <= written(log), True, f"what is known to have run ({unknown} unknown)")


@scenario
def mail_and_slots_survive_a_stop(guest: Guest) -> None:
    """A letter to a child that is blocked, an archived child and an open call are there after SIGTERM."""
    team = Team(guest, spinner=[TOOL], dyer=[])
    kept = name("kept")
    steps = (
        uses(
            create("spinner", uses(*look("wool")), {"text": "spun", "keep": kept}),
            create("dyer", {"text": "dyed"}),
        ),
        uses(tell(0, "And hurry.")),
        {"text": "started"},
    )
    with team.stream() as stream:
        team.send(say(*steps))
        stream.idle(NEEDS)
        (call,) = stream.seen[-1].stop_reason.event_ids
        gone = team.archive(team.thread("dyer").id)
    listed = [event.to_dict() for event in guest.list(team.session)]
    threads = [thread.to_dict() for thread in team.threads()]
    same(guest.house.server.end(signal.SIGTERM), 0, "the exit code")
    guest.house.start()
    team.guest = Guest(guest.house)
    same([event.to_dict() for event in team.guest.list(team.session)], listed, "the session's list")
    after = [thread.to_dict() for thread in team.threads()]
    grown = {"stats": None}
    same([thread | grown for thread in after], [thread | grown for thread in threads], "the threads")
    same(after[2], gone.to_dict(), "the archived one, whole")
    with team.stream() as stream:
        team.send(result(call, "found"))
        stream.idle()
    letter = [f"Message from {WEAVER} ({after[0]['id']}):", "And hurry."]
    same(team.heard(kept), ["result: found", *letter], "what the child is told")
    seen = team.guest.turn(team.session, say(uses(tell(0, "x")), {"text": "on"}))
    same([line(event) for event in seen][-4:], [END, *SETTLED], "the coordinator goes on")


@scenario
def a_retried_post_of_a_family_happens_once(guest: Guest) -> None:
    """Retries of a coordinator's creation, of its session with a first message, and of an archive."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}

    def twice(path: str, body: dict[str, object]) -> dict[str, object]:
        """Posts, and posts again as the SDK does when the answer was lost."""
        told = [
            guest.house.raw(
                "POST", path, content=json.dumps(body), headers=headers | {"x-stainless-retry-count": count}
            ).json()
            for count in ("0", "1")
        ]
        same(told[1], told[0], f"the second answer of {path}")
        return told[0]

    member = guest.agent(name="spinner", tools=[])
    given = {"name": WEAVER, "model": "claude-sonnet-4-5", "multiagent": coordinator(member.id)}
    lead = twice("/v1/agents", given)
    first = say(uses(wait("spinner", {"text": "spun"})), {"text": "done"})
    opening = {"agent": lead["id"], "environment_id": guest.environment().id, "initial_events": [first]}
    session = str(twice("/v1/sessions", opening)["id"])
    same([one.id for one in guest.beta.sessions.list(agent_id=str(lead["id"]))], [session], "sessions")
    with guest.stream(session, after=guest.list(session)[0].id) as stream:
        stream.idle()
    threads = guest.beta.sessions.threads
    primary, child = threads.list(session).data
    same(primary.agent.name, WEAVER, "the primary")
    gone = twice(f"/v1/sessions/{session}/threads/{child.id}/archive", {})
    same((gone["id"], gone["status"]), (child.id, "terminated"), "the archived one")
    kinds = [event.type for event in guest.list(session)]
    same(kinds.count("session.thread_created"), 1, "children")
    same(kinds.count("session.thread_status_terminated"), 1, "ends")
