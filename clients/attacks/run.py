"""Runs attacks on the real server: `run.py [--all] [--user WHO] [--needing NEED] [--list] [NAME…]`.

NAME is a part of a row's title or of its file's name. Without `--all` only the rows that need nothing of the
host. HEDDLE_BIN and MODEL_SERVER_BIN name the two binaries. Each row is run as root and as a plain user (only
as the latter by who is not root), in a process, a folder and with a server of its own; those that wait run
beside others. What a failed row left behind is kept, and a line `FAILED  ROW: WHY` near the end names it. Ends
with `N passed, N failed`, and `, N skipped` where the host lacks what a row needs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from attack import BESIDE, NEEDS, ROWS, SLOWER, USERS, Row, Server, Skip, lacks
from host import readable
from server import PLAIN, binary_of
from unit import forget

HERE = pathlib.Path(__file__).resolve().parent
# So many rows that wait run at once, beside one that works. On a slow machine each runs alone.
ABREAST = 4
# So many of the slowest are named at the end.
SLOWEST = 5
# How a row's process ends.
HOLDS, FAILED, SKIPPED = 0, 1, 3
# How the line begins that says why it failed, and how much of that is repeated, in characters.
MARK, WHY_CHARS = "   FAILED: ", 300


def load(path: pathlib.Path) -> list[Row]:
    """The rows of a file."""
    known = len(ROWS)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return ROWS[known:]


class Try:
    """One row, as one user."""

    def __init__(self, path: pathlib.Path, place: int, row: Row, user: str) -> None:
        self.path, self.place, self.row, self.user = path, place, row, user
        self.took = 0.0
        self.code, self.said = FAILED, ""
        self.child: subprocess.Popen[bytes] | None = None

    def name(self) -> str:
        """How it is headed."""
        return f"{self.row.title}, {self.user} ({self.path.stem})"

    def run(self, folder: pathlib.Path) -> None:
        """Runs it in a process of its own, and prints what it said."""
        began = time.monotonic()
        kept = folder / f"{self.path.stem}-{self.place}-{self.user}"
        kept.mkdir(mode=0o755)
        words = [sys.executable, str(HERE / "run.py"), "--one", str(self.path), str(self.place), self.user]
        if self.row.setting["disk"]:
            # So that a disk is gone with the last process that knows it, however the row ends.
            words = ["unshare", "--mount", "--propagation", "private", "--", *words]
        with (kept / "said").open("w+") as out:
            self.child = subprocess.Popen(
                words, cwd=kept, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            late = ""
            try:
                self.code = self.child.wait(self.row.seconds)
            except subprocess.TimeoutExpired:
                late = f"{MARK}not over after {self.row.seconds:.0f} s\n"
            finally:
                self.end()
            out.seek(0)
            self.said = out.read() + late
        if self.code in (HOLDS, SKIPPED):
            shutil.rmtree(kept, ignore_errors=True)
        else:
            self.said += "" if MARK in self.said else f"{MARK}it ended with {self.code}\n"
            self.said += f"   data and logs are in {kept}\n"
        self.took = time.monotonic() - began
        print(f"== {self.name()}\n{self.said.rstrip()}", flush=True)

    def end(self) -> None:
        """Ends its process, its server, its model server, and whatever else it left."""
        if not self.child:
            return
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        if self.row.setting["unit"] is not None:
            forget(self.child.pid)

    def why(self) -> str:
        """Why it failed, in one line."""
        said = [line for line in self.said.splitlines() if line.startswith(MARK)]
        return f"{self.name()}: {said[-1].removeprefix(MARK)[:WHY_CHARS]}"


def run_all(tries: list[Try], folder: pathlib.Path) -> None:
    """Runs them, each beside what it may run beside. Whatever ends this ends them too."""
    of = {beside: [tried for tried in tries if tried.row.beside == beside] for beside in BESIDE}
    if SLOWER > 1:
        of = {"many": [], "some": [], "none": tries}
    # What may take longest is begun first, so that it is not what all wait for in the end.
    longest = sorted(of["many"], key=lambda tried: -tried.row.seconds)
    pool = concurrent.futures.ThreadPoolExecutor(ABREAST)
    try:
        waiting = [pool.submit(tried.run, folder) for tried in longest]
        for tried in of["some"]:
            tried.run(folder)
        for done in waiting:
            done.result()
        for tried in of["none"]:
            tried.run(folder)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for tried in tries:
            if not tried.took:
                tried.end()


def one(path: pathlib.Path, place: int, user: str) -> int:
    """The process of one row: tries it here and prints how it went."""
    row = load(path)[place]
    began = time.monotonic()
    folder = pathlib.Path.cwd()
    server = None
    try:
        server = Server(folder, user, **row.setting)
        row.run(server)
        if not server.alive() and not server.ended:
            raise AssertionError(f"the server ended with {server.running().child.returncode}")
        code, said = HOLDS, "holds"
    except Skip as why:
        code, said = SKIPPED, f"skipped: {why}"
    except AssertionError as why:
        frames = [frame for frame in traceback.extract_tb(why.__traceback__) if frame.filename == str(path)]
        at = f" ({path.name}:{frames[-1].lineno})" if frames else ""
        code, said = FAILED, f"FAILED: {why or 'an assertion'}{at}"
    except Exception:
        wrong = traceback.format_exc(limit=-6).strip().replace("\n", "\n   ")
        code, said = FAILED, f"{wrong}\n   FAILED: {wrong.splitlines()[-1].strip()}"
    measured = ""
    try:
        measured = server.measured() if server else ""
    except OSError:
        pass
    took = f"{time.monotonic() - began:.1f} s"
    print(f"   {'; '.join(filter(None, [took, measured]))}\n   {said}", flush=True)
    if code == FAILED and server:
        tail = "\n   | ".join(line[:300] for line in server.log().splitlines()[-8:])
        print(f"   the server's last words:\n   | {tail}", flush=True)
    if server:
        server.close()
    return code


def chosen(paths: list[pathlib.Path], args: argparse.Namespace) -> tuple[list[Try], list[str], int]:
    """The tries, those that are skipped with their reasons, and how many rows are left to `--all`."""
    tries, skipped, left = [], [], 0
    users = USERS if os.geteuid() == 0 else ("plain",)
    for path in paths:
        for place, row in enumerate(load(path)):
            named = f"{path.stem} {row.title}"
            if args.names and not any(word in named for word in args.names):
                continue
            if args.needing and not set(args.needing) & set(row.needs):
                continue
            if row.needs and not args.all:
                left += 1
                continue
            for user in row.users:
                tried = Try(path, place, row, user)
                if args.user and user != args.user:
                    continue
                why = [lack for lack in map(lacks, row.needs) if lack]
                if user not in users:
                    why = ["it needs root"]
                if why:
                    skipped.append(f"== {tried.name()}\n   skipped: {'; '.join(dict.fromkeys(why))}")
                else:
                    tries.append(tried)
    return tries, skipped, left


def main(paths: list[str], words: list[str]) -> int:
    """Runs what was asked for; the exit code is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="also rows that need something of the host")
    parser.add_argument("--user", choices=USERS, help="only as this user")
    parser.add_argument("--needing", action="append", choices=NEEDS, help="only rows that need this")
    parser.add_argument("--list", action="store_true", help="only name the rows")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args(words)
    tries, skipped, left = chosen([pathlib.Path(path) for path in paths], args)
    for line in skipped:
        print(line)
    if args.list:
        for tried in tries:
            print(f"{tried.name()}{' needs ' + ', '.join(tried.row.needs) if tried.row.needs else ''}")
        return 0
    if args.names and not tries and not skipped:
        print(f"no row that may run here is called {' or '.join(args.names)}\n0 passed, 1 failed")
        return 1
    os.umask(0o022)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="heddle-attacks-"))
    folder.chmod(0o755)
    # So that whoever ends this program ends what it started as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for variable in ("HEDDLE_BIN", "MODEL_SERVER_BIN"):
        os.environ[variable] = str(pathlib.Path(binary_of(variable)).resolve())
    if os.geteuid() == 0:
        os.environ["HEDDLE_BIN"] = readable(binary_of("HEDDLE_BIN"), folder, PLAIN)
    run_all(tries, folder)
    slowest = sorted(tries, key=lambda tried: -tried.took)[:SLOWEST]
    print("slowest: " + "; ".join(f"{tried.took:.0f} s {tried.name()}" for tried in slowest))
    failed = [tried for tried in tries if tried.code not in (HOLDS, SKIPPED)]
    codes = [tried.code for tried in tries]
    passed, without = codes.count(HOLDS), codes.count(SKIPPED) + len(skipped)
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    if left:
        print(f"{left} rows need something of the host: `cargo x attack` tries them")
    for tried in failed:
        print(f"FAILED  {tried.why()}")
    print(f"{passed} passed, {len(failed)} failed" + (f", {without} skipped" if without else ""))
    return 1 if failed else 0


def alone() -> None:
    """Runs the rows of the file that was started, all of them."""
    sys.exit(main([str(pathlib.Path(sys.argv[0]).resolve())], ["--all", *sys.argv[1:]]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        sys.exit(one(pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
    sys.exit(main(sorted(map(str, HERE.glob("a[0-9]*.py"))), sys.argv[1:]))
