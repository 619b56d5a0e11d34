"""Holds answers and stream events against the contract, more strictly than any client would.

Every property of a schema is there (null where unset) and none beyond.
`session.updated` carries only what changed.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import re
from typing import Any

FILE = pathlib.Path(__file__).resolve().parents[1] / "contract" / "contract.json"
# Schemas that hold a JSON Schema of the user's own: any key may stand there.
FREE = {"BetaManagedAgentsCustomToolInputSchema"}
# Events that leave out what did not change.
SPARSE = {"session.updated"}
# What leads from a page to the next one, by the class that the client makes of it.
TOKENS = {
    "PageCursor": {"next_page"},
    "BidirectionalPageCursor": {"next_page", "prev_page"},
    "Page": {"has_more", "first_id", "last_id"},
}
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


class Contract:
    """The operations and schemas of one contract file."""

    def __init__(self, path: pathlib.Path = FILE) -> None:
        document = json.loads(path.read_text())
        self.schemas: dict[str, Any] = document["components"]["schemas"]
        self.operations = []
        for operation in document["operations"]:
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", operation["path"])
            self.operations.append((operation["http"], re.compile(pattern + "$"), operation))
        # A literal segment beats a parameter: /v1/sessions/{id}/events/stream has no twin, but be sure.
        self.operations.sort(key=lambda entry: entry[2]["path"].count("{"))

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation that answers `method` and `path`."""
        for http, pattern, operation in self.operations:
            if http == method and pattern.match(path):
                return operation
        return None

    def answer(self, method: str, path: str, body: Any) -> list[str]:
        """What is wrong with the body of a 200."""
        operation = self.operation(method, path)
        if operation is None:
            return [f"{method} {path} is no operation of the contract"]
        name = operation["operation"]
        if "item" not in operation:
            return [f"{name}: {said}" for said in self.held(operation.get("response", {}), body, "$")]
        if not isinstance(body, dict):
            return [f"{name}: a page is an object, not {body!r}"]
        tokens = TOKENS[operation["page_class"].removeprefix("Sync")]
        if set(body) != tokens | {"data"}:
            return [f"{name}: a page has {sorted(tokens | {'data'})}, not {sorted(body)}"]
        wrong = [
            f"{name}: {key} is {body[key]!r}"
            for key in tokens
            if not isinstance(body[key], bool if key == "has_more" else str | None)
        ]
        for place, item in enumerate(body["data"]):
            wrong += [f"{name}: {said}" for said in self.held(operation["item"], item, f"$.data[{place}]")]
        return wrong

    def event(self, method: str, path: str, event: Any) -> list[str]:
        """What is wrong with one event of a stream."""
        operation = self.operation(method, path)
        if operation is None or "event" not in operation:
            return [f"{method} {path} is no stream of the contract"]
        return [f"{operation['operation']}: {said}" for said in self.held(operation["event"], event, "$")]

    def held(self, schema: dict[str, Any], value: Any, where: str) -> list[str]:
        """What is wrong with `value` by `schema`."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[-1]
            if name in FREE:
                return [] if isinstance(value, dict) else [f"{where} is no object"]
            return self.held(self.schemas[name], value, where)
        if "anyOf" in schema:
            return self.one_of(schema["anyOf"], value, where)
        if "const" in schema and value != schema["const"]:
            return [f"{where} is {value!r}, not {schema['const']!r}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{where} is {value!r}, none of {schema['enum']}"]
        kind = schema.get("type")
        if kind == "null":
            return [] if value is None else [f"{where} is not null"]
        if kind is None:
            return []
        if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            return [f"{where} is {value!r}, no {kind}"]
        if schema.get("format") == "date-time":
            return timed(value, where)
        if kind == "array":
            items = schema.get("items", {})
            return [
                said
                for place, item in enumerate(value)
                for said in self.held(items, item, f"{where}[{place}]")
            ]
        return self.object(schema, value, where) if kind == "object" else []

    def object(self, schema: dict[str, Any], value: dict[str, Any], where: str) -> list[str]:
        properties = schema.get("properties")
        if properties is None:
            rest = schema.get("additionalProperties", {})
            rest = rest if isinstance(rest, dict) else {}
            return [said for key, item in value.items() for said in self.held(rest, item, f"{where}.{key}")]
        sparse = value.get("type") in SPARSE
        wrong = [f"{where}.{key} is not in the contract" for key in value if key not in properties]
        for key, inner in properties.items():
            if key in value:
                wrong += self.held(inner, value[key], f"{where}.{key}")
            elif not sparse or key in schema.get("required", []):
                wrong.append(f"{where}.{key} is missing")
        return wrong

    def one_of(self, branches: list[dict[str, Any]], value: Any, where: str) -> list[str]:
        said = [self.held(branch, value, where) for branch in self.fitting(branches, value)]
        return min(said, key=len, default=[f"{where} is {value!r}, which fits no form"])

    def fitting(self, branches: list[dict[str, Any]], value: Any) -> list[dict[str, Any]]:
        """The branches that the value's `type` names; all of them without one."""
        if not isinstance(value, dict) or "type" not in value:
            return branches
        named = []
        for branch in branches:
            whole = self.schemas[branch["$ref"].rsplit("/", 1)[-1]] if "$ref" in branch else branch
            if whole.get("properties", {}).get("type", {}).get("const") == value["type"]:
                named.append(branch)
        return named or branches


def timed(value: str, where: str) -> list[str]:
    """What is wrong with a time: it needs a zone."""
    try:
        stamp = datetime.datetime.fromisoformat(value)
    except ValueError:
        return [f"{where} is {value!r}, no time"]
    return [] if stamp.tzinfo else [f"{where} is {value!r}, a time without a zone"]


def refused(status: int, headers: Any, body: Any) -> list[str]:
    """What is wrong with the body of an error."""
    if not isinstance(body, dict) or set(body) != {"type", "error", "request_id"} or body["type"] != "error":
        return [f"an error {status} is {body!r}"]
    error = body["error"]
    wrong = []
    if not isinstance(error, dict) or not {"type", "message"} <= set(error) <= {"type", "message", "details"}:
        wrong.append(f"the error of a {status} is {error!r}")
    if body["request_id"] != headers.get("request-id"):
        wrong.append(f"request_id {body['request_id']!r} is not the header {headers.get('request-id')!r}")
    return wrong
