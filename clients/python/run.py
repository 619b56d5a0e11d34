"""Drives the official Python SDK against the real server.

`python run.py [WORD...]` runs the scenarios whose name, or whose file's name, holds one of the words, with
models asked over the Messages API; `--wire chat` asks them over chat completions; `--wire both` does so for
those that asked a model over the first wire. `python run.py --record` runs all and writes down which of them
shows what (`shows.py`), over the Messages API alone.
HEDDLE_BIN and MODEL_SERVER_BIN name the two binaries. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time
import traceback

from contract import Contract
from guest import Guest
from house import WIRES, House
from scenarios import Scenario, all_of_them
from shows import Shows
from wire import Judge, Shown

# Seconds that one scenario may take.
ALLOWED = 45.0
# The files whose scenarios speak chat completions by themselves, whatever the others do.
CHAT_FILES = ("scenarios.chat",)
# The scenarios that are not for chat completions too, and why.
MESSAGES_ALONE = {
    "a_stop_waits_for_a_command_but_not_for_ever": "it waits 20 s for a command, whatever the wire",
    "a_search_cut_by_a_kill_is_run_again": "it searches for seconds, and for 40 s where others work too",
}


def played(run: Scenario, house: House) -> str | None:
    """Plays one scenario; gives what went wrong."""
    judge = house.judge
    judge.wrong.clear()
    judge.allow(ALLOWED)
    try:
        run(Guest(house))
    except AssertionError as error:
        frame = next(
            frame
            for frame in reversed(traceback.extract_tb(error.__traceback__))
            if "scenarios" in frame.filename
        )
        judge.wrong.insert(0, f"{pathlib.Path(frame.filename).name}:{frame.lineno}: {error}")
    except Exception:
        judge.wrong.insert(0, traceback.format_exc(limit=-6))
    finally:
        house.close_clients()
    if house.server.child.poll() is not None:
        judge.wrong.append(f"the server ended with {house.server.child.returncode}")
        house.start()
    return "\n  ".join(dict.fromkeys(judge.wrong)) or None


def left_in_memory(house: House) -> str | None:
    """What the server still holds when nobody reads and every session rests."""
    try:
        for session in house.busy():
            interrupt = {"events": [{"type": "user.interrupt"}]}
            house.ours("POST", f"/v1/sessions/{session}/events", json=interrupt)
        for metric in ("heddle_streams", "heddle_live_sessions"):
            house.until(f"{metric} is 0", lambda metric=metric: house.counter(metric) == 0, 30.0)
    except AssertionError as error:
        return str(error)
    return None


def breaches(house: House) -> str | None:
    """Which laws of its wire a request of the server broke."""
    return "\n  ".join(house.referee()["breaches"]) or None


# What must hold when all scenarios are through, and who says what is wrong with it.
AT_LAST = {
    "the server lets go of what rests": left_in_memory,
    "every request obeyed the laws of its wire": breaches,
}


class Run:
    """Scenarios over one wire after another."""

    def __init__(self) -> None:
        self.passed, self.failed = 0, 0
        self.shows = Shows()

    def told(self, what: str, wrong: str | None) -> None:
        """Counts and prints how something went."""
        self.passed += wrong is None
        self.failed += wrong is not None
        print(f"ok      {what}" if wrong is None else f"FAILED  {what}\n  {wrong}", flush=True)

    def over(self, wire: str, chosen: list[Scenario]) -> list[Scenario]:
        """Runs them over this wire; gives those that asked a model."""
        asking, began, failed = [], time.monotonic(), self.failed
        with tempfile.TemporaryDirectory(prefix="heddle-guests-") as folder:
            house = House(pathlib.Path(folder), Judge(Contract()), wire)
            try:
                for run in chosen:
                    before = house.referee()["requests"]
                    self.one(run, house)
                    asking += [run] * (house.referee()["requests"] > before)
                for what, wrong in AT_LAST.items():
                    self.told(what, wrong(house))
                if self.failed > failed:
                    print("the server's last words:\n" + house.server.last_words())
            finally:
                house.close()
        print(f"over {wire}: {len(chosen)} scenarios in {time.monotonic() - began:.1f} s", flush=True)
        return asking

    def one(self, run: Scenario, house: House) -> None:
        """Runs one of them."""
        house.judge.shown = Shown()
        if house.wire == "messages":
            self.shows.seen[run.__name__] = house.judge.shown
        began = time.monotonic()
        wrong = played(run, house)
        self.told(f"{run.__name__} ({time.monotonic() - began:.2f} s)", wrong)


def is_for(wire: str, run: Scenario) -> bool:
    """Whether a scenario is run over this wire."""
    return wire == "messages" or not (run.__module__ in CHAT_FILES or run.__name__ in MESSAGES_ALONE)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("words", nargs="*", default=[""], metavar="WORD")
    parser.add_argument("--wire", choices=[*WIRES, "both"], default="messages")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    if given.record and (given.words, given.wire) != ([""], "messages"):
        parser.error("--record runs everything over the Messages API, and takes nothing beside it")
    return given


def main() -> int:
    """Runs everything; the exit code is 1 if anything failed."""
    given, run = arguments(), Run()
    named = ((one, f"{one.__module__} {one.__name__}") for one in all_of_them())
    chosen = [one for one, called in named if any(word in called for word in given.words)]
    for wire in WIRES if given.wire == "both" else [given.wire]:
        chosen = run.over(wire, [one for one in chosen if is_for(wire, one)])
    if given.record:
        run.shows.record()
    if given.words == [""] and given.wire != "chat":
        for said in run.shows.wrong():
            run.told(f"{said}; `python run.py --record` writes it anew", "it is not as this run was")
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
