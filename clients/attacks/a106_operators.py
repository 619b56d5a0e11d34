"""What operators do to a server by mistake: its data moved away, a limit on the size of files."""

from __future__ import annotations

import os
import time

from attack import Server, attack

MIB = 1024 * 1024
# Bytes that a file of the server may have.
FILE = 48 * MIB


def sent(server: Server, session: str, text: str) -> tuple[int, str]:
    """What a message is answered."""
    message = {"type": "user.message", "content": [{"type": "text", "text": text}]}
    status, answer = server.post(f"/v1/sessions/{session}/events", {"events": [message]})
    return status, str(answer)


@attack("the data directory is moved away while the server runs", beside="many")
def moved(server: Server) -> None:
    """Nothing new is taken that would be lost; put back, all goes on."""
    session = server.session()
    server.say_to(session, "hello")
    server.wait_idle(session)
    away = server.data.with_name("away")
    os.rename(server.data, away)
    time.sleep(1.1)
    status, told = sent(server, session, "lost")
    ready, why = server.get("/readyz")
    server.say(f"a message was answered {status}, /readyz {ready}: {why}")
    assert status == 500 and "removed or moved away" in told, f"a message was answered {status}: {told[:300]}"
    assert ready == 529 and "put it back" in str(why), f"/readyz was answered {ready}: {why}"
    os.rename(away, server.data)
    server.until("the server is ready again", lambda: server.get("/readyz")[0] == 200)
    server.say_to(session, "again")
    server.wait_idle(session)
    server.restart()
    server.say_to(session, "and after a restart")
    server.wait_idle(session)


@attack("a limit on the size of files", beside="many", limits={"fsize": (FILE, FILE)})
def small_files(server: Server) -> None:
    """What cannot be written is refused; the server stays, deletes, and starts again."""
    sessions = [server.session() for _ in range(16)]
    answers = [sent(server, session, "x" * (9 * MIB)) for session in sessions]
    refused = [told for status, told in answers if status >= 300]
    server.say(f"{len(refused)} of {len(answers)} messages were refused")
    assert refused, "no message met the limit"
    assert server.alive(), "the server has ended"
    assert server.get("/healthz")[0] == 200, "the server does not answer"
    server.restart()
    assert server.get(f"/v1/sessions/{sessions[0]}")[0] == 200, "a session is gone"


if __name__ == "__main__":
    from run import alone

    alone()
