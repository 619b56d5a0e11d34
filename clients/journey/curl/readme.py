"""Runs the curl lines of the project's README.md as they stand there, and holds what they print together."""

from __future__ import annotations

import json
import os
import pathlib
import re
import socket
import socketserver
import subprocess
import threading
from urllib.parse import urlsplit

README = pathlib.Path(__file__).resolve().parents[3] / "README.md"
# What comes before the stream begins: all up to the message itself.
BEFORE = ["session.status_running", "session.thread_status_running", "user.message"]


# What a quiet stream says from time to time.
COMMENT = b"\n: "


class Relay(socketserver.ThreadingTCPServer):
    """Passes bytes on between curl and the server, and keeps what each connection heard."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        place = urlsplit(upstream)
        self.upstream = (place.hostname, place.port)
        self.heard: list[bytearray] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Passing(socketserver.BaseRequestHandler):
    """One connection of curl's."""

    def handle(self) -> None:
        """Passes on until one of the two ends."""
        heard = bytearray()
        self.server.heard.append(heard)
        with socket.create_connection(self.server.upstream) as server:
            threading.Thread(target=self.asks, args=(server,), daemon=True).start()
            while said := server.recv(1 << 16):
                heard += said
                try:
                    self.request.sendall(said)
                except OSError:
                    return

    def asks(self, server: socket.socket) -> None:
        """What curl says; when it goes, so does the other side."""
        try:
            while said := self.request.recv(1 << 16):
                server.sendall(said)
            server.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def main() -> None:
    """Fails unless the stream shows what the list then holds behind the message, and then ends at once."""
    relay = Relay(os.environ["JOURNEY_URL"])
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.S)
    (block,) = (block for block in blocks if "curl" in block)
    env = dict(os.environ) | {"URL": relay.url, "KEY": os.environ["JOURNEY_KEY"]}
    ended = subprocess.run(["bash", "-euc", block], env=env, stdout=subprocess.PIPE, text=True, check=True)
    lines = ended.stdout.splitlines()
    frames = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    streamed = [json.loads(frame)["type"] for frame in frames]
    listed = lines[-len(BEFORE) - len(streamed) :]
    if "agent.message" not in streamed or listed != BEFORE + streamed:
        raise SystemExit(f"the stream showed {streamed}, the list {listed}:\n{ended.stdout}")
    (stream,) = (bytes(heard) for heard in relay.heard if b"text/event-stream" in heard)
    if COMMENT in stream.partition(b'"session.status_idle"')[2]:
        raise SystemExit("curl went on listening to a stream that nobody read any more")


if __name__ == "__main__":
    main()
