"""Which scenario shows what: a file beside this one, from which docs/compatibility.md is made.

A full run holds the file against what it saw; `python run.py --record` writes it anew.
"""

from __future__ import annotations

import json
import pathlib

from wire import Shown

FILE = pathlib.Path(__file__).with_name("shows.json")
# Scenarios that are named for one operation or type of event.
NAMED = 3


class Shows:
    """What each scenario of a run has shown."""

    def __init__(self) -> None:
        self.seen: dict[str, Shown] = {}

    def record(self) -> None:
        """Writes the file: for each row the scenarios that show the least beside it."""
        rows = {"operations": self.rows("operations"), "events": self.rows("events")}
        FILE.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")

    def rows(self, kind: str) -> dict[str, list[str]]:
        """The scenarios named for each operation, or each type of event."""
        by_width = sorted(self.seen, key=lambda name: len(getattr(self.seen[name], kind)))
        names = {name for shown in self.seen.values() for name in getattr(shown, kind)}
        shows = {
            row: [name for name in by_width if row in getattr(self.seen[name], kind)] for row in names
        }
        return {row: shows[row][:NAMED] for row in names}

    def wrong(self) -> list[str]:
        """Where the file is untrue of this run, which must have been a full one."""
        said = []
        kept = json.loads(FILE.read_text())
        for kind in ("operations", "events"):
            for row, scenarios in kept[kind].items():
                said += [
                    f"{FILE.name}: {scenario} does not show {row}"
                    for scenario in scenarios
                    if scenario not in self.seen or row not in getattr(self.seen[scenario], kind)
                ]
            seen = {row for shown in self.seen.values() for row in getattr(shown, kind)}
            said += [f"{FILE.name}: nothing is named for {row}" for row in sorted(seen - set(kept[kind]))]
        return said
