"""What runs can be stopped, keeps nobody else waiting, and does not outlive its session."""

from __future__ import annotations

import time

from guest import (
    END,
    IDLE,
    INTERRUPTED,
    PLAIN,
    RESTARTED,
    RUNNING,
    START,
    Guest,
    bash,
    ran,
    same,
    say,
    use,
    uses,
)
from scenarios import scenario

INTERRUPT = {"type": "user.interrupt"}
# A command that says that it has begun, and stays; one that counts the programs of this name.
STAYS = bash("echo begun > begun; sleep 1000 & sleep 1000")
SLEEPERS = "cat /proc/[0-9]*/comm | grep -c '^sleep$' || true"
CUT = [*RUNNING, "user.message", START, "agent.tool_use", END, "agent.tool_result", "user.interrupt", *IDLE]


@scenario
def an_interrupt_ends_a_command_and_its_shell(guest: Guest) -> None:
    """Within two seconds the session rests and the processes are gone; the next answer says what was lost."""
    session = guest.worker()
    with guest.stream(session) as stream:
        guest.send(session, say(uses(STAYS), {"text": "never said"}))
        guest.house.written(session, "begun")
        began = time.monotonic()
        guest.send(session, INTERRUPT)
        stream.idle()
        took = time.monotonic() - began
    same(took < 2.0, True, f"the session rests within two seconds ({took:.2f} s)")
    events = guest.shows(session, CUT)
    same(ran(events), [("bash", True, INTERRUPTED)], "its answer")
    same(guest.shell(session, f"{SLEEPERS}; cat begun"), f"{RESTARTED}\n0\nbegun\n", "what is left")
    same(guest.shell(session, SLEEPERS), "0\n", "it is said once")


@scenario
def an_interrupt_and_a_message_turn_the_agent_round(guest: Guest) -> None:
    """Interrupt and message in one request: the command ends, and a new turn begins with the message."""
    session = guest.worker()
    with guest.stream(session) as stream:
        guest.send(session, say(uses(STAYS, use("read", file_path="begun")), {"text": "never said"}))
        guest.house.written(session, "begun")
        guest.send(session, INTERRUPT, say({"text": "the other way"}))
        stream.idle()
        stream.idle()
    called = [*CUT[:4], "agent.tool_use", "agent.tool_use", END, "agent.tool_result", *CUT[6:]]
    events = guest.shows(session, [*called, *PLAIN])
    same(ran(events), [("bash", True, INTERRUPTED), ("read", True, INTERRUPTED)], "both are answered")


@scenario
def a_message_during_a_command_comes_after_its_result(guest: Guest) -> None:
    """A message while a tool runs waits for its result and is taken before the next model request."""
    session = guest.worker()
    waits = bash("echo begun > begun; until [ -e go ]; do sleep 0.02; done; echo went")
    with guest.stream(session) as stream:
        guest.send(session, say(uses(waits), {"text": "unused"}))
        guest.house.written(session, "begun")
        second = guest.send(session, say({"text": "taken"}))[0]
        same(guest.beta.sessions.retrieve(session).status, "running", "the status")
        (guest.house.sandbox(session) / "workspace" / "go").touch()
        stream.idle()
    wanted = [*CUT[:7], "user.message", *PLAIN[3:]]
    events = guest.shows(session, wanted)
    same((events[7].id, ran(events)), (second.id, [("bash", False, "went\n")]), "the message and the result")


@scenario
def sessions_do_not_wait_for_each_other(guest: Guest) -> None:
    """While one session's command runs, another works from its first call to its last word."""
    busy, free = guest.worker(), guest.worker()
    guest.send(busy, say(uses(STAYS)))
    guest.house.written(busy, "begun")
    same(guest.shell(free, f"{SLEEPERS}; ls"), "0\n", "the other session sees nothing of it")
    same(guest.beta.sessions.retrieve(busy).status, "running", "the busy one still runs")
    guest.turn(busy, INTERRUPT)


@scenario
def archive_ends_the_jail_and_keeps_the_files(guest: Guest) -> None:
    """An archived session has no process left, not even a daemon; its files stay until it is deleted."""
    house, session = guest.house, guest.worker()
    guest.shell(session, "echo kept > file; sleep 1000 & (setsid sleep 1000 >/dev/null 2>&1 &)")
    jail = house.jail(session)
    same(len(jail) >= 5, True, f"a jail of two, a shell, a program and a daemon: {jail}")
    guest.beta.sessions.archive(session)
    house.until("the jail is gone", lambda: not house.jail(session))
    house.until("its processes are gone", lambda: not any(house.lives(pid) for pid in jail))
    same((house.sandbox(session) / "workspace" / "file").read_text(), "kept\n", "the file")
    guest.beta.sessions.delete(session)
    house.until("its folder is gone", lambda: not house.sandbox(session).exists())


@scenario
def delete_removes_what_was_hidden_well(guest: Guest) -> None:
    """Deleting a session ends its jail and removes its folder, deep, closed and linked away as it may be."""
    house, session = guest.house, guest.worker()
    outside = house.folder / "outlives.txt"
    outside.write_text("not theirs")
    guest.shell(session, f"ln -s {house.folder} out; mkdir -p a/b/c; touch a/b/c/d; chmod 000 a/b")
    guest.shell(session, "sleep 1000 &")
    other = guest.worker()
    guest.shell(other, "echo mine > file")
    guest.beta.sessions.delete(session)
    house.until("its folder is gone", lambda: not house.sandbox(session).exists())
    same(house.jail(session), set(), "its processes")
    same(
        (outside.read_text(), guest.shell(other, "cat file")), ("not theirs", "mine\n"), "what is not its own"
    )
