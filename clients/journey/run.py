"""Sends every official client on the journey of README.md and compares what they print.

`python run.py [--bless] [WORD...]` runs the clients whose name holds one of the words. HEDDLE_BIN and
MODEL_SERVER_BIN name the binaries, JOURNEY_TARGET the folder for what the clients install; with CI set a
client whose toolchain is missing is a failure. `--bless` rewrites transcript.txt with what all of them
agree on. Ends with `N passed, N failed`, and `, N skipped` if any.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

from contract import Contract  # noqa: E402
from house import KEY, House, surroundings  # noqa: E402
from wire import Judge  # noqa: E402

from table import CLIENTS, Client  # noqa: E402
from transcript import difference, normal  # noqa: E402

CONTRACT = HERE.parent / "contract" / "contract.json"
REFERENCE = HERE / "transcript.txt"
# Seconds that a client may travel, and that may pass until it is installed.
ALLOWED, PREPARED = 120.0, 600.0


class Wrong(Exception):
    """What went wrong with a client."""


def run(command: list[str], env: dict[str, str], seconds: float) -> str:
    """Runs a program to its end and gives what it printed."""
    try:
        ended = subprocess.run(
            command, env=env, cwd=HERE, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode()
        raise Wrong(f"not done after {seconds:.0f} s; last said:\n{tail(said)}") from late
    if ended.returncode != 0:
        raise Wrong(f"{command[0]} ended with {ended.returncode}:\n{tail(ended.stdout)}\n{tail(ended.stderr)}")
    return ended.stdout


def tail(text: str) -> str:
    """The last lines of a text, indented."""
    return "\n".join(f"    {line}" for line in text.splitlines()[-15:])


def travelled(client: Client, number: int, house: House, target: pathlib.Path) -> str:
    """Installs a client, sends it on its journey and gives its normalised transcript."""
    places = {"target": str(target / client.name), "here": str(HERE), "python": sys.executable}
    for command in client.prepare:
        run([word.format(**places) for word in command], dict(os.environ), PREPARED)
    name = f"j{number}"
    env = surroundings(
        JOURNEY_URL=house.server.url,
        JOURNEY_MODEL=house.model.url,
        JOURNEY_KEY=KEY,
        JOURNEY_NAME=name,
        JOURNEY_FIXTURES=str(HERE),
    )
    return normal(run([word.format(**places) for word in client.run], env, ALLOWED), name)


def main() -> int:
    """Runs the clients one after the other; the exit code is 1 if anything failed."""
    bless = "--bless" in sys.argv
    words = [word for word in sys.argv[1:] if word != "--bless"] or [""]
    target = pathlib.Path(os.environ.get("JOURNEY_TARGET", HERE.parents[1] / "target" / "journey"))
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    seen: dict[str, str] = {}
    reference = REFERENCE.read_text() if REFERENCE.exists() else ""
    with tempfile.TemporaryDirectory(prefix="heddle-journey-") as folder:
        house = House(pathlib.Path(folder), Judge(Contract(CONTRACT)))
        try:
            for number, client in enumerate(CLIENTS):
                if not any(word in client.name for word in words):
                    continue
                if lacks := client.lacks():
                    strict = bool(os.environ.get("CI"))
                    counts["failed" if strict else "skipped"] += 1
                    print(f"{'FAILED ' if strict else 'skipped'} {client.name}: {lacks}", flush=True)
                    continue
                began = time.monotonic()
                try:
                    seen[client.name] = travelled(client, number, house, target)
                    wrong = None if bless else difference(reference, seen, client.name)
                except Wrong as error:
                    wrong = str(error)
                took = f"{time.monotonic() - began:.1f} s"
                counts["passed" if wrong is None else "failed"] += 1
                print(f"ok      {client.name} ({took})" if wrong is None else f"FAILED  {client.name} ({took})\n{wrong}", flush=True)
            if counts["failed"]:
                print("the server's last words:\n" + house.server.log.read_text()[-3000:])
        finally:
            house.close()
    if bless and not counts["failed"]:
        (agreed,) = set(seen.values())
        REFERENCE.write_text(agreed)
    print(", ".join(f"{count} {word}" for word, count in counts.items() if count or word != "skipped"))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
