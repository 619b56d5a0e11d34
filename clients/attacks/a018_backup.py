"""A lost data directory: what the README's lines copied of it, while the server worked, is a server again."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from attack import Server, attack, text_of

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
# What stands for the program where it is not installed: the same library, told the same words.
SQLITE = f"""#!{sys.executable}
import sqlite3, sys
sqlite3.connect(sys.argv[1]).execute(sys.argv[2])
"""


# A picture of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def lines() -> str:
    """The lines as they stand in the README."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.S)
    (block,) = (block for block in blocks if "$BACKUP" in block)
    return block


def copied(server: Server, backup: pathlib.Path) -> None:
    """Runs them."""
    path = os.environ["PATH"]
    if not shutil.which("sqlite3"):
        stands = server.folder / "programs" / "sqlite3"
        stands.parent.mkdir()
        stands.write_text(SQLITE)
        stands.chmod(0o755)
        path = f"{stands.parent}:{path}"
    owners = {found.lstat().st_uid for found in (server.data / "sandboxes").rglob("*")}
    # Who is not root reads the files of its sub-users as the root of a namespace in which they are mapped.
    alien = os.geteuid() != 0 and owners != {os.geteuid()}
    root = ["unshare", "--user", "--map-auto", "--map-root-user"] if alien else []
    env = {"PATH": path, "DATA": str(server.data), "BACKUP": str(backup)}
    subprocess.run([*root, "sh", "-euc", lines()], env=env, check=True)


@attack("a data directory that is lost, and a copy that was made while the server worked")
def lost(server: Server) -> None:
    """Events, pictures, files and work under way are in the copy; what came after it is not."""
    session, working = server.session(), server.session()
    make = {"command": f"echo kept > note; echo {PIXEL} | base64 -d > dot.png"}
    _, read = server.turn(session, [("bash", make), ("read", {"file_path": "/workspace/dot.png"})])
    assert read["content"][0]["type"] == "image", "no picture was read"
    command = server.ask(working, [("bash", {"command": "touch begun; sleep 1000"})])
    begun = server.data / "sandboxes" / working / "workspace" / "begun"
    server.until("the command runs", begun.exists)
    before = server.must("GET", f"/v1/sessions/{session}/events?limit=100")["data"]
    backup = server.folder / "backup"
    with server.neighbour():
        copied(server, backup)
    server.bash(session, "echo later > note")
    server.kill(signal.SIGKILL)
    shutil.rmtree(server.data)
    backup.rename(server.data)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{server.uid}:{server.uid}", str(server.data)], check=True)
    server.start()
    after = server.must("GET", f"/v1/sessions/{session}/events?limit=100")["data"]
    assert after == before, f"{len(before)} events were copied, {len(after)} are there"
    assert any(event["id"] == read["id"] and event["content"] == read["content"] for event in after), after
    assert server.bash(session, "cat note").split()[-1] == "kept"
    (result,) = server.results(working, command)
    assert "outcome is unknown" in text_of(result), text_of(result)
    server.say(f"{len(before)} events, a picture and a file are as they were, and the work that ran goes on")


if __name__ == "__main__":
    from run import alone

    alone()
