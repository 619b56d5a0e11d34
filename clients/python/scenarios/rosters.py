"""Rosters: how coordinators are saved, pinned, changed, refused, and whole in their sessions."""

from __future__ import annotations

from typing import Any

from anthropic import BadRequestError

from guest import MODEL, TOOL, Guest, name, refuses, same, say, uses
from scenarios import scenario
from team import FOUR, UP, Team, coordinator, create, wait


def pinned(*agents: Any) -> dict[str, Any]:
    """A roster as it is shown: every entry with the version that was settled when it was saved."""
    return coordinator(*({"type": "agent", "id": agent.id, "version": agent.version} for agent in agents))


@scenario
def a_roster_is_pinned_when_it_is_saved(guest: Guest) -> None:
    """Ids, pinned versions and self come back as versions, and follow no later one."""
    agents = guest.beta.agents
    one, old, late = guest.agent(), guest.agent(), guest.agent(description="first")
    agents.update(old.id, version=1, description="second")
    entry = {"type": "agent", "id": old.id, "version": 1}
    given = guest.agent(
        multiagent=coordinator(one.id, entry, {"type": "agent", "id": late.id}, {"type": "self"})
    )
    wanted = pinned(one, old, late, given)
    same(given.multiagent.to_dict(), wanted, "the roster")
    same(agents.retrieve(given.id), given, "what is read back")
    agents.update(late.id, version=1, description="second")
    same(agents.retrieve(given.id).multiagent.to_dict(), wanted, "after a member's next version")
    members = guest.session(agent=given.id).agent.multiagent.agents
    same([(agent.id, agent.version) for agent in members][2], (late.id, 1), "the session's")
    same(members[2].description, "first", "as it was when the roster was saved")


@scenario
def an_update_replaces_clears_or_keeps_a_roster(guest: Guest) -> None:
    """A roster that is sent replaces and is pinned anew, self too; null clears it, none keeps it."""
    agents = guest.beta.agents
    one, two = guest.agent(), guest.agent()
    first = guest.agent(multiagent=coordinator(one.id, {"type": "self"}))
    kept = agents.update(first.id, version=1, description="new")
    same((kept.version, kept.multiagent.to_dict()), (2, pinned(one, kept)), "left out")
    same(
        agents.update(first.id, version=2, multiagent=coordinator(one.id, {"type": "self"})), kept, "no news"
    )
    agents.update(one.id, version=1, description="later")
    again = agents.update(first.id, version=2, multiagent=coordinator(one.id, two.id, {"type": "self"}))
    same(again.version, 3, "the version")
    same(again.multiagent.to_dict(), pinned(agents.retrieve(one.id), two, again), "replaced")
    cleared = agents.update(first.id, version=3, multiagent=None)
    same((cleared.version, cleared.multiagent), (4, None), "cleared")
    same(agents.retrieve(first.id, version=1), first, "the first version as it was")
    own = agents.update(first.id, version=4, multiagent=coordinator(first.id))
    same((own.version, own.multiagent.to_dict()), (5, pinned(own)), "its own id, which is self")
    same(agents.update(first.id, version=5, multiagent=own.multiagent.to_dict()), own, "as it was answered")
    old = {"type": "agent", "id": first.id, "version": 1}
    refuses(
        BadRequestError,
        lambda: agents.update(first.id, version=5, multiagent=coordinator(old)),
        "agents.0",
        '"type": "self"',
    )


@scenario
def a_bad_roster_is_refused_by_its_entry(guest: Guest) -> None:
    """Empty, 21, twice, unknown, archived, nested, reserved, of one name, of another kind: 400 by path."""
    agents = guest.beta.agents
    one, gone = guest.agent(), guest.agent()
    agents.archive(gone.id)
    lead = guest.agent(multiagent=coordinator(one.id))
    twin = guest.agent(name=one.name)

    def refused(given: dict[str, Any], *words: str) -> None:
        refuses(BadRequestError, lambda: guest.agent(multiagent=given), *words)

    many = [guest.agent().id for _ in range(21)]
    refused(coordinator(), "multiagent.agents", "1")
    refused(coordinator(*many), "multiagent.agents", "20")
    same(len(guest.agent(multiagent=coordinator(*many[1:])).multiagent.agents), 20, "twenty are well")
    refused(coordinator(one.id, {"type": "agent", "id": one.id, "version": 1}), "multiagent.agents.1")
    refused(coordinator({"type": "self"}, {"type": "self"}), "multiagent.agents.1")
    refused(coordinator("agent_1111111111111111111112"), "multiagent.agents.0")
    refused(coordinator(one.id, {"type": "agent", "id": twin.id, "version": 9}), "multiagent.agents.1", "9")
    refused(coordinator(gone.id), "multiagent.agents.0", "archived")
    refused(coordinator(one.id, lead.id), "multiagent.agents.1", "roster")
    refused(coordinator(one.id, twin.id), "multiagent.agents.1", one.name)
    reserved = guest.agent(name="anthropic.advisor")
    refused(coordinator(reserved.id), "multiagent.agents.0", "reserved")
    refuses(
        BadRequestError,
        lambda: guest.agent(name=one.name, multiagent=coordinator(one.id, {"type": "self"})),
        "multiagent.agents.1",
        one.name,
    )
    refused({"type": "multiagent_20261001"}, "multiagent.type", "is not supported yet")
    advisor = {"type": "advisor", "model": MODEL}
    refused(coordinator(one.id, advisor), "multiagent.agents.1.type", "is not supported yet")
    refused(coordinator(one.id) | {"colour": "red"}, "multiagent.colour")


@scenario
def a_tool_named_like_a_delegation_tool_is_a_conflict(guest: Guest) -> None:
    """On a coordinator, on a member and on a session's overrides; without a roster the name is free."""
    roster = coordinator(guest.agent().id)
    lead = guest.agent(multiagent=roster)

    def conflicts(taken: str) -> None:
        """A tool of this name is refused wherever there is a roster."""
        tool = TOOL | {"name": taken}
        free = guest.agent(tools=[tool])
        both, listed = {"tools": [TOOL, tool], "multiagent": roster}, coordinator({"type": "self"}, free.id)
        changed = {"type": "agent_with_overrides", "id": lead.id, "tools": [tool]}
        update = guest.beta.agents.update
        for attempt, *words in (
            (lambda: guest.agent(**both), "tools.1.name", taken),
            (lambda: guest.agent(multiagent=listed), "multiagent.agents.1", taken),
            (lambda: update(free.id, version=1, multiagent=roster), "tools.0.name"),
            (lambda: guest.session(agent=changed), "agent.tools.0.name"),
        ):
            refuses(BadRequestError, attempt, *words)

    for taken in [*FOUR, UP]:
        conflicts(taken)


@scenario
def a_member_that_is_archived_later_opens_no_new_session(guest: Guest) -> None:
    """The sessions there are go on with it; a new one is refused until the roster names another."""
    team = Team(guest, spinner=[], dyer=[])
    spinner = team.agents["spinner"].id
    guest.beta.agents.archive(spinner)
    refuses(BadRequestError, lambda: guest.session(agent=team.weaver.id), "multiagent.agents.0", "archived")
    guest.turn(team.session, say(uses(wait("spinner", {"text": "spun"})), {"text": "well"}))
    same(team.thread("spinner").agent.id, spinner, "the child")
    other = coordinator(team.agents["dyer"].id)
    guest.beta.agents.update(team.weaver.id, version=1, multiagent=other)
    same(len(guest.session(agent=team.weaver.id).agent.multiagent.agents), 1, "a new session's members")


@scenario
def an_update_of_a_session_keeps_its_roster_and_its_children(guest: Guest) -> None:
    """New tools of a coordinator leave roster and children as they are; delegation names stay taken."""
    team = Team(guest, TOOL, spinner=[TOOL])
    sessions, kept = guest.beta.sessions, name("kept")
    guest.turn(team.session, say(uses(wait("spinner", {"text": "spun"})), {"text": "well"}))
    before = sessions.retrieve(team.session).agent
    child = team.thread("spinner")
    taken = TOOL | {"name": FOUR[0]}
    refuses(
        BadRequestError,
        lambda: sessions.update(team.session, agent={"tools": [taken]}),
        "agent.tools.0",
    )
    after = sessions.update(team.session, agent={"tools": []}).agent
    same((after.tools, after.multiagent), ([], before.multiagent), "the agent")
    guest.turn(team.session, say({"text": "on", "keep": kept}))
    same([tool["name"] for tool in guest.house.asked(kept)["tools"]], FOUR, "what it is offered")
    same(team.thread("spinner").agent, child.agent, "the child's agent")


@scenario
def a_session_shows_the_roster_whole_and_its_overrides_reach_the_self_copy(guest: Guest) -> None:
    """A session holds each member's definition; what it changes on its agent holds for the agent's copy."""
    member = guest.agent(description="spins", system="Spin.")
    lead = guest.agent(system="Lead.", multiagent=coordinator(member.id, {"type": "self"}))
    plain = guest.session(agent=lead.id)
    left_out = {"type", "metadata", "multiagent", "created_at", "updated_at", "archived_at"}

    def whole(agent: Any) -> dict[str, Any]:
        return {key: value for key, value in agent.to_dict().items() if key not in left_out}

    same(
        [whole(agent) for agent in plain.agent.multiagent.agents], [whole(member), whole(lead)], "the members"
    )
    other = TOOL | {"name": "other"}
    changed = {"type": "agent_with_overrides", "id": lead.id, "system": "Lead well.", "tools": [other]}
    session = guest.session(agent=changed)
    members = [whole(agent) for agent in session.agent.multiagent.agents]
    own = whole(lead) | {"system": "Lead well.", "tools": session.agent.to_dict()["tools"]}
    same(members, [whole(member), own], "the members of a changed one")
    same(guest.beta.sessions.retrieve(session.id).agent, session.agent, "read back")
    kept = name("kept")
    guest.turn(session.id, say(uses(wait(lead.name, {"text": "done", "keep": kept})), {"text": "well"}))
    asked = guest.house.asked(kept)
    same([text["text"] for text in asked["system"]], ["Lead well."], "the copy's system prompt")
    same([tool["name"] for tool in asked["tools"]], ["other", UP], "the copy's tools")
    child = guest.beta.sessions.threads.list(session.id).data[1]
    same(whole(child.agent), own, "the copy's thread")


@scenario
def who_delegates_is_offered_the_tools_for_it(guest: Guest) -> None:
    """A coordinator gets four tools that name its roster, a child send_to_parent, anybody else none."""
    team = Team(guest, TOOL, spinner=[], dyer=[])
    lead, child = name("kept"), name("kept")
    guest.turn(
        team.session,
        say(
            uses(create("spinner", {"text": "spun", "keep": child}), keep=lead), {"text": "a"}, {"text": "b"}
        ),
    )
    offered = {tool["name"]: tool for tool in guest.house.asked(lead)["tools"]}
    same(list(offered), ["look_up", *FOUR], "the coordinator's")
    for tool in FOUR[:2]:
        given = offered[tool]["input_schema"]["properties"]
        same(given["agent"]["enum"], ["spinner", "dyer"], "whom it may call")
    same([tool["name"] for tool in guest.house.asked(child)["tools"]], [UP], "the child's")
    alone = name("kept")
    guest.turn(guest.session(agent=team.agents["dyer"].id).id, say({"text": "x", "keep": alone}))
    same(guest.house.asked(alone).get("tools") or [], [], "of one alone")
