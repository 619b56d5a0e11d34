"""A request of chat completions told anew in the words of the Messages API, so that both read alike.

Texts of one message stand in one string there, with a blank line between them; a tool's result has no field
for its failure, and the pictures that it holds follow in the person's message.
"""

from __future__ import annotations

import json
import re
from typing import Any

from scripts import Body, text

# What the server says in a model's place between the results of its tools and a person.
BETWEEN = {"role": "assistant", "content": "I have the results."}
FAILED = "Error: "
# How a result points at what it holds beside text, and how that points back.
ELSEWHERE = "(what else it returned is in the next message)"
RETURNED = re.compile(r"What \S+ returned with the result of call (\S+):")


def retold(asked: Body) -> Body:
    """The whole request, but for its bounds."""
    spoken = [message for message in asked["messages"] if message["role"] != "system"]
    told: Body = {"model": asked["model"], "messages": turns(spoken)}
    system = [text(message["content"]) for message in asked["messages"] if message["role"] == "system"]
    tools = [offered(tool["function"]) for tool in asked.get("tools", [])]
    return told | {key: value for key, value in (("system", system), ("tools", tools)) if value}


def offered(function: Body) -> Body:
    """A tool that the model may call."""
    named = {key: value for key, value in function.items() if key != "parameters"}
    return named | {"input_schema": function["parameters"]}


def turns(messages: list[Body]) -> list[Body]:
    """The messages; the results of tools and what a person says after them are one."""
    told: list[Body] = []
    for message in messages:
        if message == BETWEEN:
            continue
        if message["role"] == "assistant":
            told.append({"role": "assistant", "content": answer(message)})
            continue
        if not told or told[-1]["role"] != "user":
            told.append({"role": "user", "content": []})
        said = told[-1]["content"]
        said += [result(message)] if message["role"] == "tool" else words(message["content"], said)
    return told


def answer(message: Body) -> list[Body]:
    """The blocks of what the model said."""
    called = [(call["id"], call["function"]) for call in message.get("tool_calls", [])]
    return [text(said) for said in [message["content"]] if said] + [
        {"type": "tool_use", "id": call, "name": made["name"], "input": json.loads(made["arguments"])}
        for call, made in called
    ]


def result(message: Body) -> Body:
    """A tool's result, without what it holds beside text."""
    said = message["content"]
    failed = said.startswith(FAILED)
    said = said.removeprefix(FAILED).removesuffix(ELSEWHERE)
    told = {"type": "tool_result", "tool_use_id": message["tool_call_id"]}
    return told | {"content": [text(said)] if said else []} | ({"is_error": True} if failed else {})


def words(content: Any, results: list[Body]) -> list[Body]:
    """The blocks of what a person says; what belongs to one of these results goes there."""
    if isinstance(content, str):
        return [text(said) for said in content.split("\n\n")]
    blocks: list[Body] = []
    into = blocks
    for part in content:
        pointed = RETURNED.fullmatch(part.get("text", ""))
        if pointed:
            (into,) = [one["content"] for one in results if one["tool_use_id"] == pointed[1]]
            continue
        into = blocks if part["type"] == "text" else into
        into.append(part if part["type"] == "text" else media(part))
    return blocks


def media(part: Body) -> Body:
    """A picture or a document that is sent whole."""
    picture = part["type"] == "image_url"
    address = part["image_url"]["url"] if picture else part["file"]["file_data"]
    kind, data = address.removeprefix("data:").split(";base64,")
    source = {"type": "base64", "media_type": kind, "data": data}
    return {"type": "image" if picture else "document", "source": source}
