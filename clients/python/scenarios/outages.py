"""Ends of the server in the middle of tools: what may have happened is never done twice."""

from __future__ import annotations

import datetime
import signal
import time

from guest import (
    END,
    PLAIN,
    RESTARTED,
    START,
    UNKNOWN,
    Guest,
    asks,
    bash,
    confirm,
    ran,
    same,
    say,
    turn_of,
    use,
    uses,
)
from scenarios import scenario
from scenarios.permissions import ASKED, COUNT, SETTLED, lines, nothing_ran

# Says that it has begun, in a file that counts how often, and stays.
STAYS = bash("echo begun >> begun; sleep 1000")
LOOK = uses(bash("cat begun; cat /proc/[0-9]*/comm | grep -c '^sleep$'; true"))
# A search that takes a second or two: no literal in it could help, and the word boundaries are not ASCII.
SLOW = use("grep", pattern=r"\b[a-m]\w{4}\b.*q|^[^éaè]+$", path="big")
BIG = """
yes "$(yes 'é éè aé' | head -400 | tr '\\n' ' ')" | head -c 30000000 > big
echo >> big; echo needle >> big; echo small > small
"""


def after_a_call(guest: Guest, session: str, how: signal.Signals) -> tuple[Guest, int]:
    """Ends the server while STAYS runs, and follows the next one to the end of the turn, behind LOOK."""
    with guest.stream(session) as stream:
        guest.send(session, say(uses(STAYS), LOOK, {"text": "done"}))
        cursor = stream.until(END).id
        guest.house.written(session, "begun")
        code = guest.house.restart(how)
    after = Guest(guest.house)
    with after.stream(session, after=cursor) as stream:
        stream.idle()
        kinds = [event.type for event in stream.processed()]
        same(kinds, turn_of(1, 1)[6:], "after the restart")
    stays, look = ran(after.shows(session, turn_of(1, 1)))
    same(stays, ("bash", True, UNKNOWN), "the command that ran")
    same(look, ("bash", False, f"{RESTARTED}\nbegun\n0\n"), "it ran once, and nothing is left of it")
    return after, code


@scenario
def a_command_cut_by_a_kill_is_unknown_and_not_run_again(guest: Guest) -> None:
    """kill -9 while bash runs: its outcome is unknown, it ran once, nothing is left of it."""
    session = guest.worker()
    after, _ = after_a_call(guest, session, signal.SIGKILL)
    same(after.shell(session, "echo on"), "on\n", "the session")


@scenario
def a_stop_waits_for_a_command_but_not_for_ever(guest: Guest) -> None:
    """SIGTERM while a command stays: the server ends well when the time to drain is over; it ran once."""
    session = guest.worker()
    began = time.monotonic()
    _, code = after_a_call(guest, session, signal.SIGTERM)
    took = time.monotonic() - began
    same((code, 19.0 < took < 24.0), (0, True), f"the exit code, after {took:.1f} s")


@scenario
def a_stop_lets_a_short_command_end(guest: Guest) -> None:
    """SIGTERM while a short command runs: its result is kept, the exit code is 0, the turn goes on after."""
    session = guest.worker()
    short = bash("echo begun >> begun; sleep 2; echo done")
    with guest.stream(session) as stream:
        guest.send(session, say(uses(short), LOOK, {"text": "done"}))
        cursor = stream.until(END).id
        guest.house.written(session, "begun")
        began = time.monotonic()
        same(guest.house.server.end(signal.SIGTERM), 0, "the exit code")
        took = time.monotonic() - began
        same(1.0 < took < 8.0, True, f"it waits for the command and no longer ({took:.1f} s)")
    guest.house.start()
    after = Guest(guest.house)
    with after.stream(session, after=cursor) as stream:
        stream.idle()
    # The request that its result began was cut by the stop, and is asked again.
    events = after.shows(session, [*turn_of(1)[:7], START, END, *turn_of(1, 1)[7:]])
    same((events[8].is_error, events[11].is_error), (True, False), "the two requests")
    done = ran(events)
    looked = ("bash", False, f"{RESTARTED}\nbegun\n0\n")
    same(done, [("bash", False, "done\n"), looked], "both results")


@scenario
def a_search_cut_by_a_kill_is_run_again(guest: Guest) -> None:
    """kill -9 while grep runs: it only reads, so it runs again; so does what stood behind it."""
    session = guest.worker()
    guest.shell(session, BIG)
    behind = use("read", file_path="small"), bash("echo behind >> behind; cat behind")
    with guest.stream(session) as stream:
        guest.send(session, say(uses(SLOW, *behind), {"text": "done"}))
        cursor = stream.until(END).id
        killed = datetime.datetime.now(datetime.UTC)
        guest.house.restart(signal.SIGKILL)
    after = Guest(guest.house)
    with after.stream(session, after=cursor) as stream:
        stream.idle()
        same([event.type for event in stream.processed()], turn_of(3)[8:], "after the kill")
    events = after.shows(session, [*turn_of(1), *turn_of(3)])
    found, read, shell = ran(events[len(turn_of(1)) :])
    same((found[1], found[2].endswith(":needle")), (False, True), f"the search: {found[2][-200:]}")
    same(read, ("read", False, "small\n"), "its neighbour")
    same(shell, ("bash", False, f"{RESTARTED}\nbehind\n"), "what stood behind them ran once")
    call = next(event.id for event in events if event.type == "agent.tool_use" and event.name == "grep")
    answer = next(event for event in events if getattr(event, "tool_use_id", None) == call)
    same(answer.processed_at > killed, True, "the search was not over when the server was killed")


@scenario
def a_question_survives_a_kill_and_the_call_runs_once(guest: Guest) -> None:
    """A call that waits for a person is still asked after kill -9, and again after its word; it runs once."""
    session = guest.worker(asks("bash"))
    called = [*ASKED[:5], "agent.tool_use", *ASKED[5:]]
    seen = guest.turn(session, say(uses(COUNT, COUNT), {"text": "done"}), stop="requires_action")
    one, two = seen[4], seen[5]
    guest.house.restart(signal.SIGKILL)
    after = Guest(guest.house)
    same(after.beta.sessions.retrieve(session).status, "idle", "the status")
    part = after.turn(session, confirm(one.id), stop="requires_action")
    same(part[-1].stop_reason.event_ids, [two.id], "what it still waits for")
    after.house.restart(signal.SIGKILL)
    last = Guest(guest.house)
    nothing_ran(last, session)
    rest = last.turn(session, confirm(two.id, "deny", deny_message="One is enough."))
    same([event.type for event in rest], [*SETTLED[:4], *SETTLED[3:]], "both are settled")
    same(ran([one, two, *rest])[0], ("bash", False, "1\n"), "what was allowed before the kill")
    same(ran([one, two, *rest])[1][1], True, "what was denied")
    waits = ["user.tool_confirmation", *PLAIN[6:]]
    last.shows(session, [*called, *waits, *SETTLED[:4], *SETTLED[3:]])
    same(lines(last, session), 1, "runs")
