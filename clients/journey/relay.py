"""Passes bytes on between a client and the server, and may end a stream in the middle."""

from __future__ import annotations

import socket
import socketserver
import threading
from urllib.parse import urlsplit


class Relay(socketserver.ThreadingTCPServer):
    """Keeps what each connection heard. The next `cuts` streams that go on from an event are ended early."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        place = urlsplit(upstream)
        self.upstream = (place.hostname, place.port)
        self.heard: list[bytearray] = []
        self.cuts = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Passing(socketserver.BaseRequestHandler):
    """One connection of a client's."""

    def handle(self) -> None:
        """Passes on until one of the two ends."""
        self.resumes = False
        frames, heard = 0, bytearray()
        self.server.heard.append(heard)
        with socket.create_connection(self.server.upstream) as server:
            threading.Thread(target=self.asks, args=(server,), daemon=True).start()
            try:
                while said := server.recv(1 << 16):
                    heard += said
                    frames += self.resumes and b"data: " in said
                    # The first frames come whole, and of the next ones a half.
                    cut = frames > 1 and self.server.cuts > 0
                    self.request.sendall(said[: len(said) // 2] if cut else said)
                    if cut:
                        self.server.cuts -= 1
                        return
            except OSError:
                # One of the two has gone.
                return

    def asks(self, server: socket.socket) -> None:
        """What the client says; when it goes, so does the other side."""
        try:
            while said := self.request.recv(1 << 16):
                self.resumes = b"last-event-id:" in said.lower()
                server.sendall(said)
            server.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
