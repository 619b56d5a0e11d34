"""What the attack knows of the server: ids that exist, and what no body of the right shape may be told."""

from __future__ import annotations

import json
import os
import pathlib
import re
import zlib
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

WORLD: dict[str, Any] = json.loads(pathlib.Path(os.environ["HEDDLE_WORLD"]).read_text())
# How a reader speaks of a body that has the wrong shape.
MALFORMED = (
    "unknown field",
    "expected a",
    "this field is required",
    "must have at ",
    "must be between",
    "is not one of",
    "not valid JSON",
)
BASE58 = "[1-9A-HJ-NP-Za-km-z]"
# What the world has ids of, by their prefix.
KINDS = {
    "agent": "agents",
    "env": "environments",
    "sesn": "sessions",
    "sthr": "threads",
    "sevt": "events",
    "wrkspc": "workspaces",
}

http = requests.Session()
http.trust_env = False
http.headers["x-api-key"] = WORLD["key"]


def known(kind: str, prefix: str) -> None:
    """Makes ids of a kind: mostly some that exist."""
    strange = st.from_regex(f"^{prefix}_[1-9A-HJ-NP-X]{BASE58}{{21}}$", fullmatch=True)
    names = st.sampled_from(WORLD[kind])
    schemathesis.openapi.format(f"{prefix}-id", st.one_of(names, names, names, strange))


for prefix, kind in KINDS.items():
    known(kind, prefix)
schemathesis.openapi.format("model-id", st.sampled_from(["heddle-demo", "claude-opus-5", "no-such-model"]))


def made(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Something new on the server."""
    answer = http.post(WORLD["url"] + path, json=body, timeout=20)
    answer.raise_for_status()
    return answer.json()


fresh = iter(range(10**9))


def victim(operation: str) -> dict[str, str]:
    """Something to end: what the other cases need must stay."""
    if operation.startswith("environments."):
        return {"environment_id": made("/v1/environments", {"name": f"victim {next(fresh)}"})["id"]}
    if operation.startswith("agents."):
        return {"agent_id": made("/v1/agents", {"name": "victim", "model": "heddle-demo"})["id"]}
    body = {"agent": WORLD["plain"], "environment_id": WORLD["home"]}
    return {"session_id": made("/v1/sessions", body)["id"]}


ID = re.compile(f"({'|'.join(KINDS)})_{BASE58}{{22}}")


def settled(value: Any) -> Any:
    """The value with most of its ids changed into some that exist: not all of the attack asks `known`."""
    if isinstance(value, dict):
        return {key: settled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [settled(inner) for inner in value]
    found = ID.fullmatch(value) if isinstance(value, str) else None
    names = WORLD[KINDS[found[1]]] if found else ()
    dice = zlib.crc32(value.encode()) if found else 0
    return value if not found or value in names or dice % 8 == 0 else names[dice % len(names)]


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Puts ids together that belong together."""
    operation = case.operation.definition.raw.get("operationId", "")
    given = case.path_parameters
    for part in (case.path_parameters, case.query, case.headers):
        for name in part or ():
            part[name] = settled(part[name])
    if isinstance(case.body, (dict, list)):
        case.body = settled(case.body)
    session = given.get("session_id")
    if operation.endswith(".stream") and session in WORLD["sessions"]:
        # Only the stream of an ended session ends.
        given["session_id"] = session = WORLD["ended"]
    if session in WORLD["families"] and given.get("thread_id") in WORLD["threads"]:
        threads = WORLD["families"][session]
        given["thread_id"] = threads[zlib.crc32(given["thread_id"].encode()) % len(threads)]
    ends = operation.endswith((".archive", ".delete")) and "threads" not in operation
    if ends and any(given.get(name) in WORLD["all"] for name in ("agent_id", "environment_id", "session_id")):
        given.update(victim(operation))


@schemathesis.check
def right_shapes_are_not_called_wrong(ctx: Any, response: Any, case: schemathesis.Case) -> None:
    """A body made from its schema is not refused for its shape."""
    mode = case.meta.generation.mode if case.meta else None
    if response.status_code != 400 or mode != GenerationMode.POSITIVE:
        return
    message = response.json()["error"]["message"]
    if any(word in message for word in MALFORMED):
        raise AssertionError(f"made from the schema, and refused for its shape: {message}")
