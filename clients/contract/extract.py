"""Writes the contract: what the official Python SDK says of every operation of the managed-agents API.

Usage: python extract.py OUTPUT.json

The SDK is generated from the API's own description, so its methods hold the operations (verb, path, names on
the wire) and its types hold the shapes. Methods are read from their source, types through pydantic.
The output has one operation or schema per line with sorted keys, so that a diff reads like a change log.
"""

import ast
import inspect
import json
import sys
import textwrap
import typing

import anthropic
from anthropic import Anthropic, NotGiven, Omit
from pydantic import TypeAdapter

# Resources written down with all their shapes; of the others only the outline.
DETAILED = ("agents", "environments", "models", "sessions")
# Sub-resources of these that have only the outline.
OUTLINED = ("environments.work",)
# Other APIs that the SDK keeps under `beta` and that this server does not offer.
LEFT_OUT = ("compliance", "messages", "organization", "webhooks")
VERBS = {"_get": "GET", "_post": "POST", "_put": "PUT", "_patch": "PATCH", "_delete": "DELETE", "_get_api_list": "GET"}
REF = "#/components/schemas/{model}"


def main(output):
    operations = sorted(walk(Anthropic(api_key="none").beta, ""), key=lambda found: found["operation"])
    schemas = resolve(operations)
    with open(output, "w", encoding="utf-8") as file:
        write(file, operations, schemas)
    print(f"{output}: {len(operations)} operations, {len(schemas)} schemas")


def walk(resource, prefix):
    """Every operation of a resource and of the resources below it."""
    for name, method in inspect.getmembers(type(resource), inspect.isfunction):
        if not name.startswith("_"):
            operation = read(prefix, name, method)
            if operation is not None:
                yield operation
    for name in dir(type(resource)):
        if name.startswith(("_", "with_")) or (not prefix and name in LEFT_OUT):
            continue
        below = getattr(resource, name)
        if hasattr(below, "_client"):
            yield from walk(below, f"{prefix}{name}.")


def read(prefix, name, method):
    """One operation; None for a method that is only a convenience around others."""
    call = request(method)
    if call is None:
        return None
    parts = {keyword.arg: keyword.value for keyword in call.keywords}
    path = call.args[0]
    if isinstance(path, ast.Call):
        path = path.args[0]
    operation = {
        "operation": prefix + name,
        "method": name,
        "http": VERBS[call.func.attr],
        "path": path.value.split("?")[0],
        "betas": betas(method),
        "stream": isinstance(parts.get("stream"), ast.Constant) and parts["stream"].value is True,
    }
    if not detailed(prefix):
        return operation
    scope = vars(sys.modules[method.__module__])
    hints = typing.get_type_hints(method)
    required = {
        key for key, given in inspect.signature(method).parameters.items() if given.default is inspect.Parameter.empty
    }
    options = {keyword.arg: keyword.value for keyword in parts["options"].keywords}
    for kind, fields in (("body", parts.get("body")), ("query", options.get("query"))):
        fields = pairs(fields)
        if fields:
            operation[kind] = {
                "type": "object",
                "properties": {wire: given(hints[local]) for wire, local in fields},
                "required": [wire for wire, local in fields if local in required],
            }
    if call.func.attr == "_get_api_list":
        operation["page_class"] = parts["page"].value.id
        operation["item"] = evaluate(parts["model"], scope)
    else:
        cast = evaluate(parts["cast_to"], scope)
        if cast is not type(None):
            operation["event" if operation["stream"] else "response"] = cast
    return operation


def detailed(prefix):
    prefix = prefix.rstrip(".")
    return prefix.split(".")[0] in DETAILED and not prefix.startswith(OUTLINED)


def request(method):
    """The returned call that sends the request."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
            call = node.value
            if isinstance(call.func, ast.Name) and call.func.id == "cast":
                call = call.args[-1]
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                if call.func.attr in VERBS and call.args:
                    return call
    return None


def betas(method):
    """The values that a method puts into the anthropic-beta header by itself; one string may hold several."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                if isinstance(key, ast.Constant) and key.value == "anthropic-beta" and isinstance(value, ast.Constant):
                    found += value.value.split(",")
    return sorted(set(found))


def pairs(fields):
    """(name on the wire, name of the parameter) of a dictionary literal, perhaps wrapped in a call."""
    if isinstance(fields, ast.Call):
        fields = next((part for part in fields.args if isinstance(part, ast.Dict)), None)
    if not isinstance(fields, ast.Dict):
        return []
    return [(key.value, value.id) for key, value in zip(fields.keys, fields.values) if isinstance(value, ast.Name)]


def evaluate(node, scope):
    """The type an expression names; `cast(Any, X)` is X."""
    if isinstance(node, ast.Call):
        node = node.args[-1]
    return eval(ast.unparse(node), scope)  # the SDK's own source, installed from the pinned package


def given(hint):
    """A parameter's type without the markers for 'left out'."""
    if typing.get_origin(hint) is typing.Union or type(hint).__name__ == "UnionType":
        kept = [part for part in typing.get_args(hint) if part not in (Omit, NotGiven)]
        return typing.Union[tuple(kept)]
    return hint


def resolve(operations):
    """Turns the types inside the operations into schemas, in place; returns the schemas they refer to."""
    places = []
    for operation in operations:
        for key in ("body", "query"):
            if key in operation:
                properties = operation[key]["properties"]
                places.extend((properties, name) for name in properties)
        places.extend((operation, key) for key in ("response", "item", "event") if key in operation)
    adapters = [(index, "validation", TypeAdapter(holder[key])) for index, (holder, key) in enumerate(places)]
    made, definitions = TypeAdapter.json_schemas(adapters, ref_template=REF)
    schemas = {name: bare(schema) for name, schema in definitions.get("$defs", {}).items()}
    for index, (holder, key) in enumerate(places):
        schema = bare(made[index, "validation"])
        if set(schema) == {"$ref"}:
            schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
        holder[key] = schema
    reached = {}
    for operation in operations:
        reach(operation, schemas, reached)
    return reached


def bare(schema, names=False):
    """A schema without titles and descriptions, enums sorted; `names` is true where keys are property names."""
    if isinstance(schema, dict):
        kept = {key: part for key, part in schema.items() if names or key not in ("title", "description")}
        if not names and isinstance(kept.get("enum"), list):
            # Python keeps one of several equal Literals, so their order is an accident of imports.
            kept["enum"] = sorted(kept["enum"])
        return {key: bare(part, not names and key == "properties") for key, part in kept.items()}
    if isinstance(schema, list):
        return [bare(part) for part in schema]
    return schema


def reach(part, schemas, reached):
    """Collects every schema that a part refers to, directly or not."""
    if isinstance(part, dict):
        name = part.get("$ref", "")
        name = name.rsplit("/", 1)[1] if isinstance(name, str) and "/" in name else None
        if name is not None and name not in reached:
            reached[name] = schemas[name]
            reach(schemas[name], schemas, reached)
        for inner in part.values():
            reach(inner, schemas, reached)
    elif isinstance(part, list):
        for inner in part:
            reach(inner, schemas, reached)


def write(file, operations, schemas):
    def line(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    file.write('{"components":{"schemas":{\n')
    file.write(",\n".join(f"{json.dumps(name)}:{line(schemas[name])}" for name in sorted(schemas)))
    file.write('\n}},\n"operations":[\n')
    file.write(",\n".join(line(operation) for operation in operations))
    file.write(f'\n],\n"sdk":{json.dumps("anthropic " + anthropic.__version__)}}}\n')


if __name__ == "__main__":
    main(sys.argv[1])
