"""The scenarios, in the order they run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Scenario = Callable[[Any], None]
FOUND: list[Scenario] = []
# The order of the files is the order of the run.
FILES = (
    "judge",
    "agents",
    "environments",
    "models",
    "sessions",
    "turns",
    "edges",
    "failures",
    "streams",
    "threads",
    "rosters",
    "family",
    "waits",
    "letters",
    "fanout",
    "kin",
    "runner",
    "asynchronous",
    "doors",
    "tools",
    "permissions",
    "hands",
    "escapes",
    "outages",
    "revival",
    "chat",
    "power",
)


def scenario(run: Scenario) -> Scenario:
    """Adds a scenario to the run; its docstring is what it proves."""
    FOUND.append(run)
    return run


def all_of_them() -> list[Scenario]:
    """Every scenario."""
    for file in FILES:
        importlib.import_module(f"scenarios.{file}")
    return FOUND
