"""Runs the Python of the project's README.md as it stands there, twice in a row, and looks at what it did.

Each block needs the first one and no other: behind it they run side by side.
"""

from __future__ import annotations

import os
import pathlib
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from relay import Relay  # noqa: E402

ROOT = HERE.parents[2]
README = ROOT / "README.md"
# What a person puts their own words in place of.
ADDRESS, SECRET = "http://127.0.0.1:7717", "hdl_…"

Names = dict[str, Any]
Lines = list[tuple[Any, ...]]


def holds(true: bool, what: str, seen: object) -> None:
    """Ends the run if something is not so."""
    if not true:
        raise SystemExit(f"{what}: {seen}")


def listed(names: Names) -> list[Any]:
    """The events of the session that a block has opened."""
    return list(names["client"].beta.sessions.events.list(names["session"].id))


def greeted(names: Names, lines: Lines) -> None:
    """The first block: a session answers."""
    kinds = [line[0] for line in lines]
    holds("user.message" in kinds and "agent.message" in kinds, "a turn is printed", lines)


def confirmed(names: Names, lines: Lines) -> None:
    """The command was asked about, and ran once it was let run."""
    events = listed(names)
    (call,) = [event for event in events if event.type == "agent.tool_use"]
    (result,) = [event for event in events if event.type == "agent.tool_result"]
    holds(call.evaluated_permission == "ask", "it is asked about", call)
    holds(result.tool_use_id == call.id and "Linux" in result.content[0].text, "it ran", result)
    holds(events[-1].stop_reason.type == "end_turn", "the turn ends", events[-1])


def answered(names: Names, lines: Lines) -> None:
    """The program's own tool was called and its answer told."""
    (said,) = [event for event in listed(names) if event.type == "user.custom_tool_result"]
    holds("the threads of a loom" in said.content[0].text, "the tool answers", said)
    holds(names["seen"][-1].stop_reason.type == "end_turn", "the turn ends", names["seen"][-1])


def shared(names: Names, lines: Lines) -> None:
    """The coordinator has called its agent, and both rest."""
    holds(lines[-2:] == [("lead", "idle"), ("spinner", "idle")], "both threads are told of", lines)
    heard = [line for line in lines if line[0] == "agent.thread_message_received"]
    holds(len(heard) == 1, "the report comes", lines)


def repeated(names: Names, lines: Lines) -> None:
    """Both times the same event is told of, and there is one."""
    (said,) = [event for event in listed(names) if event.type == "user.message"]
    holds(lines == [(said.id,)] * 2, "the second is the first again", lines)


def followed(names: Names, lines: Lines) -> None:
    """What was printed over two connections is what the log holds behind the message, each once."""
    events = [(event.type, event.id) for event in listed(names)]
    begin = next(at for at, event in enumerate(events) if event[0] == "user.message")
    holds(lines == events[begin + 1 :], "nothing is missed, nothing comes twice", (lines, events))


# What each block of Python in README.md is to do, in their order.
CHECKS: tuple[Callable[[Names, Lines], None], ...] = (greeted, confirmed, answered, shared, repeated, followed)


def blocks() -> list[str]:
    """The blocks of Python, each with as many empty lines before it as a traceback needs to name its line."""
    text = README.read_text()
    found = re.finditer(r"```python\n(.*?)```", text, re.S)
    return ["\n" * text.count("\n", 0, block.start(1)) + block[1] for block in found]


def pinned() -> None:
    """README.md names the version of the SDK that the guests are."""
    (named,) = re.findall(r"pip install anthropic==(\S+?)`", README.read_text())
    holds(named == anthropic.__version__, "README.md names another version than this runs with", named)


class Day:
    """One run of all blocks, as a person tries them."""

    def __init__(self, own: dict[str, str]) -> None:
        self.own = own
        # What is printed, by who prints it: the functions of the first block are everybody's.
        self.printed: dict[int, Lines] = {}
        self.names: Names = {"__name__": "readme", "print": self.prints}

    def prints(self, *said: Any) -> None:
        """What the blocks print with."""
        self.printed[threading.get_ident()].append(said)

    def block(self, code: str, check: Callable[[Names, Lines], None], names: Names) -> None:
        """Runs a block and looks at what it did."""
        lines = self.printed[threading.get_ident()] = []
        for place, word in self.own.items():
            code = code.replace(place, word)
        exec(compile(code, str(README), "exec"), names)
        check(names, lines)

    def goes_by(self, code: list[str]) -> None:
        """Runs the first, and then the others."""
        self.block(code[0], CHECKS[0], self.names)
        with ThreadPoolExecutor(len(code)) as others:
            rest = zip(code[1:], CHECKS[1:], strict=True)
            under_way = [others.submit(self.block, *one, dict(self.names)) for one in rest]
        for one in under_way:
            one.result()


def main() -> None:
    """Runs all blocks twice, as a person would who tries them again the next day."""
    pinned()
    relay = Relay(os.environ["JOURNEY_URL"])
    code = blocks()
    holds(len(code) == len(CHECKS), "each block has a check", len(code))
    own = {ADDRESS: relay.url, SECRET: os.environ["JOURNEY_KEY"]}
    for place in own:
        holds("".join(code).count(place) == 1, f"{place} is there once", "".join(code).count(place))
    for _ in range(2):
        relay.cuts = 1
        day = Day(own)
        day.goes_by(code)
        holds(relay.cuts == 0, "the stream that goes on was cut", relay.cuts)
    here = [one.name for one in day.names["client"].beta.environments.list()].count("here")
    holds(here == 1, "the second run takes the environment of the first", here)


if __name__ == "__main__":
    main()
