"""The clients that go on the journey: what each needs, how it is installed and how it is run."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent

# Where a client sends its key.
BEARER, API_KEY = "authorization", "x-api-key"


@dataclasses.dataclass(frozen=True)
class Client:
    """One client; its commands run in the folder of this file.

    In them `{target}` is a folder for whatever clients install, and `{python}` the interpreter of the run.
    """

    name: str
    # Programs that must be there.
    needs: tuple[str, ...]
    # Commands that install it.
    prepare: tuple[tuple[str, ...], ...]
    run: tuple[str, ...]
    # The header that must hold its key.
    key: str
    # Whether it makes the journey; what does not is only judged.
    travels: bool = True
    # Whether it stands between the oldest and the newest of its kind: it goes when it is named, or with `--all`.
    between: bool = False
    # Files that say what is installed: while they stay as they are, nothing is installed again.
    pins: tuple[str, ...] = ()
    # Commands that tell a version, each with the least that will do.
    least: tuple[tuple[str, str], ...] = ()

    def lacks(self) -> str | None:
        """What of its toolchain is missing."""
        missing = [program for program in self.needs if shutil.which(program) is None]
        if missing:
            return f"{', '.join(missing)} not installed"
        for command, least in self.least:
            said = subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
            if version(said) < version(least):
                return f"`{command}` says {said.strip()}; {least} or newer is needed"
        return None


def version(said: str) -> tuple[int, ...]:
    """The first version in what a program says."""
    found = re.search(r"\d+(\.\d+)*", said)
    return tuple(map(int, found[0].split("."))) if found else ()


def older(version: str, key: str, kind: str, between: bool = False) -> Client:
    """An older generation of the Python SDK, in an environment of its own."""
    python, pinned = f"{{target}}/python-{version}/bin/python", f"python/requirements-{version}.txt"
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "-r", pinned)
    return Client(
        name=f"python-{version}{'-async' if kind == 'async' else ''}",
        needs=(),
        prepare=(("{python}", "-m", "venv", f"{{target}}/python-{version}"), (python, *install)),
        run=(python, "python/journey.py", kind),
        key=key,
        pins=(pinned,),
        between=between,
    )


def typescript() -> Client:
    """The TypeScript SDK, installed and compiled in a copy of its folder, where its packages may lie."""
    there = "{target}/typescript"
    files = sorted((HERE / "typescript").iterdir())
    return Client(
        name="typescript",
        needs=("node", "npm"),
        prepare=(
            ("mkdir", "-p", there),
            ("cp", "-R", "typescript/.", there),
            ("npm", "ci", "--prefix", there, "--prefer-offline", "--no-audit", "--no-fund"),
            (f"{there}/node_modules/.bin/tsc", "--project", there),
        ),
        run=("node", f"{there}/built/journey.js"),
        key=BEARER,
        pins=tuple(f"typescript/{file.name}" for file in files if file.is_file()),
        least=(("node --version", "20"),),
    )


def go() -> Client:
    """The Go SDK; the toolchain knows itself what it has built already."""
    built = "{target}/go/journey"
    # Without optimising, the large packages of the SDK are compiled in two thirds of the time.
    plain = "-gcflags=all=-N -l"
    return Client(
        name="go",
        needs=("go",),
        prepare=(("go", "build", "-C", "go", plain, "-o", built, "."), ("go", "vet", "-C", "go", plain, ".")),
        run=(built,),
        key=API_KEY,
        least=(("go version", "1.24"),),
    )


CLIENTS = (
    Client("python-2.14", (), (), ("{python}", "python/journey.py", "sync"), BEARER),
    Client("python-2.14-async", (), (), ("{python}", "python/journey.py", "async"), BEARER),
    older("1.17", API_KEY, "sync", between=True),
    older("2.0", BEARER, "sync", between=True),
    older("2.11", BEARER, "sync", between=True),
    older("2.11", BEARER, "async", between=True),
    older("0.125", API_KEY, "sync"),
    older("0.125", API_KEY, "async"),
    Client("curl", ("bash", "curl", "jq"), (), ("bash", "curl/journey.sh"), API_KEY),
    typescript(),
    go(),
    Client("readme-curl", ("bash", "curl", "jq"), (), ("{python}", "curl/readme.py"), API_KEY, travels=False),
    Client("readme-python", (), (), ("{python}", "python/readme.py"), BEARER, travels=False),
)
