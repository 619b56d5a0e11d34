"""Runs the curl lines of the project's README.md as they stand there, and holds what they print together."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess

README = pathlib.Path(__file__).resolve().parents[3] / "README.md"
# What comes before the stream begins: all up to the message itself.
BEFORE = ["session.status_running", "session.thread_status_running", "user.message"]


def main() -> None:
    """Fails unless the stream shows what the list then holds behind the message."""
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.S)
    (block,) = (block for block in blocks if "curl" in block)
    env = dict(os.environ) | {"URL": os.environ["JOURNEY_URL"], "KEY": os.environ["JOURNEY_KEY"]}
    ended = subprocess.run(["bash", "-euc", block], env=env, stdout=subprocess.PIPE, text=True, check=True)
    lines = ended.stdout.splitlines()
    frames = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    streamed = [json.loads(frame)["type"] for frame in frames]
    listed = lines[-len(BEFORE) - len(streamed) :]
    if "agent.message" not in streamed or listed != BEFORE + streamed:
        raise SystemExit(f"the stream showed {streamed}, the list {listed}:\n{ended.stdout}")


if __name__ == "__main__":
    main()
