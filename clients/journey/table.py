"""The clients that go on the journey: what each needs, how it is installed and how it is run."""

from __future__ import annotations

import dataclasses
import shutil

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
    # Files that say what is installed: while they stay as they are, nothing is installed again.
    pins: tuple[str, ...] = ()

    def lacks(self) -> str | None:
        """What of its toolchain is missing."""
        missing = [program for program in self.needs if shutil.which(program) is None]
        return f"{', '.join(missing)} not installed" if missing else None


def older(suffix: str, kind: str) -> Client:
    """The older generation of the Python SDK, in an environment of its own."""
    python, pinned = "{target}/python-0.125/bin/python", "python/requirements-0.125.txt"
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", pinned)
    return Client(
        name=f"python-0.125{suffix}",
        needs=(),
        prepare=(("{python}", "-m", "venv", "{target}/python-0.125"), (python, *install)),
        run=(python, "python/journey.py", kind),
        key=API_KEY,
        pins=(pinned,),
    )


CLIENTS = (
    Client("python-2.11", (), (), ("{python}", "python/journey.py", "sync"), BEARER),
    Client("python-2.11-async", (), (), ("{python}", "python/journey.py", "async"), BEARER),
    older("", "sync"),
    older("-async", "async"),
    Client("curl", ("bash", "curl", "jq"), (), ("bash", "curl/journey.sh"), API_KEY),
    Client("readme", ("bash", "curl", "jq"), (), ("{python}", "curl/readme.py"), API_KEY, travels=False),
)
