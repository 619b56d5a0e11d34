"""The lines that a journey prints, made from the SDK's own objects; `../README.md` says what they are."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import anthropic

# The generation that sends `x-api-key`.
OLD = int(anthropic.__version__.split(".")[0]) < 1
MODEL = "claude-sonnet-4-5"
NAME = os.environ["JOURNEY_NAME"]
FIXTURES = pathlib.Path(os.environ["JOURNEY_FIXTURES"])
TOOLS: list[Any] = json.loads((FIXTURES / "tools.json").read_text())
SCRIPTS: dict[str, str] = json.loads((FIXTURES / "scripts.json").read_text())
# What each type of event shows beside its id; `name=path` where the two differ.
SHOWN = {
    "agent.custom_tool_use": ("name", "word=input.word"),
    "agent.tool_use": ("name", "permission=evaluated_permission"),
    "agent.tool_result": ("for=tool_use_id", "error=is_error"),
    "user.custom_tool_result": ("for=custom_tool_use_id",),
    "user.tool_confirmation": ("for=tool_use_id", "result", "deny=deny_message"),
    "user.interrupt": ("thread=session_thread_id",),
    "session.updated": ("title",),
    "session.status_idle": ("stop=stop_reason.type",),
    "session.thread_created": ("thread=session_thread_id", "agent=agent_name"),
    "session.thread_status_running": ("thread=session_thread_id", "agent=agent_name"),
    "session.thread_status_idle": ("thread=session_thread_id", "agent=agent_name", "stop=stop_reason.type"),
    "session.thread_status_terminated": ("thread=session_thread_id", "agent=agent_name"),
    "agent.thread_message_sent": ("to=to_agent_name",),
    "agent.thread_message_received": ("from=from_agent_name",),
}


def tell(step: str, text: str) -> None:
    """Prints one line of the transcript."""
    print(f"{step}  {text}", flush=True)


def shown(value: object) -> str:
    """A value as every language prints it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).replace("\n", "\\n")


def listed(values: Iterable[object]) -> str:
    """Values joined by a comma."""
    return ",".join(shown(value) for value in values) or "none"


def pairs(metadata: Mapping[str, str]) -> str:
    """Metadata, by the order of its keys."""
    return listed(f"{key}:{metadata[key]}" for key in sorted(metadata))


def ids(things: Iterable[Any]) -> str:
    """The ids of things."""
    return listed(thing.id for thing in things)


def ours(things: Iterable[Any]) -> str:
    """The ids of those things whose name this journey gave."""
    return ids(thing for thing in things if thing.name.endswith(f"-{NAME}"))


def script(which: str) -> dict[str, Any]:
    """The message that scripts the model so."""
    text = SCRIPTS[which].replace("NAME", NAME)
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def environment(it: Any) -> str:
    """An environment's line."""
    return (
        f"{it.id} name={it.name} type={it.config.type} networking={it.config.networking.type}"
        f" description={shown(it.description)} metadata={pairs(it.metadata)} archived={shown(it.archived_at)}"
    )


def tool(it: Any) -> str:
    """A tool: its name, or the policies of a toolset."""
    if it.type == "custom":
        return f"custom({it.name})"
    policies = [f"default:{it.default_config.permission_policy.type}"]
    policies += [f"{config.name}:{config.permission_policy.type}" for config in it.configs]
    return f"{it.type}({' '.join(policies)})"


def agent(it: Any) -> str:
    """An agent's line."""
    roster = it.multiagent and [f"{member.id}@{member.version}" for member in it.multiagent.agents]
    return (
        f"{it.id} name={it.name} version={it.version} model={it.model.id}"
        f" description={shown(it.description)} system={shown(it.system)} metadata={pairs(it.metadata)}"
        f" tools={listed(tool(one) for one in it.tools)}"
        f" roster={'null' if roster is None else listed(roster)} archived={shown(it.archived_at)}"
    )


def session(it: Any) -> str:
    """A session's line."""
    return (
        f"{it.id} status={it.status} title={shown(it.title)} metadata={pairs(it.metadata)}"
        f" agent={it.agent.id}@{it.agent.version} environment={it.environment_id}"
        f" archived={shown(it.archived_at)}"
    )


def thread(it: Any) -> str:
    """A thread's line."""
    return (
        f"{it.id} status={it.status} agent={it.agent.name}@{it.agent.version}"
        f" parent={shown(it.parent_thread_id)} archived={shown(it.archived_at)}"
    )


def texts(it: Any) -> str:
    """The text of an event; that of a script is not shown."""
    text = "".join(block.text for block in it.content)
    return "script" if text.startswith("script:") else shown(text)


def at(it: Any, path: str) -> Any:
    """The value at a dotted path of attributes, or of keys where the SDK has a map."""
    for word in path.split("."):
        it = it[word] if isinstance(it, dict) else getattr(it, word)
    return it


def event(it: Any) -> str:
    """An event's line."""
    line = f"{it.type} {it.id}"
    for value in SHOWN.get(it.type, ()):
        name, _, path = value.partition("=")
        line += f" {name}={shown(at(it, path or name))}"
    if it.type == "session.status_idle" and it.stop_reason.type == "requires_action":
        line += f" waits={listed(it.stop_reason.event_ids)}"
    if getattr(it, "content", None) is not None:
        line += f" text={texts(it)}"
    return line


def echo(sent: Any) -> str:
    """What came back for what was sent."""
    return listed(f"{it.type} {it.id} processed={shown(it.processed_at)}" for it in sent.data)


def statuses(wanted: str) -> dict[str, Any]:
    """The filter of threads by status; the older generation has no name for it."""
    return {"extra_query": {"statuses": [wanted]}} if OLD else {"statuses": [wanted]}


def refusal(error: anthropic.APIStatusError) -> str:
    """An error's line: what the SDK made of it."""
    body: Any = error.body
    if body["request_id"] != error.request_id:
        raise AssertionError(f"the header says {error.request_id}, the body {body['request_id']}")
    message = " ".join(body["error"]["message"].split(" ")[:4])
    return f"{error.status_code} {error.type} request={error.request_id} message={message}"
