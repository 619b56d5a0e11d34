"""What the scripted model is told to answer: steps, calls of tools, and messages that carry them."""

from __future__ import annotations

import json
from typing import Any

Body = dict[str, Any]

TOOL = {
    "type": "custom",
    "name": "look_up",
    "description": "Looks a word up.",
    "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}
TOOLSET = {"type": "agent_toolset_20260401"}


def script(*steps: Body) -> str:
    """The text that scripts the next answers of whoever reads it."""
    return "script:" + json.dumps(steps)


def text(words: str) -> Body:
    """A block of text."""
    return {"type": "text", "text": words}


def say(*steps: Body, more: tuple[Body, ...] = ()) -> Body:
    """A message that scripts the model's next answers, with other blocks before it."""
    return {"type": "user.message", "content": [*more, text(script(*steps))]}


def calls(*words: str) -> Body:
    """A step of the script: one call of the custom tool for each word."""
    return uses(*[use("look_up", word=word) for word in words])


def uses(*tools: Body, **more: Any) -> Body:
    """A step of the script: these calls of tools."""
    return {"text": "", "tools": list(tools)} | more


def use(tool: str, **given: Any) -> Body:
    """A call of a tool."""
    return {"name": tool, "input": given}


def bash(command: str, **more: Any) -> Body:
    """A call of bash."""
    return use("bash", command=command, **more)


def asks(*tools: str) -> Body:
    """A toolset that asks before these tools, or before all of them."""
    policy = {"permission_policy": {"type": "always_ask"}}
    if not tools:
        return TOOLSET | {"default_config": policy}
    return TOOLSET | {"configs": [{"name": tool} | policy for tool in tools]}


def create(agent: str, *steps: Body) -> Body:
    """A call that starts a child with these steps and goes on."""
    return use("create_agent", agent=agent, task=script(*steps))


def wait(agent: str, *steps: Body) -> Body:
    """A call that starts a child with these steps and waits for its report."""
    return use("Agent", agent=agent, task=script(*steps))
