"""Drives the official Python SDK against the real server.

`python run.py [WORD...]` runs the scenarios whose name, or whose file's name, holds one of the words;
`python run.py --record` runs all and writes down which of them shows what (`shows.py`).
HEDDLE_BIN and MODEL_SERVER_BIN name the two binaries. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
import time
import traceback

from contract import Contract
from guest import Guest
from house import House
from scenarios import Scenario, all_of_them
from shows import Shows
from wire import Judge, Shown

# Seconds that one scenario may take.
ALLOWED = 45.0


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


def main() -> int:
    """Runs everything; the exit code is 1 if anything failed."""
    record = sys.argv[1:] == ["--record"]
    words = [""] if record else sys.argv[1:] or [""]
    shows = Shows()
    named = ((run, f"{run.__module__} {run.__name__}") for run in all_of_them())
    chosen = [run for run, called in named if any(word in called for word in words)]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="heddle-guests-") as folder:
        house = House(pathlib.Path(folder), Judge(Contract()))
        try:
            for run in chosen:
                began = time.monotonic()
                shows.seen[run.__name__] = house.judge.shown = Shown()
                wrong = played(run, house)
                took = f"{time.monotonic() - began:.2f} s"
                failed += wrong is not None
                print(
                    f"ok      {run.__name__} ({took})"
                    if wrong is None
                    else f"FAILED  {run.__name__} ({took})\n  {wrong}",
                    flush=True,
                )
            if held := left_in_memory(house):
                failed += 1
                print(f"FAILED  the server lets go of what rests\n  {held}", flush=True)
            if failed:
                print("the server's last words:\n" + house.server.last_words())
        finally:
            house.close()
    if record:
        shows.record()
    untrue = shows.wrong() if words == [""] else []
    for said in untrue:
        print(f"FAILED  {said}; `python run.py --record` writes it anew")
    failed += len(untrue)
    print(f"{len(chosen) + 1 + len(untrue) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
