"""The judge itself: it objects to answers that no client would notice."""

from __future__ import annotations

import copy

from guest import Guest, same
from scenarios import scenario

DELETED = {"id": "sesn_1", "type": "session_deleted"}
SPOKEN = {
    "id": "sevt_1",
    "type": "agent.message",
    "processed_at": "2026-11-21T00:00:00.000001Z",
    "content": [{"type": "text", "text": "x"}],
}


@scenario
def the_judge_objects_to_what_the_contract_does_not_say(guest: Guest) -> None:
    """A field missing, one too many, a wrong type and a time without a zone are all seen."""
    contract = guest.house.judge.contract
    path = "/v1/sessions/sesn_1"
    same(contract.answer("DELETE", path, DELETED), [], "a good answer")
    name = "sessions.delete: $"
    same(contract.answer("DELETE", path, {"id": "sesn_1"}), [f"{name}.type is missing"], "a field missing")
    more = DELETED | {"colour": "red"}
    same(contract.answer("DELETE", path, more), [f"{name}.colour is not in the contract"], "one too many")
    wrong = DELETED | {"id": 3}
    same(contract.answer("DELETE", path, wrong), [f"{name}.id is 3, no string"], "a wrong type")
    stream, name = f"{path}/events/stream", "sessions.events.stream: $"
    same(contract.event("GET", stream, SPOKEN), [], "a good event")
    deep = copy.deepcopy(SPOKEN)
    deep["content"][0]["note"] = None
    said = [f"{name}.content[0].note is not in the contract"]
    same(contract.event("GET", stream, deep), said, "one too many, deep inside")
    early = SPOKEN | {"processed_at": "2026-11-21T00:00:00"}
    said = [f"{name}.processed_at is '2026-11-21T00:00:00', a time without a zone"]
    same(contract.event("GET", stream, early), said, "a time without a zone")
    page = f"{path}/events"
    said = ["sessions.events.list: a page has ['data', 'next_page'], not ['data']"]
    same(contract.answer("GET", page, {"data": []}), said, "a page without a cursor")
    same(contract.answer("GET", page, {"data": [SPOKEN], "next_page": None}), [], "a good page")
    updated = {
        "id": "sevt_1",
        "type": "session.updated",
        "processed_at": SPOKEN["processed_at"],
        "title": "t",
    }
    same(contract.event("GET", stream, updated), [], "an update that carries what changed")
