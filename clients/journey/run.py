"""Sends every official client on the journey of README.md and compares what they print.

`python run.py [--all] [--bless] [--install] [WORD...]` runs the clients whose name holds one of the words;
without words those of each kind that are oldest and newest, and with `--all` those between as well.
HEDDLE_BIN and MODEL_SERVER_BIN name the binaries; what clients install lies beside the virtual environment
that runs this. With CI set a client whose toolchain is missing is a failure. `--bless` rewrites
transcript.txt with what all of them agree on; `--install` only installs the clients. Ends with
`N passed, N failed`, and `, N skipped` if any.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

from contract import Contract  # noqa: E402
from house import KEY, House  # noqa: E402
from process import surroundings  # noqa: E402
from proxy import Proxy, manners, unmannerly  # noqa: E402
from table import CLIENTS, Client  # noqa: E402
from transcript import difference, normal  # noqa: E402
from wire import Judge  # noqa: E402

REFERENCE = HERE / "transcript.txt"
# Seconds that a client may travel, and that may pass until it is installed.
ALLOWED, PREPARED = 120.0, 600.0
# Where what clients install lies, and what the words in their commands stand for.
TARGET = pathlib.Path(sys.prefix).parent
PLACES = {"target": str(TARGET), "python": sys.executable}


class Wrong(Exception):
    """What went wrong with a client."""


def tail(text: str) -> str:
    """The last lines of a text, indented."""
    return "\n".join(f"    {line}" for line in text.splitlines()[-15:])


def run(command: list[str], env: dict[str, str], seconds: float) -> str:
    """Runs a program to its end and gives what it printed."""
    try:
        ended = subprocess.run(
            command, env=env, cwd=HERE, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode()
        raise Wrong(f"  not done after {seconds:.0f} s; it said last:\n{tail(said)}") from late
    if ended.returncode != 0:
        said = f"{tail(ended.stdout)}\n{tail(ended.stderr)}"
        raise Wrong(f"  {command[0]} ended with {ended.returncode}:\n{said}")
    return ended.stdout


def install(client: Client) -> None:
    """Installs a client, unless what is there was installed from the same pins."""
    pinned = "".join((HERE / pin).read_text() for pin in client.pins)
    note = TARGET / f"{'+'.join(client.pins).replace('/', '-')}.installed"
    if pinned and note.exists() and note.read_text() == pinned:
        return
    for command in client.prepare:
        run([word.format(**PLACES) for word in command], dict(os.environ), PREPARED)
    if pinned:
        note.write_text(pinned)


def installed(chosen: list[Client]) -> int:
    """Installs clients and sends none of them anywhere; what cannot be is told by its journey."""
    done = 0
    for client in chosen:
        if lacks := client.lacks():
            print(f"skipped {client.name}: {lacks}", flush=True)
            continue
        try:
            install(client)
            done += 1
        except Wrong as error:
            print(f"not installed: {client.name}\n{error}", flush=True)
    print(f"{done} of {len(chosen)} clients are there")
    return 0


class Travels:
    """All journeys of one run, in one house."""

    def __init__(self, house: House, proxy: Proxy, bless: bool) -> None:
        self.house, self.proxy, self.bless = house, proxy, bless
        self.reference = REFERENCE.read_text() if REFERENCE.exists() else ""
        self.seen: dict[str, str] = {}
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def travel(self, client: Client) -> None:
        """One client's journey, judged and told of in a line."""
        if lacks := client.lacks():
            strict = bool(os.environ.get("CI"))
            self.counts["failed" if strict else "skipped"] += 1
            print(f"{'FAILED ' if strict else 'skipped'} {client.name}: {lacks}", flush=True)
            return
        began = time.monotonic()
        wrong = self.goes(client)
        took = f"{time.monotonic() - began:.1f} s"
        requests = self.proxy.taken()
        wrong += [f"  {said}" for said in unmannerly(requests, client.key)]
        self.counts["failed" if wrong else "passed"] += 1
        print(f"{'FAILED ' if wrong else 'ok     '} {client.name} ({took}; {manners(requests)})")
        print("".join(f"{line}\n" for line in wrong), end="", flush=True)

    def goes(self, client: Client) -> list[str]:
        """Installs a client and sends it on its way; gives what went wrong."""
        judge, name = self.house.judge, f"j{CLIENTS.index(client)}"
        judge.wrong.clear()
        breaches = len(self.breaches())
        env = surroundings(
            JOURNEY_URL=self.proxy.url,
            JOURNEY_MODEL=self.house.model.url,
            JOURNEY_KEY=KEY,
            JOURNEY_NAME=name,
            JOURNEY_FIXTURES=str(HERE),
        )
        wrong: list[str] = []
        try:
            install(client)
            judge.allow(ALLOWED)
            told = run([word.format(**PLACES) for word in client.run], env, ALLOWED)
            if client.travels:
                self.seen[client.name] = normal(told, name)
                wrong += difference(self.reference, self.seen, client.name) if not self.bless else []
        except Wrong as error:
            wrong.append(str(error))
        said = judge.wrong + self.breaches()[breaches:]
        return wrong + [f"  {one}" for one in dict.fromkeys(said)]

    def breaches(self) -> list[str]:
        """The laws of the Messages API that the server has broken before its model."""
        referee: Any = self.house.referee()
        return list(referee["breaches"])

    def blessed(self) -> None:
        """Writes the transcript down if all clients agree on it."""
        if len(set(self.seen.values())) == 1:
            REFERENCE.write_text(next(iter(self.seen.values())))
            return
        self.counts["failed"] += 1
        first, *others = self.seen
        for other in others:
            print("\n".join(difference(self.seen[first], {other: self.seen[other]}, other)))


def main() -> int:
    """Runs the clients one after the other; the exit code is 1 if anything failed."""
    flags = {word for word in sys.argv[1:] if word.startswith("--")}
    if unknown := flags - {"--all", "--bless", "--install"}:
        raise SystemExit(f"{', '.join(sorted(unknown))} is not known here; --all, --bless and --install are")
    bless = "--bless" in flags
    words = [word for word in sys.argv[1:] if word not in flags]
    chosen = [client for client in CLIENTS if any(word in client.name for word in words)]
    if not words:
        chosen = [client for client in CLIENTS if "--all" in flags or not client.between]
    if not chosen:
        raise SystemExit(f"no client is named so; there are {', '.join(client.name for client in CLIENTS)}")
    if "--install" in flags:
        return installed(chosen)
    with tempfile.TemporaryDirectory(prefix="heddle-journey-") as folder:
        house = House(pathlib.Path(folder), Judge(Contract()))
        proxy = Proxy(house.judge, house.server.url)
        travels = Travels(house, proxy, bless)
        counts = travels.counts
        try:
            for client in chosen:
                travels.travel(client)
            if bless and not counts["failed"]:
                travels.blessed()
            if counts["failed"]:
                print("the server's last words:\n" + house.server.last_words())
        finally:
            proxy.close()
            house.close()
    print(", ".join(f"{count} {word}" for word, count in counts.items() if count or word != "skipped"))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
