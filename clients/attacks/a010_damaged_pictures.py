"""Pictures that the disk has damaged or lost are worked round; those that nobody uses any more go."""

from __future__ import annotations

import base64
import pathlib
import signal
import struct
import zlib
from typing import Any

from attack import Server, attack, text_of


def png(shade: int) -> bytes:
    """A picture of one grey pixel, and enough beside it to tell it from another."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixel = zlib.compress(bytes([0, shade]))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    more = chunk(b"tEXt", b"note\0" + bytes([97 + shade % 26]) * 4000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def look(server: Server, session: str, shade: int) -> dict[str, Any]:
    """A turn that makes a picture and reads it; gives the result of the read."""
    data = base64.b64encode(png(shade)).decode()
    make = {"command": f"echo {data} | base64 -d > {shade}.png"}
    place = server.bash(session, "pwd").strip()
    return server.turn(session, [("bash", make), ("read", {"file_path": f"{place}/{shade}.png"})])[1]


def listed(server: Server, session: str) -> list[dict[str, Any]]:
    """What tools answered in a session, from all pages of its list."""
    found, page = [], ""
    while True:
        answer = server.must("GET", f"/v1/sessions/{session}/events?limit=100{page}")
        found += [event for event in answer["data"] if event["type"] == "agent.tool_result"]
        if not answer.get("next_page"):
            return found
        page = f"&page={answer['next_page']}"


def kinds(server: Server, session: str) -> list[str]:
    """What they answered with."""
    return [block["type"] for event in listed(server, session) for block in event["content"] or []]


def blobs(server: Server) -> list[pathlib.Path]:
    """The files that hold pictures, oldest first."""
    return sorted((server.data / "blobs").iterdir(), key=lambda path: path.stat().st_mtime_ns)


@attack("a flipped bit, a cut file and a lost file among the pictures of a session")
def damaged(server: Server) -> None:
    """Lists, streams, the model and the next turn go on; each loss is named once in the log."""
    session = server.session()
    for shade in range(4):
        assert look(server, session, shade)["content"][0]["type"] == "image", "no picture was read"
    files = blobs(server)
    assert len(files) == 4, f"{len(files)} files for 4 pictures"
    assert server.metric("heddle_blob_bytes") >= 0
    flipped = bytearray(files[0].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    files[0].write_bytes(flipped)
    files[1].write_bytes(files[1].read_bytes()[:100])
    files[2].unlink()
    for life in ("the same life", "the next life"):
        assert kinds(server, session).count("image") == 1, f"{life}: {kinds(server, session)}"
        told = [text_of(event) for event in listed(server, session)]
        assert sum("damaged on the server's disk" in text for text in told) == 2, told
        assert sum("missing from the server's disk" in text for text in told) == 1, told
        assert "well" in server.bash(session, "echo well"), "the next turn did not go on"
        thread = server.must("GET", f"/v1/sessions/{session}/threads")["data"][0]["id"]
        server.must("GET", f"/v1/sessions/{session}/threads/{thread}/events?limit=100")
        if life == "the same life":
            assert server.restart(signal.SIGTERM) == 0
    lines = [line for line in server.log().splitlines() if "worked round" in line and session in line]
    server.say(f"4 pictures, 3 harmed: the session goes on in both lives; {len(lines)} lines name the harm")
    assert 3 <= len(lines) <= 6, lines
    # Whoever reads the same picture again mends it.
    assert look(server, session, 0)["content"][0]["type"] == "image"
    assert kinds(server, session).count("image") == 3, "the picture was not mended"


@attack("one-bit flips in the rows of a session's log")
def rows(server: Server) -> None:
    """A row that is not what was written is never served; other sessions do not notice."""
    import sqlite3

    good, bad = server.session(), server.session()
    for session in (good, bad):
        for number in range(3):
            server.bash(session, f"echo {number}")
    before = server.must("GET", f"/v1/sessions/{good}/events?limit=100")["data"]
    whole = server.must("GET", f"/v1/sessions/{bad}/events?limit=100")["data"]
    assert server.kill(signal.SIGTERM) == 0
    flips, wrong = 24, []
    for turn in range(flips):
        with sqlite3.connect(server.data / "heddle.db") as database:
            numbers = [row[0] for row in database.execute("SELECT number FROM heads ORDER BY number")]
            query = "SELECT first, body FROM log WHERE session = ? ORDER BY first"
            places = database.execute(query, numbers[1:2])
            first, body = (found := places.fetchall())[turn % len(found)]
            at = (turn * 7919) % len(body)
            flipped = body[:at] + bytes([body[at] ^ (1 << turn % 7)]) + body[at + 1 :]
            place = (numbers[1], first)
            database.execute("UPDATE log SET body = ? WHERE session = ? AND first = ?", (flipped, *place))
        server.start()
        status, answer = server.get(f"/v1/sessions/{bad}/events?limit=100")
        if status != 500 or "damaged at position" not in str(answer) or "backup" not in str(answer):
            wrong.append((first, at, status, str(answer)[:200]))
        front = server.must("GET", f"/v1/sessions/{bad}/events?limit=1")["data"] if first > 4 else whole[:1]
        assert front == whole[:1], "what is in front of the damage is not served"
        assert server.must("GET", f"/v1/sessions/{good}/events?limit=100")["data"] == before
        assert server.must("GET", "/v1/sessions")["data"], "the list of sessions is gone"
        assert server.kill(signal.SIGTERM) == 0
        with sqlite3.connect(server.data / "heddle.db") as database:
            database.execute("UPDATE log SET body = ? WHERE session = ? AND first = ?", (body, *place))
    server.say(f"{flips} flips, one at a time: {len(wrong)} served")
    assert not wrong, wrong[:3]
    server.start()
    assert server.must("GET", f"/v1/sessions/{bad}/events?limit=100")["data"] == whole


if __name__ == "__main__":
    from run import alone

    alone()
