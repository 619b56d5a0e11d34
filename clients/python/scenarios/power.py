"""Ends of the server: killed or asked to stop, it goes on where it was."""

from __future__ import annotations

import signal

import httpx2
from guest import END, PLAIN, RUNNING, START, Guest, calls, dies_in_the_middle, name, result, same, say, texts
from scenarios import scenario
from scenarios.streams import resumes_everywhere
from wire import Judged


@scenario
def a_killed_server_asks_again(guest: Guest) -> None:
    """kill -9 in the middle of an answer: the request is closed, asked again, and nothing is lost."""
    after, session = dies_in_the_middle(guest, signal.SIGKILL)
    after.turn(session, say({"text": "on"}))


@scenario
def a_stopped_server_exits_well_and_asks_again(guest: Guest) -> None:
    """SIGTERM in the middle of an answer: exit code 0, and the next server goes on."""
    after, session = dies_in_the_middle(guest, signal.SIGTERM)
    after.turn(session, say({"text": "on"}))


@scenario
def resume_and_open_calls_survive_a_restart(guest: Guest) -> None:
    """After kill -9 every event is still a cursor, and an open custom call can still be answered."""
    session = guest.session().id
    agents = [agent.id for agent in guest.beta.agents.list(limit=5).data]
    seen = guest.turn(session, say(calls("a"), {"text": "done"}), stop="requires_action")
    before = guest.list(session)
    guest.house.restart(signal.SIGKILL)
    after = Guest(guest.house)
    same(
        [event.to_dict() for event in after.list(session)], [event.to_dict() for event in before], "the list"
    )
    same([agent.id for agent in after.beta.agents.list(limit=5).data], agents, "the agents")
    same(after.beta.sessions.retrieve(session).status, "idle", "the status")
    after.turn(session, result(seen[4].id, "found"))
    resumes_everywhere(after, session)


@scenario
def queued_messages_survive_a_kill(guest: Guest) -> None:
    """A message that waits when the server is killed is taken once by the next one."""
    session = guest.session().id
    gate = name("kept")
    guest.send(session, say({"text": "first", "chunks": 2, "wait": gate}))
    guest.house.waiting(gate)
    queued = guest.send(session, say({"text": "second", "chunks": 2}))[0]
    guest.house.restart(signal.SIGKILL)
    after = Guest(guest.house)
    with after.stream(session, after=queued.id) as stream:
        guest.house.release(gate)
        stream.idle()
    spoken = [texts(event) for event in after.list(session) if event.type == "agent.message"]
    same(spoken[-1], "second", "the last answer")
    same(
        [event.id for event in after.list(session, types=["user.message"])][1:],
        [queued.id],
        "the queued message",
    )


@scenario
def a_retry_survives_a_kill(guest: Guest) -> None:
    """A session that waits to try again does so after a kill."""
    session = guest.session().id
    step = {"fail": 529, "times": 1, "key": name("retry"), "retry_after": 1, "then": {"text": "at last"}}
    with guest.stream(session) as stream:
        guest.send(session, say(step))
        cursor = stream.until("session.status_rescheduled").id
        guest.house.restart(signal.SIGKILL)
    after = Guest(guest.house)
    with after.stream(session, after=cursor) as stream:
        stream.idle()
        wanted = [*RUNNING, START, "agent.message", END, *PLAIN[6:]]
        same([event.type for event in stream.processed()], wanted, "after the kill")


class Killing(Judged):
    """Kills the server once it has done what the first attempt at a POST asks, so that no answer comes."""

    def __init__(self, guest: Guest) -> None:
        super().__init__(guest.house.judge)
        self.house, self.swallowed = guest.house, []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=httpx2.URL(self.house.server.url).port)
        answer = super().handle_request(request)
        if request.method == "POST" and request.headers["x-stainless-retry-count"] == "0":
            self.swallowed.append(answer.json())
            self.house.restart(signal.SIGKILL)
            raise httpx2.ReadError("the server was killed", request=request)
        return answer


@scenario
def a_post_whose_answer_a_kill_swallowed_is_done_once(guest: Guest) -> None:
    """kill -9 behind what a POST does and before its answer: the SDK sends it again, and it is done once."""
    killing = Killing(guest)
    patient = Guest(guest.house, guest.house.client(retries=2, transport=killing))
    agent, environment = patient.agent(), patient.environment()
    session = patient.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    (message,) = patient.send(session.id, say({"text": "once"}))
    first = [made.get("id") or made["data"][0]["id"] for made in killing.swallowed]
    same([agent.id, environment.id, session.id, message.id], first, "the answers")
    agents = guest.house.ours("GET", "/v1/agents", params={"limit": 5})["data"]
    same([one["id"] for one in agents if one["name"] == agent.name], [agent.id], "agents")
    sessions = guest.house.ours("GET", "/v1/sessions", params={"agent_id": agent.id})["data"]
    same([one["id"] for one in sessions], [session.id], "sessions")
    after = Guest(guest.house)
    with after.stream(session.id, after=message.id) as stream:
        stream.idle()
    same([event.id for event in after.list(session.id, types=["user.message"])], [message.id], "messages")
