"""Doors: one error of each class, older clients without the SDK, retried requests."""

from __future__ import annotations

import json

from anthropic import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentTooLargeError,
    HTTPNotImplementedError,
    NotFoundError,
)
from anthropic.types.beta import BetaEnvironmentNotFoundError

from guest import MODEL, Guest, name, refuses, same, say
from house import KEY
from scenarios import scenario

OLD = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "anthropic-beta": "managed-agents-2026-04-01"}


@scenario
def each_class_of_error_is_the_sdks_own(guest: Guest) -> None:
    """401, 404, 400, 409, 413 and 501 raise the SDK's classes, with request ids."""
    stranger = Guest(guest.house, guest.house.client(key="wrong"))
    refuses(AuthenticationError, lambda: stranger.beta.agents.list())
    refuses(NotFoundError, lambda: guest.beta.agents.list(workspace_id="wrkspc_1111111111111111111zzz"))
    refuses(BadRequestError, lambda: guest.beta.agents.list(workspace_id="default"), "anthropic-workspace-id")
    refuses(NotFoundError, lambda: guest.beta.sessions.retrieve("sesn_1111111111111111111112"))
    refuses(BadRequestError, lambda: guest.beta.agents.create(name="x", model={"id": 3}), "model.id")
    twin = guest.environment()
    refuses(ConflictError, lambda: guest.beta.environments.create(name=twin.name))
    refuses(ContentTooLargeError, lambda: guest.agent(system="x" * (33 << 20)))
    patient = guest.house.client(retries=2)
    before = len(guest.house.judge.requests)
    refuses(HTTPNotImplementedError, lambda: patient.beta.vaults.list())
    same(len(guest.house.judge.requests) - before, 1, "what is not built is asked for once")


@scenario
def the_doors_are_checked_in_order(guest: Guest) -> None:
    """Unknown paths are 404 even without a key, wrong methods 405, then the key, then the body."""
    raw = guest.house.raw
    same(raw("GET", "/v1/nothing").status_code, 404, "an unknown path without a key")
    same(raw("PUT", "/v1/agents").status_code, 405, "a wrong method without a key")
    same(raw("POST", "/v1/agents", content=b"{").status_code, 401, "no key")
    same(raw("POST", "/v1/agents", content=b"{", headers=OLD).status_code, 400, "no JSON")
    for path in ("/healthz", "/readyz", "/metrics"):
        same(raw("GET", path).status_code, 200, path)


@scenario
def an_older_client_is_served(guest: Guest) -> None:
    """x-api-key, ?beta=true, an older version, bracketed scalars, POSTs without a body or content type."""
    raw = guest.house.raw
    guest.agent()
    body = {"name": name("old"), "model": MODEL}
    agent = raw("POST", "/v1/agents?beta=true", json=body, headers=OLD).json()
    bare = {"x-api-key": KEY}
    same(raw("GET", f"/v1/agents/{agent['id']}?beta=true", headers=bare).json(), agent, "without any version")
    first = raw("GET", "/v1/agents?beta=true&limit[]=9&limit[]=1", headers=OLD).json()
    same(len(first["data"]), 1, "the last of two limits")
    page = first["next_page"]
    second = raw("GET", f"/v1/agents?limit%5B%5D=1&page[]=nonsense&page[]={page}", headers=OLD).json()
    same(len(second["data"]), 1, "the last of two pages")
    unknown = raw("GET", "/v1/agents?limit=1&after=x", headers=OLD)
    same((unknown.status_code, "`page`" in unknown.text), (400, True), "a parameter that nobody knows")
    same(raw("GET", "/v1/agents?limit=0", headers=OLD).status_code, 200, "limit=0")
    made = {"name": name("old")}
    environment = raw("POST", "/v1/environments", content=json.dumps(made), headers=OLD).json()
    opening = {"agent": agent["id"], "environment_id": environment["id"]}
    session = raw("POST", "/v1/sessions?beta=true", json=opening, headers=OLD).json()["id"]
    kinds = "types[0]=user.message&types=agent.message"
    same(raw("GET", f"/v1/sessions/{session}/events?{kinds}", headers=OLD).json()["data"], [], "no events")
    archived = raw("POST", f"/v1/sessions/{session}/archive", headers=OLD)
    same((archived.status_code, archived.json()["status"]), (200, "terminated"), "a POST without a body")
    same(
        raw(
            "POST", f"/v1/agents/{agent['id']}/archive", headers=OLD | {"content-type": "application/json"}
        ).status_code,
        200,
        "an empty JSON body",
    )


@scenario
def a_retried_post_gets_the_first_answer(guest: Guest) -> None:
    """The SDK's retry of a POST whose answer was lost happens once."""
    session = guest.session().id
    body = json.dumps({"events": [say({"text": "once"})]})
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    path = f"/v1/sessions/{session}/events"
    with guest.stream(session) as stream:
        first = guest.house.raw(
            "POST", path, content=body, headers=headers | {"x-stainless-retry-count": "0"}
        )
        again = guest.house.raw(
            "POST", path, content=body, headers=headers | {"x-stainless-retry-count": "1"}
        )
        same(again.json(), first.json(), "the second answer")
        stream.idle()
    same(len(guest.list(session, types=["user.message"])), 1, "messages")


@scenario
def who_comes_from_elsewhere_is_told_what_to_change(guest: Guest) -> None:
    """A base URL with /v1, the Messages API, a provider's key, another server's ids, the vendor's config."""
    beta = guest.beta
    behind = guest.client.with_options(base_url=f"{guest.house.server.url}/v1")
    refuses(NotFoundError, lambda: behind.beta.agents.list(), "take it off the end of the base URL")
    said = [{"role": "user", "content": "hi"}]
    refuses(
        NotFoundError,
        lambda: guest.client.messages.create(model=MODEL, max_tokens=9, messages=said),
        "create an agent and a session",
    )
    stranger = guest.house.client(key="sk-ant-api03-secret")
    refuses(AuthenticationError, lambda: stranger.beta.agents.list(), "`heddle keys create NAME`")
    unknown = "ids of another server are unknown"
    theirs = {"agent": "agent_011CZkYpogX7uDKUyvBTophP", "environment_id": "env_011CZkZ9X2dpNyB7HsEFoRfW"}
    ours = {"agent": guest.agent().id, "environment_id": guest.environment().id}
    for field, kind in (("agent", NotFoundError), ("environment_id", BetaEnvironmentNotFoundError)):
        mixed = ours | {field: theirs[field]}
        refuses(kind, lambda mixed=mixed: beta.sessions.create(**mixed), field, unknown)
    refuses(NotFoundError, lambda: beta.agents.retrieve(theirs["agent"]), unknown)
    refuses(NotFoundError, lambda: beta.sessions.retrieve("sesn_011CZkZAtmR3yMPDzynEDxu7"), unknown)
    refuses(BadRequestError, lambda: beta.agents.retrieve("my-agent"), "agent_id", "`agent_` and 22")
    made = beta.environments.create(name=name("vendor"), config={"type": "anthropic_cloud"})
    same(made.config.type, "cloud", "the vendor's older word")
