"""The six built-in tools over the whole road: a turn with all, what they leave, pictures, long texts."""

from __future__ import annotations

import base64
import json
from typing import Any

from guest import PICTURE, TOOLSET, Guest, bash, name, ran, same, say, turn_of, use, uses
from scenarios import scenario

NOTES = "/workspace/notes.txt"
# A document of one empty page.
PAGE = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""


def parts(said: str, *wanted: str) -> None:
    """The text holds all of these."""
    same([part for part in wanted if part not in said], [], f"missing in {said!r}")


@scenario
def a_turn_with_all_six_tools_has_the_recorded_order(guest: Guest) -> None:
    """write, read, edit, glob, grep and bash in one turn, in the recorded order, with ids that fit."""
    session = guest.worker()
    lines = "".join(f"line {number}\n" for number in range(1, 10))
    steps = (
        uses(use("write", file_path=NOTES, content=lines), thinking="hm"),
        uses(use("read", file_path=NOTES, view_range=[3, 4])),
        uses(use("edit", file_path=NOTES, old_string="line 7\n", new_string="line seven\n")),
        uses(use("glob", pattern="*.txt"), use("grep", pattern="s[a-z]ven", path="/workspace")),
        uses(bash("wc -l < notes.txt; pwd")),
    )
    seen = guest.turn(session, say(*steps, {"text": "done"}))
    order = turn_of(1, 1, 1, 2, 1)
    order.insert(4, "agent.thinking")
    same([event.type for event in seen], order, "the stream")
    same(guest.shows(session, order), seen, "list and stream")
    done = ran(seen)
    same([tool for tool, _, _ in done], ["write", "read", "edit", "glob", "grep", "bash"], "the tools")
    same([said for _, failed, said in done if failed], [], "what failed")
    same(done[1][2], "line 3\nline 4\n", "two lines")
    parts(done[3][2], "notes.txt")
    parts(done[4][2], "notes.txt", "7", "line seven")
    same(done[5][2], "9\n/workspace\n", "the shell")
    used = [event for event in seen if event.type == "agent.tool_use"]
    for event in used:
        permission = (event.evaluated_permission, event.evaluation.type, event.session_thread_id)
        same(permission, ("allow", "always_allow", None), "the permission")
    same(used[1].input, {"file_path": NOTES, "view_range": [3, 4]}, "the input")
    answered = [event.tool_use_id for event in seen if event.type == "agent.tool_result"]
    # Those that only read run together: whichever is done first is answered first.
    answered[3:5] = sorted(answered[3:5], key=[event.id for event in used].index)
    same(answered, [event.id for event in used], "which call a result answers")


@scenario
def files_and_the_shell_live_on_between_turns(guest: Guest) -> None:
    """Files, the working directory, variables and functions are there in the next turn."""
    session = guest.worker()
    guest.shell(session, "mkdir deep; cd deep; WORD=kept; twice() { echo $1$1; }; echo a > file")
    same(guest.shell(session, 'pwd; echo "$WORD"; twice x; cat file'), "/workspace/deep\nkept\nxx\na\n", "it")
    read = guest.runs(session, uses(use("read", file_path="deep/file")))
    same(read, [("read", False, "a\n")], "a relative path begins in the workspace")


@scenario
def a_command_that_fails_is_an_error_with_its_output(guest: Guest) -> None:
    """A non-zero exit is is_error with its output, as is a bad input or a missing file; the turn goes on."""
    session = guest.worker()
    seen = guest.turn(
        session,
        say(
            uses(bash("echo out; echo wrong >&2; exit 3")),
            uses(use("read", file_path="missing"), use("read", path="x"), bash("true")),
            {"text": "done"},
        ),
    )
    same([event.type for event in seen], turn_of(1, 3), "the stream")
    failed = ran(seen)
    same([wrong for _, wrong, _ in failed], [True, True, True, False], "what failed")
    parts(failed[0][2], "out\n", "wrong\n", "3")
    parts(failed[1][2], "missing")
    parts(failed[2][2], "file_path")


@scenario
def what_is_put_into_outputs_is_there(guest: Guest) -> None:
    """Files for the user go to /mnt/session/outputs, by bash and by write; the system stays as it is."""
    session = guest.worker()
    place = "/mnt/session/outputs"
    done = guest.runs(
        session,
        uses(bash(f"echo one > {place}/one.txt"), use("write", file_path=f"{place}/two.txt", content="two")),
        uses(bash(f"cat {place}/one.txt {place}/two.txt; echo x > /usr/x")),
    )
    same([failed for _, failed, _ in done], [False, False, True], "what failed")
    parts(done[2][2], "one\ntwo", "Read-only")
    kept = {path.name: path.read_text() for path in (guest.house.sandbox(session) / "outputs").iterdir()}
    same(kept, {"one.txt": "one\n", "two.txt": "two"}, "the files")


def shown_everywhere(guest: Guest, session: str, file: str, block: dict[str, Any]) -> None:
    """Reads a file that is no text: the model is sent the block, the client sees it in all three ways."""
    kept = name("kept")
    cursor = guest.list(session)[-1].id
    seen = guest.turn(session, say(uses(use("read", file_path=file)), {"text": "seen", "keep": kept}))
    same([event.type for event in seen], turn_of(1), "the stream")
    given = seen[6]
    same([one.to_dict() for one in given.content], [block], "in the stream")
    same(bool(given.is_error), False, "is_error")
    same(guest.list(session, types=["agent.tool_result"])[-1], given, "in the list")
    with guest.stream(session, after=cursor) as stream:
        same(stream.take(len(seen))[6], given, "in the resumed stream")
    (answer,) = guest.house.asked(kept)["messages"][-1]["content"]
    sent = {field: value for field, value in block.items() if value is not None}
    same((answer["type"], answer["content"]), ("tool_result", [sent]), "what the model is sent")


@scenario
def a_picture_and_a_document_reach_the_model(guest: Guest) -> None:
    """A PNG and a PDF that bash has made are read as blocks, by the model and by the client."""
    session = guest.worker()
    document = base64.b64encode(PAGE).decode()
    guest.shell(session, f"echo {PICTURE['data']} | base64 -d > dot; echo {document} | base64 -d > page.pdf")
    shown_everywhere(guest, session, "dot", {"type": "image", "source": PICTURE})
    source = {"type": "base64", "media_type": "application/pdf", "data": document}
    document_block = {"type": "document", "source": source, "title": None, "context": None}
    shown_everywhere(guest, session, "page.pdf", document_block)
    guest.turn(session, say({"text": "and later still"}))


@scenario
def a_long_output_goes_to_a_file(guest: Guest) -> None:
    """Of 300,000 characters the model gets the first and last 8,000 and a path, which a second call reads."""
    session = guest.worker()
    rows = [f"{number:09d}\n" for number in range(1, 30_001)]
    seen = guest.turn(session, say(uses(bash("seq -f %09.0f 1 30000")), {"text": "done"}))
    call = next(event.id for event in seen if event.type == "agent.tool_use")
    ((_, failed, said),) = ran(seen)
    file = f"/mnt/session/tool_results/{call}.txt"
    same((failed, said[:8_000]), (False, "".join(rows[:800])), "the beginning")
    same(said[-8_000:], "".join(rows[-800:]), "the end")
    between = said[8_000:-8_000]
    same((file in between, len(between) < 1_000), (True, True), f"what stands between: {between!r}")
    part = guest.runs(session, uses(use("read", file_path=file, view_range=[15_000, 15_001])))
    same(part, [("read", False, "".join(rows[14_999:15_001]))], "the middle")


@scenario
def the_model_is_told_of_its_tools_and_of_nothing_else(guest: Guest) -> None:
    """The model is offered the six tools; the system prompt is the agent's, nothing added."""
    kept = name("kept")
    agent = guest.agent(tools=[TOOLSET], system="Be brief.")
    guest.turn(guest.session(agent=agent.id).id, say({"text": "x", "keep": kept}))
    asked = guest.house.asked(kept)
    offered = {tool["name"]: tool for tool in asked["tools"]}
    same(sorted(offered), ["bash", "edit", "glob", "grep", "read", "write"], "the tools")
    same([text["text"] for text in asked["system"]], ["Be brief."], "the system prompt")
    parts(json.dumps(offered["bash"]), "/workspace", "/mnt/session/outputs", "no network")
