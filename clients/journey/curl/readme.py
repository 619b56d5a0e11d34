"""Runs the curl lines of the project's README.md as they stand there, and holds what they print together."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from relay import Relay  # noqa: E402

README = HERE.parents[2] / "README.md"
# What comes before the stream begins: all up to the message itself.
BEFORE = ["session.status_running", "session.thread_status_running", "user.message"]
# What a quiet stream says from time to time.
COMMENT = b"\n: "


def run(url: str, key: str) -> subprocess.CompletedProcess[str]:
    """Runs the lines against this server, with this key."""
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.S)
    (block,) = (block for block in blocks if "curl" in block)
    env = dict(os.environ) | {"URL": url, "KEY": key}
    return subprocess.run(["bash", "-c", block], env=env, capture_output=True, text=True, check=False)


def talks(end: str) -> None:
    """Fails unless the stream shows what the list then holds behind the message, and then ends at once."""
    relay = Relay(os.environ["JOURNEY_URL"])
    ended = run(relay.url + end, os.environ["JOURNEY_KEY"])
    if ended.returncode != 0:
        raise SystemExit(f"the lines ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    lines = ended.stdout.splitlines()
    frames = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    streamed = [json.loads(frame)["type"] for frame in frames]
    listed = lines[-len(BEFORE) - len(streamed) :]
    if "agent.message" not in streamed or listed != BEFORE + streamed:
        raise SystemExit(f"the stream showed {streamed}, the list {listed}:\n{ended.stdout}")
    (stream,) = (bytes(heard) for heard in relay.heard if b"text/event-stream" in heard)
    if COMMENT in stream.partition(b'"session.status_idle"')[2]:
        raise SystemExit("curl went on listening to a stream that nobody read any more")


def stops() -> None:
    """Fails unless the first error is the last, and is told in the server's words."""
    relay = Relay(os.environ["JOURNEY_URL"])
    ended = run(relay.url, "hdl_wrong")
    said = ended.stderr
    if ended.returncode == 0 or ended.stdout or said.count("curl: (") != 1 or "this API key is" not in said:
        raise SystemExit(f"with a wrong key the lines ended with {ended.returncode}:\n{ended.stdout}{said}")


def main() -> None:
    """Runs the lines twice, as a person would who tries them again the next day; `/` may end the address."""
    for end in ("", "/"):
        talks(end)
    stops()


if __name__ == "__main__":
    main()
