"""The clients that go on the journey: what each needs, how it is installed and how it is run."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess

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
    # Commands that install it, again each time; what is there already they must leave in peace.
    prepare: tuple[tuple[str, ...], ...]
    run: tuple[str, ...]
    # The header that must hold its key.
    key: str
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


OLD = "{target}/python-0.125/bin/python"
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement")
MAKE_OLD = (
    ("{python}", "-m", "venv", "{target}/python-0.125"),
    (OLD, *INSTALL, "python/requirements-0.125.txt"),
)

TYPESCRIPT = "{target}/typescript"
MAKE_TYPESCRIPT = (
    ("mkdir", "-p", TYPESCRIPT),
    ("cp", "-R", "typescript/.", TYPESCRIPT),
    ("npm", "ci", "--prefix", TYPESCRIPT, "--prefer-offline", "--no-audit", "--no-fund"),
    (f"{TYPESCRIPT}/node_modules/.bin/tsc", "--project", TYPESCRIPT),
)
GO = "{target}/go/journey"
MAKE_GO = (("go", "vet", "-C", "go", "."), ("go", "build", "-C", "go", "-o", GO, "."))

CLIENTS = (
    Client("python-2.11", (), (), ("{python}", "python/journey.py", "sync"), BEARER),
    Client("python-2.11-async", (), (), ("{python}", "python/journey.py", "async"), BEARER),
    Client("python-0.125", (), MAKE_OLD, (OLD, "python/journey.py", "sync"), API_KEY),
    Client("python-0.125-async", (), MAKE_OLD, (OLD, "python/journey.py", "async"), API_KEY),
    Client("curl", ("bash", "curl", "jq"), (), ("bash", "curl/journey.sh"), API_KEY),
    Client(
        "typescript",
        ("node", "npm"),
        MAKE_TYPESCRIPT,
        ("node", f"{TYPESCRIPT}/built/journey.js"),
        BEARER,
        (("node --version", "20"),),
    ),
    Client("go", ("go",), MAKE_GO, (GO,), API_KEY, (("go version", "1.24"),)),
)
