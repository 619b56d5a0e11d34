"""Environments: create, retrieve, list, update, archive, delete."""

from __future__ import annotations

from anthropic import BadRequestError, ConflictError
from anthropic.types.beta import BetaEnvironmentArchivedError, BetaEnvironmentNotFoundError

from guest import Guest, name, refuses, same, say
from scenarios import scenario

PACKAGES = {"apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []}


@scenario
def an_environment_has_a_whole_config(guest: Guest) -> None:
    """Whatever is left out of the config, the answer holds it whole."""
    environments = guest.beta.environments
    called = name("whole")
    made = environments.create(name=called, description="d", metadata={"k": "v"})
    same(
        (made.type, made.name, made.description, made.metadata),
        ("environment", called, "d", {"k": "v"}),
        "it",
    )
    same((made.scope, made.archived_at), ("organization", None), "scope and archive")
    same((made.config.type, made.config.networking.type), ("cloud", "unrestricted"), "the config")
    packages = made.config.packages.to_dict()
    packages.pop("type", None)
    same(packages, PACKAGES, "the packages")
    same(environments.retrieve(made.id), made, "read back")
    limited = {"type": "limited", "allowed_hosts": ["example.com"]}
    other = guest.environment(config={"type": "cloud", "networking": limited})
    same(other.config.networking.allowed_hosts, ["example.com"], "allowed hosts")
    bad = {"type": "limited", "allowed_hosts": ["https://example.com/x"]}
    refuses(
        BadRequestError,
        lambda: guest.environment(config={"type": "cloud", "networking": bad}),
        "allowed_hosts",
    )
    refuses(
        BadRequestError,
        lambda: guest.environment(config={"type": "cloud", "packages": {"pip": ["x"]}}),
        "packages",
        "is not supported yet",
    )


@scenario
def environments_are_listed_in_pages(guest: Guest) -> None:
    """Environments are listed, newest first, archived ones on demand."""
    environments = guest.beta.environments
    made = [guest.environment().id for _ in range(3)]
    listed = [environment.id for environment in environments.list(limit=2)]
    same(listed[:3], made[::-1], "the newest")
    environments.archive(made[1])
    same(made[1] in [environment.id for environment in environments.list()], False, "archived, left out")
    everything = [environment.id for environment in environments.list(include_archived=True)]
    same(made[1] in everything, True, "archived, on demand")


@scenario
def an_environment_is_updated_archived_and_deleted(guest: Guest) -> None:
    """Updates merge; an archived one is not updated and opens no session; a deleted one is gone."""
    environments = guest.beta.environments
    made = guest.environment(description="d", metadata={"a": "1", "b": "2"})
    after = environments.update(made.id, description="new", metadata={"a": None, "b": "", "c": "3"})
    same((after.description, after.metadata, after.name), ("new", {"c": "3"}, made.name), "the update")
    same(environments.retrieve(made.id), after, "read back")
    gone = environments.archive(made.id)
    same(gone.archived_at is not None, True, "archived_at")
    same(environments.archive(made.id), gone, "archived again")
    refuses(BetaEnvironmentArchivedError, lambda: environments.update(made.id, description="x"))
    agent = guest.agent()
    refuses(
        BetaEnvironmentArchivedError,
        lambda: guest.beta.sessions.create(agent=agent.id, environment_id=made.id),
    )
    deleted = environments.delete(made.id)
    same((deleted.id, deleted.type), (made.id, "environment_deleted"), "the deletion")
    refuses(BetaEnvironmentNotFoundError, lambda: environments.retrieve(made.id))
    refuses(
        BetaEnvironmentNotFoundError,
        lambda: guest.beta.sessions.create(agent=agent.id, environment_id=made.id),
    )


@scenario
def an_environment_that_is_used_is_deleted_by_force_alone(guest: Guest) -> None:
    """409 that counts what uses it and is not to be retried; with force it goes, and its session goes on."""
    made = guest.environment()
    agent = guest.agent()
    session = guest.beta.sessions.create(agent=agent.id, environment_id=made.id).id
    delete = guest.beta.environments.delete
    error = refuses(ConflictError, lambda: delete(made.id), "1 active session;", "force=true")
    same(error.response.headers["x-should-retry"], "false", "x-should-retry")
    same(delete(made.id, extra_query={"force": True}).id, made.id, "the deletion")
    guest.turn(session, say({"text": "still here"}))
