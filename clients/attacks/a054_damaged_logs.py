"""Sessions whose log or head row the disk has damaged: named, at rest, and deleted like others."""

from __future__ import annotations

import http.client
import json
import sqlite3
import threading
import time

from attack import Server, attack

RESTS = "a session rests, because it cannot be read"
# What is done to a session's rows; `mine` finds them.
DAMAGE = {
    "a byte of a row": "UPDATE log SET body = x'00' || substr(body, 2) WHERE first = {second} AND {mine}",
    "the last row": "DELETE FROM log WHERE first = {last} AND {mine}",
    "all rows": "DELETE FROM log WHERE {mine}",
    "the head row": "UPDATE heads SET body = x'00' WHERE id = {id}",
    "the agent": "DELETE FROM snapshots WHERE hash = x'{agent}'",
}


def damage(server: Server, session: str, number: int, sql: str) -> int:
    """Does it to the session that was made as this one in order; the position that it begins at."""
    database = sqlite3.connect(server.data / "heddle.db")
    identity = database.execute("SELECT number, id, body FROM heads ORDER BY created_at LIMIT 1 OFFSET ?", (number,))
    at, bits, body = identity.fetchone()
    firsts = [row[0] for row in database.execute("SELECT first FROM log WHERE session = ? ORDER BY first", (at,))]
    places = {"second": firsts[1], "last": firsts[-1], "mine": f"session = {at}", "id": f"x'{bits.hex()}'"}
    places["agent"] = json.loads(body)["agent"]
    done = database.execute(sql.format(**places)).rowcount
    assert done > 0, (session, sql)
    database.commit()
    database.close()
    return firsts[1] if "{second}" in sql else firsts[-1] if "{last}" in sql else 0


def damage_agent(server: Server) -> str:
    """Damages an agent that no session has, and gives it."""
    database = sqlite3.connect(server.data / "heddle.db")
    newest = "SELECT id, body FROM documents WHERE kind = 'agent' ORDER BY created_at DESC LIMIT 1"
    bits, body = database.execute(newest).fetchone()
    database.execute("UPDATE documents SET body = x'00' WHERE id = ?", (bits,))
    database.commit()
    database.close()
    return json.loads(body)["id"]


def walked(server: Server, path: str) -> set[str]:
    """What the pages of a list hold."""
    found: set[str] = set()
    page = server.must("GET", path)
    while True:
        found |= {one["id"] for one in page["data"]}
        if page["next_page"] is None:
            return found
        page = server.must("GET", f"{path}&page={page['next_page']}")


@attack("logs, head rows and agents that the disk has damaged", beside="many", seconds=240)
def damaged(server: Server) -> None:
    """What is lost is said with its place; a session is deleted all the same, and the others notice nothing."""
    sessions = {}
    for what in [*DAMAGE, "nothing"]:
        more = {"agent": server.agent()} if what == "the agent" else {}
        session = sessions[what] = server.session(**more)
        server.bash(session, "echo here > file")
    server.agent()
    # At work when the server dies, so that the next one takes it up.
    busy = server.session()
    server.bash(busy, "true")
    after = server.ask(busy, [("bash", {"command": "echo begun > begun; sleep 60"})])
    server.until("the command runs", (server.data / "sandboxes" / busy / "workspace" / "begun").exists)
    server.kill()
    lost = damage_agent(server)
    places = {what: damage(server, sessions[what], number, DAMAGE[what]) for number, what in enumerate(DAMAGE)}
    places["busy"] = damage(server, busy, len(sessions), DAMAGE["the last row"])
    server.start()
    message = {"events": [{"type": "user.message", "content": [{"type": "text", "text": "hello"}]}]}
    for what, session in (*sessions.items(), ("busy", busy)):
        if what == "nothing":
            continue
        status, answer = server.post(f"/v1/sessions/{session}/events", message)
        server.say(f"{what}: {status} {str(answer)[:170]}")
        assert status == 500, answer
        assert "damaged" in str(answer) and "restore the data directory from a backup" in str(answer), answer
        if what not in ("the agent", "the head row"):
            assert f"at position {places[what]} " in str(answer), (places[what], answer)
    # Whoever lists them is shown those of which all is there that a list shows.
    shown = {one["id"] for one in server.must("GET", "/v1/sessions?limit=100")["data"]}
    assert shown == {*sessions.values(), busy} - {sessions["the head row"], sessions["the agent"]}, shown
    pages = walked(server, "/v1/sessions?limit=1")
    assert pages == shown and lost not in walked(server, "/v1/agents?limit=1"), pages
    status, answer = server.get(f"/v1/agents/{lost}")
    assert status == 500 and "damaged" in str(answer), answer
    status, answer = server.get(f"/v1/sessions/{sessions['the last row']}/events")
    assert status == 500 and f"at position {places['the last row']} " in str(answer), answer
    before = server.log().count(RESTS)
    time.sleep(12)
    times = server.log().count(RESTS)
    server.say(f"in 12 s {times - before} more lines of {times} say that a session rests")
    assert times <= len(sessions) and server.log().count("could not be taken up") == 0, server.log()[-2000:]
    # A reader is told that it is over.
    ended = threading.Event()
    threading.Thread(target=read_to_the_end, args=(server, busy, ended), daemon=True).start()
    for what, session in (*sessions.items(), ("busy", busy)):
        if what == "nothing":
            continue
        server.must("DELETE", f"/v1/sessions/{session}")
        assert server.get(f"/v1/sessions/{session}/events")[0] == 404, what
        assert server.delete(f"/v1/sessions/{session}")[0] == 404
        folder = server.data / "sandboxes" / session
        server.until(f"the files of {what} are gone", lambda folder=folder: not folder.exists())
    assert ended.wait(20), "the stream of a deleted session goes on"
    listed = [session["id"] for session in server.must("GET", "/v1/sessions")["data"]]
    assert listed == [sessions["nothing"]], listed
    assert server.bash(sessions["nothing"], "cat file").endswith("here\n")
    server.say("all of them were deleted, files too")


def read_to_the_end(server: Server, session: str, ended: threading.Event) -> None:
    """Reads a stream until the server ends it."""
    try:
        connection = http.client.HTTPConnection(*server.address, timeout=60)
        connection.request("GET", f"/v1/sessions/{session}/events/stream", headers={"x-api-key": server.key})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass
    ended.set()


if __name__ == "__main__":
    from run import alone

    alone()
