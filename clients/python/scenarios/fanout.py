"""Many children: as many as a session may have, and what each of them reports."""

from __future__ import annotations

from collections import Counter

from guest import END, TOOL, TOOLSET, Guest, bash, name, ran, result, same, say, texts, uses
from scenarios import scenario
from team import Team, create, line, look, spawned

# The most children of a session that have not ended.
MOST = 25


@scenario
def twenty_five_children_may_live_and_the_next_call_says_what_to_do(guest: Guest) -> None:
    """Of 26 calls in one answer the last is an error to act on; one archived, one more is made."""
    team = Team(guest, spinner=[])
    kept, again = name("kept"), name("again")
    many = [create("spinner", {"text": f"spun {number}"}) for number in range(MOST + 1)]
    with team.stream() as stream:
        team.send(say(uses(*many), {"text": "started", "keep": kept}))
        stream.idle()
    told = team.heard(kept)
    made = [said.startswith('result: {"thread_id":"sthr_') for said in told[: MOST + 1]]
    same(made, [True] * MOST + [False], "which calls made a child")
    error = told[MOST]
    words = {word: word in error for word in ("error: ", str(MOST), "send_to_agent", "list_agents")}
    same(words, dict.fromkeys(words, True), f"what the model can do: {error!r}")
    events = guest.list(team.session)
    begun = [line(event) for event in events][: 5 + 3 * MOST]
    same(begun[4:], [END, *spawned("spinner") * MOST], "what was made")
    children = team.threads()[1:]
    same(Counter(child.status for child in children), {"idle": MOST}, "the children")
    team.archive(children[7].id)
    steps = uses(*[create("spinner", {"text": f"late {number}"}) for number in range(2)])
    guest.turn(team.session, say(steps, {"text": "more", "keep": again}, {"text": "well"}))
    told = team.heard(again)
    same([told[0].split(":")[0], told[1].split(":")[0]], ["result", "error"], "one more, and no more")
    same(Counter(child.status for child in team.threads()[1:]), {"idle": MOST, "terminated": 1}, "at last")


@scenario
def every_child_of_many_reports_once(guest: Guest) -> None:
    """25 children with three calls each, in the sandbox and at the client: nothing is lost or doubled."""
    team = Team(guest, spinner=[TOOLSET, TOOL])
    kept = name("kept")
    many = [
        create(
            "spinner",
            uses(bash(f"echo {number} >> log; echo {number}"), *look("a", "b")),
            {"text": f"spun {number}"},
        )
        for number in range(MOST)
    ]
    with team.stream() as stream:
        team.send(say(uses(*many), {"text": "started"}))
        rest = stream.idle("requires_action")
        waits = rest.stop_reason.event_ids
        same(len(set(waits)), 2 * MOST, "calls that wait for the client")
        called = [event for event in stream.seen if event.type == "agent.custom_tool_use"]
        same(sorted(event.id for event in called), sorted(waits), "the calls")
        same(Counter(Counter(event.session_thread_id for event in called).values()), {2: MOST}, "two a child")
        first, second = waits[:MOST], waits[MOST:]
        team.send(*[result(call, f"found {call}") for call in second])
        team.send(*[result(call, f"found {call}") for call in first])
        stream.until("session.status_idle", "end_turn")
    reports = {f"spun {number}" for number in range(MOST)}
    events = guest.list(team.session)
    heard = [texts(event) for event in events if event.type == "agent.thread_message_received"]
    same((len(heard), set(heard)), (MOST, reports), "the reports")
    written = (guest.house.sandbox(team.session) / "workspace" / "log").read_text().splitlines()
    same(sorted(map(int, written)), list(range(MOST)), "the commands that ran")
    children = team.threads()[1:]
    same(Counter(child.status for child in children), {"idle": MOST}, "the children")
    for number, child in enumerate(children):
        inside = team.events(child.id)
        same(ran(inside), [("bash", False, f"{number}\n")], "a child's command")
        answers = Counter(line(event).split(":")[0] for event in inside)
        wanted = {"user.custom_tool_result": 2, "agent.message": 1, "agent.thread_message_sent to parent": 1}
        same({kind: answers[kind] for kind in wanted}, wanted, "what else a child did")
    guest.turn(team.session, say({"text": "all heard", "keep": kept}))
    history = guest.house.asked(kept)["messages"]
    letters = [
        block["text"]
        for message in history
        if message["role"] == "user"
        for block in message["content"]
        if block["type"] == "text" and block["text"] in reports
    ]
    same(sorted(letters), sorted(reports), "the reports as the model read them")
    sums = Counter[str]()
    for thread in team.threads():
        sums.update(input=thread.usage.input_tokens, output=thread.usage.output_tokens)
    usage = guest.beta.sessions.retrieve(team.session).usage
    same((usage.input_tokens, usage.output_tokens), (sums["input"], sums["output"]), "the session's tokens")
