"""A body of 32 MiB, whatever it holds, costs at most four times its bytes, and nobody waits for it."""

from __future__ import annotations

import base64
import struct
import threading
import time
import zlib

from attack import Server, attack

MIB = 1024 * 1024
WHOLE = 32 * MIB
# Bytes that one body may cost while it is read, and several at once: three have their turn together.
ONE, SEVERAL = 128 * MIB, 3 * 128 * MIB
# Bytes that one may cost until it is answered where it is taken; its model's first request begins meanwhile.
TAKEN = 10 * WHOLE
# Seconds within which most of a neighbour's turns are over.
NEIGHBOUR = 2.0


class Peak(threading.Thread):
    """Looks at the server's memory until it is over."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.over = server, threading.Event()
        self.before = self.highest = server.rss()

    def run(self) -> None:
        """Until it is over."""
        while not self.over.wait(0.005):
            self.highest = max(self.highest, self.server.rss())

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()

    @property
    def grown(self) -> int:
        """Bytes above what it was."""
        return self.highest - self.before


def filled(piece: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """A body of the whole size, of one piece again and again."""
    count = (WHOLE - len(before) - len(after)) // len(piece)
    return before + piece * count + after


def chunk(kind: bytes, data: bytes) -> bytes:
    """A piece of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(size: int) -> bytes:
    """A PNG of one pixel, and of about so many bytes."""
    head, pixel = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), zlib.compress(b"\0\0")
    chunks = [(b"IHDR", head), (b"IDAT", pixel), (b"paDd", bytes(size)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def pictures() -> bytes:
    """A hundred messages with a picture each."""
    data = base64.b64encode(picture(235 * 1024 - 100))
    image = b'{"type":"image","source":{"type":"base64","media_type":"image/png","data":"' + data + b'"}}'
    message = b'{"type":"user.message","content":[' + image + b"]}"
    events = b",".join([message] * 100)
    return b'{"events":[' + events + b"]}"


def text(letter: bytes) -> bytes:
    """A message of one text."""
    before = b'{"events":[{"type":"user.message","content":[{"type":"text","text":"'
    return filled(letter, before, b'"}]}]}')


# What is sent, by name, and how it may be answered. The server says what is wrong of all but a text.
HOSTILE = {
    "zeros": (filled(b"0,", b"[", b"0]"), {400}),
    "empty objects": (filled(b"{},", b"[", b"0]"), {400}),
    "small objects": (filled(b'{"a":0},', b"[", b"0]"), {400}),
    "objects in objects": (filled(b'{"a":'), {400}),
    "arrays in arrays": (filled(b"["), {400}),
    "one key": (filled(b"k", b'{"', b'":0}'), {400}),
    "no JSON": (filled(b"x"), {400}),
    "250,000 objects, and a text": (
        filled(b"t", b'{"a":[' + b'{"a":0},' * 120_000 + b'0],"b":"', b'"}'),
        {400},
    ),
}
HONEST = {
    "one text": (text(b"t"), {200}),
    "one text of escapes": (text(b"a\\n"), {200}),
    "a hundred pictures": (pictures(), {200, 400}),
}
# A session that there is none of: what is for it is read whole and then refused.
NOBODY = "sesn_1111111111111111111111"


@attack("bodies of 32 MiB, one after the other", seconds=240)
def one_by_one(server: Server) -> None:
    """Each is answered, and what it costs while it is read is bounded."""
    wrong = []
    read = {f"{name}, only read": (body, {404}) for name, (body, _) in HONEST.items()}
    with server.neighbour() as neighbour:
        for name, (body, statuses) in (HOSTILE | read | HONEST).items():
            session = NOBODY if name in read else server.session()
            with Peak(server) as peak:
                began = time.monotonic()
                status, answer = server.post(f"/v1/sessions/{session}/events", body)
                took = time.monotonic() - began
            said = answer["error"]["message"] if status >= 400 else ""
            server.say(f"{name}: {status} after {took:.2f} s, memory +{peak.grown / MIB:.0f} MiB {said[:90]}")
            if status not in statuses:
                wrong.append(f"{name} was answered {status}: {said}")
            # What is taken is also written to the log, told to its sender and held for the model.
            if peak.grown > (TAKEN if name in HONEST else ONE):
                wrong.append(f"{name} cost {peak.grown / MIB:.0f} MiB")
    judged(neighbour, wrong)


@attack("bodies of 32 MiB, twelve at once, and small ones beside them", seconds=240)
def together(server: Server) -> None:
    """They wait their turn or are told to come again; small ones go past them."""
    wrong, told = [], []
    session = server.session()

    def send(body: bytes) -> None:
        try:
            status, answer = server.post(f"/v1/sessions/{session}/events", body, timeout=120)
            told.append((status, answer["error"]["message"]))
        except OSError as why:
            told.append((0, str(why)))

    with server.neighbour() as neighbour, Peak(server) as peak:
        bodies = [body for body, _ in HOSTILE.values()]
        threads = [threading.Thread(target=send, args=(bodies[at % len(bodies)],)) for at in range(12)]
        for thread in threads:
            thread.start()
        slowest = 0.0
        while any(thread.is_alive() for thread in threads):
            began = time.monotonic()
            server.must("POST", "/v1/environments", {"name": f"small {began}"})
            slowest = max(slowest, time.monotonic() - began)
            # As somebody sends who has other things to do.
            time.sleep(0.05)
        for thread in threads:
            thread.join()
    statuses = sorted(status for status, _ in told)
    server.say(f"answered {statuses}; memory +{peak.grown / MIB:.0f} MiB; slowest small POST {slowest:.2f} s")
    if set(statuses) - {400, 429, 529}:
        wrong.append(f"they were answered {sorted(told)}")
    if peak.grown > SEVERAL:
        wrong.append(f"they cost {peak.grown / MIB:.0f} MiB")
    if slowest > NEIGHBOUR:
        wrong.append(f"a small body waited {slowest:.1f} s")
    judged(neighbour, wrong)


def judged(neighbour: object, wrong: list[str]) -> None:
    """Holds when nothing is wrong and the neighbour was served."""
    errors, p95 = neighbour.errors, neighbour.p95  # type: ignore[attr-defined]
    wrong += [f"the neighbour failed: {error}" for error in errors[:3]]
    if p95 > NEIGHBOUR:
        wrong.append(f"the neighbour's p95 was {p95:.1f} s")
    assert not wrong, "; ".join(wrong)


if __name__ == "__main__":
    from run import alone

    alone()
