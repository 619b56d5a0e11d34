"""The end of a session with children, and what its threads have used."""

from __future__ import annotations

from collections import Counter

from anthropic import BadRequestError, NotFoundError

from guest import END, START, TOLD, TOOL, TOOLSET, Guest, bash, calls, name, refuses, result, same, say, uses
from scenarios import scenario
from team import (
    GO,
    REST,
    SETTLED,
    WEAVER,
    Team,
    born,
    create,
    ends,
    line,
    look,
    reported,
    rests,
    spawned,
    spoke,
    till,
    wait,
    woken,
)


def spent(usage: object) -> Counter[str]:
    """The tokens of a usage."""
    return Counter({key: getattr(usage, key) or 0 for key in TOLD})


@scenario
def a_sessions_archive_ends_its_children_first(guest: Guest) -> None:
    """The last child first, the primary last, then the session; open calls end with it, and every stream."""
    team = Team(guest, spinner=[TOOL], dyer=[])
    gate = name("dye")
    steps = uses(create("spinner", uses(*look("wool"))), create("dyer", {"text": "dyed", "wait": gate}))
    with team.stream() as stream:
        team.send(say(steps, {"text": "a"}, {"text": "b"}))
        till(stream, rests("weaver"))
        guest.house.waiting(gate)
        guest.house.until("the spinner rests", lambda: team.thread("spinner").status == "idle")
        spinner, dyer = team.thread("spinner"), team.thread("dyer")
        refuses(BadRequestError, lambda: guest.beta.sessions.archive(team.session), "running")
        refuses(BadRequestError, lambda: guest.beta.sessions.delete(team.session), "running")
        with team.follow(spinner.id) as one, team.follow(dyer.id) as other:
            guest.house.release(gate)
            (call,) = stream.idle("requires_action").stop_reason.event_ids
            gone = guest.beta.sessions.archive(team.session)
            same(gone.status, "terminated", "the session")
            rest = [line(event) for event in stream.events]
            streams = [line(event) for event in one.events], [line(event) for event in other.events]
    last = [ends("dyer"), ends("spinner"), ends(WEAVER), "session.status_terminated"]
    same(rest, last, "the session's stream to its end")
    same(streams, ([ends("spinner")], [*reported("dyer", "dyed"), ends("dyer")]), "the children's")
    same([thread.status for thread in team.threads()], ["terminated"] * 3, "the threads")
    same([thread.archived_at is not None for thread in team.threads()], [True] * 3, "when they ended")
    events = [line(event) for event in guest.list(team.session)]
    same(events[-4:], last, "the list's end")
    for late in (result(call, "late"), {"type": "user.interrupt", "session_thread_id": spinner.id}):
        refuses(BadRequestError, lambda late=late: team.send(late))
    with team.follow(dyer.id) as after:
        same([line(event) for event in after.events], [ends("dyer")], "a late stream of a child")
    same(team.archive(spinner.id).status, "terminated", "a child, archived again")


@scenario
def a_deleted_session_takes_its_children_with_it(guest: Guest) -> None:
    """Delete shows session.deleted on the streams of the session and of its children; then all is 404."""
    team = Team(guest, spinner=[TOOL])
    guest.turn(team.session, say(uses(wait("spinner", calls("a")))), stop="requires_action")
    spinner = team.thread("spinner").id
    with team.stream() as outside, team.follow(spinner) as inside:
        guest.beta.sessions.delete(team.session)
        for stream in (outside, inside):
            same([event.type for event in stream.events][-1:], ["session.deleted"], "a stream's end")
    for gone in (team.threads, lambda: team.events(spinner), lambda: team.follow(spinner)):
        refuses(NotFoundError, gone)
    refuses(NotFoundError, lambda: team.archive(spinner))


@scenario
def usage_adds_up_over_the_threads(guest: Guest) -> None:
    """A session's usage is the sum of its threads', ended ones too; each thread's is that of its requests."""
    team = Team(guest, spinner=[], dyer=[])
    spin = {"text": "spun", "usage": TOLD}
    dye = {"text": "dyed", "usage": {key: 10 * count for key, count in TOLD.items()}}
    lead = {key: 100 * count for key, count in TOLD.items()}
    steps = uses(wait("spinner", spin), wait("dyer", dye), usage=lead), {"text": "done", "usage": lead}
    seen = guest.turn(team.session, say(*steps))
    used = {thread.agent.name: spent(thread.usage) for thread in team.threads()}
    wanted = {WEAVER: 200, "spinner": 1, "dyer": 10}
    for agent, times in wanted.items():
        same(used[agent], Counter({key: times * count for key, count in TOLD.items()}), f"of {agent}")
    whole = guest.beta.sessions.retrieve(team.session).usage
    same(spent(whole), Counter({key: 211 * count for key, count in TOLD.items()}), "of the session")
    same(seen[-2].usage.to_dict(), whole.to_dict(), "the usage event")
    team.archive(team.thread("dyer").id)
    guest.turn(team.session, say({"text": "on", "usage": TOLD}))
    whole = guest.beta.sessions.retrieve(team.session).usage
    same(spent(whole), Counter({key: 212 * count for key, count in TOLD.items()}), "after an archive")


@scenario
def a_childs_stats_are_there_from_its_start_and_frozen_at_its_end(guest: Guest) -> None:
    """Stats and usage from the first status on, start-up zero; archived, neither grows."""
    team = Team(guest, spinner=[])
    gate = name("spin")
    with team.stream() as stream:
        team.send(say(uses(create("spinner", {"text": "spun", "wait": gate})), {"text": "a"}, {"text": "b"}))
        till(stream, rests("weaver"))
        guest.house.waiting(gate)
        child = team.thread("spinner")
        same((child.usage.output_tokens, child.stats.startup_seconds), (0, 0.0), "at work for the first time")
        later = team.thread("spinner").stats
        same(later.active_seconds > child.stats.active_seconds, True, "whether active time grows at work")
        guest.house.release(gate)
        stream.idle()
    idle = team.thread("spinner")
    same(idle.usage.output_tokens > 0, True, "usage at rest")
    later = team.thread("spinner").stats
    same(later.active_seconds, idle.stats.active_seconds, "active time at rest")
    same(later.duration_seconds > idle.stats.duration_seconds, True, "whether its life goes on at rest")
    gone = team.archive(idle.id)
    same((gone.usage, gone.stats.active_seconds), (idle.usage, idle.stats.active_seconds), "at its end")
    guest.turn(team.session, say({"text": "more"}))
    same(team.thread("spinner"), gone, "after its end")
    active = guest.beta.sessions.retrieve(team.session).stats.active_seconds
    same(active >= gone.stats.active_seconds, True, "the session's active time")
    wanted = [
        *[*GO, END, *spawned("spinner"), START, *spoke("a"), REST],
        *[*woken("spinner", "spun"), *spoke("b"), *SETTLED, ends("spinner")],
        *[*GO, *spoke("more"), *SETTLED],
    ]
    team.shows(wanted, spinner=[*born("spinner"), *reported("spinner", "spun"), ends("spinner")])


@scenario
def a_shell_ends_with_its_thread(guest: Guest) -> None:
    """Archived or failed, a child's shell and jobs are gone; the files and the others' shells stay."""
    team = Team(guest, TOOLSET, spinner=[TOOLSET], dyer=[TOOLSET])
    house, session = guest.house, team.session
    guest.turn(session, say(uses(bash("MINE=kept")), {"text": "begun"}))
    seen: list[set[int]] = [set()]

    def steady() -> bool:
        """A command's own processes may outlive its answer by a moment."""
        seen.append(house.jail(session))
        return seen[-1] == seen[-2]

    house.until("those are left that stay", steady)
    before = seen[-1]
    leaves = uses(bash("echo left > file; sleep 1000 & sleep 1000 &"))
    guest.turn(session, say(uses(wait("spinner", leaves, {"text": "spun"})), {"text": "well"}))
    same(before < house.jail(session), True, "more processes than before")
    team.archive(team.thread("spinner").id)
    house.until("the archived one's are gone", lambda: house.jail(session) == before)
    guest.turn(session, say(uses(wait("dyer", leaves, {"fail": 400})), {"text": "well"}))
    house.until("the failed one's are gone", lambda: house.jail(session) == before)
    same(team.thread("dyer").status, "terminated", "the failed one")
    same(guest.shell(session, 'echo "$MINE"; cat file'), "kept\nleft\n", "what stays")
