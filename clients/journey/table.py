"""The clients that go on the journey: what each needs, how it is installed and how it is run."""

from __future__ import annotations

import dataclasses
import shutil


@dataclasses.dataclass(frozen=True)
class Client:
    """One client; in its commands `{target}` is a folder of its own, `{here}` that of this file.

    `{python}` is the interpreter that runs the journey.
    """

    name: str
    # Programs that must be there.
    needs: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...]
    run: tuple[str, ...]

    def lacks(self) -> str | None:
        """What of its toolchain is missing."""
        missing = [program for program in self.needs if shutil.which(program) is None]
        return f"{', '.join(missing)} not installed" if missing else None


def python(generation: str, journey: str) -> Client:
    """A client in Python, with the packages of one requirements file."""
    installed = "{target}/../python-" + generation
    return Client(
        name=f"python-{generation}" + journey.removeprefix("journey").replace("_", "-"),
        needs=("python3",),
        prepare=(
            ("{python}", "-m", "venv", installed),
            (
                f"{installed}/bin/python",
                *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"),
                f"{{here}}/python/requirements-{generation}.txt",
            ),
        ),
        run=(f"{installed}/bin/python", f"{{here}}/python/{journey}.py"),
    )


CLIENTS = (python("2.11", "journey"),)
