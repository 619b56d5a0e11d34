"""Agents: create, retrieve, list, update, archive, versions."""

from __future__ import annotations

import datetime
from itertools import pairwise

from anthropic import BadRequestError, ConflictError, NotFoundError

from guest import MODEL, TOOL, Guest, name, refuses, same
from scenarios import scenario


@scenario
def an_agent_is_created_whole_and_read_back(guest: Guest) -> None:
    """An agent is created with every field, and read back the same."""
    agents = guest.beta.agents
    called = name("whole")
    given = agents.create(
        name=called, model={"id": MODEL}, description="d", system="s", tools=[TOOL], metadata={"k": "v"}
    )
    same((given.type, given.name, given.version), ("agent", called, 1), "the agent")
    same((given.model.id, given.model.speed), (MODEL, "standard"), "the model")
    same((given.description, given.system, given.metadata), ("d", "s", {"k": "v"}), "the texts")
    same([(tool.type, tool.name) for tool in given.tools], [("custom", "look_up")], "the tools")
    same(
        (given.mcp_servers, given.skills, given.multiagent, given.archived_at),
        ([], [], None, None),
        "the rest",
    )
    same(given.execution_identity.type, "service_account", "the identity")
    same(agents.retrieve(given.id), given, "what is read back")
    same(agents.retrieve(given.id, version=1), given, "version 1")
    bare = agents.create(name=name("bare"), model=MODEL)
    same(
        (bare.description, bare.system, bare.tools, bare.metadata), (None, None, [], {}), "what was left out"
    )


@scenario
def agents_are_listed_newest_first_in_pages(guest: Guest) -> None:
    """Lists of agents page, newest first, with filters on time and archive."""
    agents = guest.beta.agents
    made = [guest.agent() for _ in range(5)]
    ids = [agent.id for agent in reversed(made)]
    walked = [agent.id for agent in agents.list(limit=2, created_at_gte=made[0].created_at)]
    same(walked, ids, "pages of two")
    first = agents.list(limit=2)
    same(len(first.data), 2, "the first page")
    refuses(BadRequestError, lambda: agents.list(limit=101), "limit")
    refuses(BadRequestError, lambda: agents.list(page="nonsense"), "page")
    before = made[0].created_at - datetime.timedelta(microseconds=1)
    here = {agent.id for agent in agents.list(created_at_lte=before)}
    same(here & set(ids), set(), "agents older than the first")
    agents.archive(made[2].id)
    same(made[2].id in {agent.id for agent in agents.list(limit=100)}, False, "archived ones are left out")
    with_archived = agents.list(limit=100, include_archived=True)
    same(made[2].id in {agent.id for agent in with_archived}, True, "archived ones on demand")


@scenario
def an_update_merges_and_makes_versions(guest: Guest) -> None:
    """Left out keeps, null clears, metadata is patched by key, arrays are replaced, no news is no version."""
    agents = guest.beta.agents
    one = guest.agent(description="d", system="s", metadata={"a": "1", "b": "2"})
    two = agents.update(one.id, version=1, description="new", metadata={"a": None, "c": "3"})
    same((two.version, two.description, two.system, two.name), (2, "new", "s", one.name), "version 2")
    same((two.metadata, two.tools), ({"b": "2", "c": "3"}, one.tools), "what was kept")
    same(agents.update(one.id, version=2, description="new"), two, "a change of nothing")
    three = agents.update(one.id, version=2, description=None, system=None, tools=[])
    same((three.version, three.description, three.system, three.tools), (3, None, None, []), "version 3")
    same(agents.retrieve(one.id, version=1), one, "version 1 as it was")
    same([agent.version for agent in agents.versions.list(one.id, limit=2)], [3, 2, 1], "the versions")
    for older, newer in pairwise(agents.versions.list(one.id).data[::-1]):
        same((newer.id, newer.version), (older.id, older.version + 1), "a version")


@scenario
def a_stale_update_is_a_conflict_and_not_retried(guest: Guest) -> None:
    """A stale version is 409, for a change of nothing as well, and the SDK does not try again."""
    patient = Guest(guest.house, guest.house.client(retries=2))
    agents = patient.beta.agents
    one = patient.agent()
    agents.update(one.id, version=1, description="x")
    requests = guest.house.judge.requests
    before = len(requests)
    refuses(ConflictError, lambda: agents.update(one.id, version=1, description="y"))
    refuses(ConflictError, lambda: agents.update(one.id, version=1, description="x"))
    same(len(requests) - before, 2, "requests for two refusals")
    same(agents.retrieve(one.id).version, 2, "the version")


@scenario
def an_archived_agent_stays_readable_and_unchanged(guest: Guest) -> None:
    """Archive is idempotent; what is archived is not updated and opens no session."""
    agents = guest.beta.agents
    one = guest.agent()
    gone = agents.archive(one.id)
    same(gone.archived_at is not None, True, "archived_at")
    same(agents.archive(one.id), gone, "archived again")
    same(agents.retrieve(one.id), gone, "read back")
    refuses(BadRequestError, lambda: agents.update(one.id, version=1, description="x"), "archived")
    refuses(BadRequestError, lambda: guest.session(agent=one.id), "archived")


@scenario
def a_bad_agent_is_refused_by_the_name_of_its_field(guest: Guest) -> None:
    """Mistakes name their field; what is not built says so; what is not there is 404."""
    agents = guest.beta.agents
    refuses(BadRequestError, lambda: agents.create(name="", model=MODEL), "name")
    refuses(BadRequestError, lambda: agents.create(name="x", model="no-such-model"), "model")
    refuses(
        BadRequestError,
        lambda: agents.create(name="x", model=MODEL, tools=[TOOL | {"name": "a b"}]),
        "tools.0.name",
    )
    refuses(BadRequestError, lambda: agents.create(name="x", model=MODEL, tools=[TOOL, TOOL]), "tools.1")
    server = {"type": "url", "name": "m", "url": "https://example.com"}
    unbuilt = "is not supported yet"
    refuses(
        BadRequestError,
        lambda: agents.create(name="x", model=MODEL, mcp_servers=[server]),
        "mcp_servers",
        unbuilt,
    )
    refuses(BadRequestError, lambda: guest.agent(extra_body={"colour": "red"}), "colour")
    refuses(NotFoundError, lambda: agents.retrieve("agent_1111111111111111111112"))
    one = guest.agent()
    refuses(NotFoundError, lambda: agents.retrieve(one.id, version=99))
