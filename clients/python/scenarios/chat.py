"""Models that speak chat completions: the same turns, files, children, failures and ends of the server."""

from __future__ import annotations

import base64
import json
import signal
from typing import Any

from guest import (
    DELTAS,
    END,
    IDLE,
    PICTURE,
    PLAIN,
    RESCHEDULED,
    RUNNING,
    START,
    THOUGHT,
    TOLD,
    TOOL,
    TOOLSET,
    Guest,
    bash,
    calls,
    dies_in_the_middle,
    name,
    ran,
    result,
    same,
    say,
    texts,
    turn_of,
    use,
    uses,
)
from house import CHAT_KEY, KEY, MODEL_KEY
from scenarios import scenario
from scenarios.failures import FAILED
from scenarios.streams import previewed, resumes_everywhere
from scenarios.tools import PAGE
from team import (
    GO,
    REST,
    SETTLED,
    Team,
    born,
    create,
    hears,
    reported,
    rests,
    spawned,
    spoke,
    till,
    wait,
    woken,
)

PLAINEST = "chat-openai"
# One model for each way to stream: the last word of the name says whose it is.
DIALECTS = (PLAINEST, "chat-strict", "chat-vllm", "chat-llamacpp", "chat-ollama", "chat-bare")
# Those that tell what a request has cost.
TELLING = DIALECTS[:-1]
SHOWN = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE['data']}"}}


class Talker(Guest):
    """A guest whose agents ask a model that speaks chat completions."""

    def __init__(self, guest: Guest, model: str = PLAINEST) -> None:
        super().__init__(guest.house, guest.client)
        self.model = model

    def agent(self, **more: Any) -> Any:
        """A new agent with the custom tool."""
        return super().agent(**({"model": self.model} | more))

    def asked(self, kept: str) -> list[dict[str, Any]]:
        """The messages of a kept request."""
        return self.house.kept(kept)["messages"]


def part(text: str) -> dict[str, str]:
    """A text among the parts of a message."""
    return {"type": "text", "text": text}


def look(call: str, word: str) -> dict[str, Any]:
    """A call of the custom tool, as the model is told of it."""
    arguments = json.dumps({"word": word}, separators=(",", ":"), ensure_ascii=False)
    function = {"name": TOOL["name"], "arguments": arguments}
    return {"id": call, "type": "function", "function": function}


@scenario
def chat_streams_as_each_server_does(guest: Guest) -> None:
    """Of each server's stream the previews add up to the answer under its id, with thinking before it."""
    said = "a few words that come one by one"
    for model in DIALECTS:
        gate = name("gate")
        session = Talker(guest, model).session().id
        with guest.stream(session, event_deltas=DELTAS) as stream:
            guest.send(session, say({"thinking": "hm", "text": said, "chunks": 8, "wait": gate}))
            stream.until("event_delta")
            guest.house.release(gate)
            stream.idle()
        events = guest.shows(session, THOUGHT)
        previewed(stream, events, said, model)
        guest.turn(session, say({"text": "again"}))
        guest.shows(session, [*THOUGHT, *PLAIN])
    resumes_everywhere(guest, session)


@scenario
def chat_calls_are_answered_in_each_dialect(guest: Guest) -> None:
    """Two calls in one answer, twice: inputs come whole, results reach their calls, thinking goes back."""
    order = [*RUNNING, "user.message", START, "agent.message", *["agent.custom_tool_use"] * 2, END, *IDLE]
    for model in DIALECTS:
        talker, kept = Talker(guest, model), name("kept")
        session = talker.session().id
        step = calls("a", 'b"é') | {"text": "Let me look.", "thinking": "hm"}
        message = say(step, calls("c"), {"text": "done", "keep": kept})
        seen = guest.turn(session, message, stop="requires_action")
        same(
            [event.type for event in seen], [*order[:4], "agent.thinking", *order[4:]], f"{model}: the stream"
        )
        one, two = seen[6:8]
        inputs = [(one.name, one.input), (two.name, two.input)]
        wanted = [(TOOL["name"], {"word": "a"}), (TOOL["name"], {"word": 'b"é'})]
        same(inputs, wanted, f"{model}: the calls")
        failed = result(one.id, "nothing") | {"is_error": True}
        seen = guest.turn(session, result(two.id, "B"), failed, stop="requires_action")
        call = next(event for event in seen if event.type == "agent.custom_tool_use")
        guest.turn(session, result(call.id, "C"))
        asked = talker.asked(kept)
        ids = [call["id"] for answer in (asked[1], asked[4]) for call in answer["tool_calls"]]
        same((len(set(ids)), all(ids)), (3, True), f"{model}: ids of their own: {ids}")
        first, second, third = ids
        told = [
            {"role": "user", "content": texts_of(message)},
            {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [look(first, "a"), look(second, 'b"é')],
                **dict.fromkeys(thoughts(model), "hm"),
            },
            {"role": "tool", "tool_call_id": second, "content": "B"},
            {"role": "tool", "tool_call_id": first, "content": "Error: nothing"},
            {"role": "assistant", "content": None, "tool_calls": [look(third, "c")]},
            {"role": "tool", "tool_call_id": third, "content": "C"},
        ]
        same(asked, told, f"{model}: what the model is told")


def thoughts(model: str) -> list[str]:
    """Under which names a server gives what a model thinks, and is given it back."""
    if "vllm" in model:
        return ["reasoning_content", "reasoning"]
    return ["reasoning"] if "ollama" in model else ["reasoning_content"]


def texts_of(message: dict[str, Any]) -> str:
    """The one text of a message that is sent."""
    (block,) = message["content"]
    return str(block["text"])


@scenario
def chat_uses_the_built_in_tools(guest: Guest) -> None:
    """Files are written, read and run by a chat model in the recorded order, in each dialect."""
    for model in DIALECTS:
        session = Talker(guest, model).worker()
        steps = (
            uses(use("write", file_path="note", content="one\ntwo\n")),
            uses(use("read", file_path="note"), use("grep", pattern="tw", path="/workspace")),
            uses(bash("wc -l < note; exit 3")),
            uses(use("unknown")),
        )
        seen = guest.turn(session, say(*steps, {"text": "done"}))
        same([event.type for event in seen], turn_of(1, 2, 1, 1), f"{model}: the stream")
        same(guest.shows(session, turn_of(1, 2, 1, 1)), seen, f"{model}: list and stream")
        did = [(tool, failed) for tool, failed, _ in ran(seen)]
        wanted = [("write", False), ("read", False), ("grep", False), ("bash", True), ("unknown", True)]
        same(did, wanted, f"{model}: what failed")
        same(ran(seen)[1][2], "one\ntwo\n", f"{model}: what was read")
        same(ran(seen)[3][2].startswith("2\n"), True, f"{model}: what was run")


@scenario
def chat_models_are_told_all_and_nothing_more(guest: Guest) -> None:
    """The whole request: model, system, tools, bound; no thinking of another turn; show tells the same."""
    kept = name("kept")
    talker = Talker(guest)
    agent = talker.agent(system="Be brief.")
    session = guest.session(agent=agent.id).id
    first = say({"thinking": "hm", "text": "one"})
    second = say({"text": "two", "keep": kept})
    guest.turn(session, first)
    guest.turn(session, second)
    function = {"name": TOOL["name"], "description": TOOL["description"], "parameters": TOOL["input_schema"]}
    sent = guest.house.kept(kept)
    body = {
        "model": PLAINEST,
        "stream": True,
        "stream_options": {"include_usage": True},
        # A route that was once refused the usual name has learned the other one.
        next(name for name in ("max_tokens", "max_completion_tokens") if name in sent): 8192,
        "tools": [{"type": "function", "function": function}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": texts_of(first)},
            {"role": "assistant", "content": "one"},
            {"role": "user", "content": texts_of(second)},
        ],
    }
    same(sent, body, "the request")
    thread = guest.beta.sessions.threads.list(session).data[0].id
    headers = {"authorization": f"Bearer {KEY}"}
    shown = guest.house.plain.get(
        f"{guest.house.server.url}/heddle/sessions/{session}/threads/{thread}/prompt", headers=headers
    ).json()
    same(shown, body, "what is shown of it")


@scenario
def chat_models_are_shown_what_a_person_sends(guest: Guest) -> None:
    """A picture, a PDF, a text document and an address, and the words beside them, reach the model."""
    talker, kept = Talker(guest), name("kept")
    session = talker.session().id
    page = base64.b64encode(PAGE).decode()
    pdf = {"type": "base64", "media_type": "application/pdf", "data": page}
    note = {"type": "text", "media_type": "text/plain", "data": "a note"}
    script = say({"text": "seen", "keep": kept})["content"]
    content = [
        {"type": "image", "source": PICTURE},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/dot.png"}},
        {"type": "document", "source": pdf, "title": "Page"},
        {"type": "document", "source": note, "title": "Note", "context": "Of today."},
        *script,
    ]
    seen = guest.turn(session, {"type": "user.message", "content": content})
    same([event.type for event in seen], PLAIN, "the stream")
    (told,) = talker.asked(kept)
    parts = [
        SHOWN,
        {"type": "image_url", "image_url": {"url": "https://example.com/dot.png"}},
        {
            "type": "file",
            "file": {"filename": "Page.pdf", "file_data": f"data:application/pdf;base64,{page}"},
        },
        part("Document: Note\nOf today.\n\na note"),
        part(script[0]["text"]),
    ]
    same(told, {"role": "user", "content": parts}, "what the model is told")


@scenario
def chat_models_are_shown_what_a_tool_returns(guest: Guest) -> None:
    """A picture that read returns, and one of a custom tool, follow the answers to the calls."""
    talker, kept, later = Talker(guest), name("kept"), name("kept")
    session = talker.worker(TOOLSET, TOOL)
    guest.shell(session, f"echo {PICTURE['data']} | base64 -d > dot")
    steps = (
        uses(use("read", file_path="dot"), bash("echo plain")),
        calls("a") | {"keep": kept},
        {"text": "done", "keep": later},
    )
    seen = guest.turn(session, say(*steps), stop="requires_action")
    call = next(event for event in seen if event.type == "agent.custom_tool_use")
    content = [part("half"), {"type": "image", "source": PICTURE}]
    seen = guest.turn(
        session, {"type": "user.custom_tool_result", "custom_tool_use_id": call.id, "content": content}
    )
    same(texts(seen[4]), "done", "the answer")
    note = "(what else it returned is in the next message)"
    between = {"role": "assistant", "content": "I have the results."}
    *_, answer, one, two, bridge, shown = talker.asked(kept)
    reading, running = (call["id"] for call in answer["tool_calls"])
    told = [
        {"role": "tool", "tool_call_id": reading, "content": note},
        {"role": "tool", "tool_call_id": running, "content": "plain\n"},
        between,
        {"role": "user", "content": [part(f"What read returned with the result of call {reading}:"), SHOWN]},
    ]
    same([one, two, bridge, shown], told, "what the model is told of the file")
    *_, answer, one, bridge, shown = talker.asked(later)
    (asked,) = (call["id"] for call in answer["tool_calls"])
    intro = f"What {TOOL['name']} returned with the result of call {asked}:"
    told = [
        {"role": "tool", "tool_call_id": asked, "content": f"half\n{note}"},
        between,
        {"role": "user", "content": [part(intro), SHOWN]},
    ]
    same([one, bridge, shown], told, "what the model is told of the custom tool")


@scenario
def chat_refusals_and_limits_end_a_turn(guest: Guest) -> None:
    """A refusal in words, a filtered answer, the output limit in a text and inside a call."""
    session = Talker(guest).session().id
    silent = [kind for kind in PLAIN if kind != "agent.message"]
    told = {"text": "", "stop": "refusal", "explanation": "I can't do that."}
    seen = guest.turn(session, say(told), stop="refusal")
    same([event.type for event in seen], silent, "the refused turn")
    details = {"type": "refusal", "category": None, "explanation": "I can't do that."}
    same(seen[-1].stop_details.to_dict(), details, "what was said")
    seen = guest.turn(session, say({"text": "so far", "stop": "refusal"}), stop="refusal")
    same([event.type for event in seen], PLAIN, "the filtered turn")
    filtered = (
        "The provider's content filter stopped the answer. The model has declined 2 times in a row, and reads what it "
        "declines each time: begin a new session without that."
    )
    same(seen[-1].stop_details.explanation, filtered, "why it stopped")
    guest.turn(session, say({"text": "cut of", "stop": "max_tokens"}))
    cut = [*RUNNING, "user.message", START, "agent.custom_tool_use", END, "user.custom_tool_result"]
    cut += [START, "agent.message", END, *IDLE]
    seen = guest.turn(session, say({"text": "", "bad_json_tool": TOOL["name"]}, {"text": "sorry"}))
    same([event.type for event in seen], cut, "the cut call")
    guest.shows(session, [*silent, *PLAIN, *PLAIN, *cut])


@scenario
def chat_failures_are_tried_again_or_told(guest: Guest) -> None:
    """429 twice, an error in the stream, a cut: tried again; a 400 and a 401 in any form: told and over."""
    again = [*FAILED, *RESCHEDULED, *RUNNING]
    for model in (PLAINEST, "chat-vllm", "chat-ollama"):
        session = Talker(guest, model).session().id
        for count, kind, step in (
            (2, "model_rate_limited_error", {"fail": 429, "times": 2, "retry_after": 0}),
            (1, "model_request_failed_error", {"text": "half", "error_event": "server_error", "times": 1}),
            (1, "model_request_failed_error", {"text": "a b", "chunks": 2, "cut_after": 2, "times": 1}),
        ):
            seen = guest.turn(session, say(step | {"key": name("again"), "then": {"text": "at last"}}))
            wanted = [*RUNNING, "user.message", *again * count, START, "agent.message", END, *IDLE]
            same([event.type for event in seen], wanted, f"{model}: {kind}")
            errors = [event.error for event in seen if event.type == "session.error"]
            told = [(error.type, error.retry_status.type) for error in errors]
            same(told, [(kind, "retrying")] * count, f"{model}: the errors")
            message = next(event for event in seen if event.type == "agent.message")
            same(texts(message), "at last", f"{model}: the answer")
        for status, what in ((400, "you cannot say this"), (401, CHAT_KEY)):
            step = {"fail": status, "message": f"you cannot say this, {MODEL_KEY}"}
            seen = guest.turn(session, say(step), stop="retries_exhausted")
            same(
                [event.type for event in seen],
                [*RUNNING, "user.message", *FAILED, *IDLE],
                f"{model}: the end",
            )
            error = seen[5].error
            same(error.retry_status.type, "exhausted", f"{model}: {status}")
            same((what in error.message, MODEL_KEY in error.message), (True, False), error.message)
        guest.turn(session, say({"text": "fine"}))


@scenario
def chat_usage_adds_up(guest: Guest) -> None:
    """The cost that is told is summed, what was cached apart; a server that tells nothing costs nothing."""
    for model in DIALECTS:
        session = Talker(guest, model).session().id
        for _ in range(2):
            seen = guest.turn(session, say({"text": "x", "usage": TOLD}))
        usage = guest.beta.sessions.retrieve(session).usage
        sums = (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens)
        same(sums, (14, 10, 6) if model in TELLING else (0, 0, 0), f"{model}: the sums")
        same(seen[7].usage.to_dict(), usage.to_dict(), f"{model}: the usage event")
        same(seen[5].model_usage.cache_read_input_tokens, 3 if model in TELLING else 0, f"{model}: the span")


@scenario
def chat_coordinators_lead_children(guest: Guest) -> None:
    """A coordinator waits for two children, one of which runs a command; both report, both are told."""
    for model in DIALECTS:
        team = Team(Talker(guest, model), spinner=[TOOLSET], dyer=[])
        kept, gate = name("kept"), name("gate")
        steps = uses(
            wait("spinner", uses(bash("echo wool")), {"text": "spun"}),
            wait("dyer", {"text": "dyed", "wait": gate}),
        )
        with team.stream() as stream:
            team.send(say(steps, {"text": "all in", "keep": kept}))
            till(stream, hears("spinner", "spun"))
            guest.house.release(gate)
            stream.idle()
        wanted = [
            *[*GO, END, *spawned("spinner"), *spawned("dyer")],
            *[rests("spinner"), hears("spinner", "spun"), rests("dyer"), hears("dyer", "dyed")],
            *[START, *spoke("all in"), *SETTLED],
        ]
        spin = ["agent.tool_use bash", END, "agent.tool_result: wool", START, *reported("spinner", "spun")]
        dye = [*born("dyer"), *reported("dyer", "dyed")]
        team.shows(wanted, spinner=[*born("spinner"), *spin], dyer=dye)
        told = [message["content"] for message in guest.house.kept(kept)["messages"][-2:]]
        same(told, ["spun", "dyed"], f"{model}: what the coordinator is told")


@scenario
def chat_children_write_letters(guest: Guest) -> None:
    """A coordinator that does not wait is written to: the letter is a message with its sender's name."""
    for model in (PLAINEST, "chat-bare"):
        team = Team(Talker(guest, model), spinner=[])
        kept, gate = name("kept"), name("gate")
        with team.stream() as stream:
            spin = {"text": "spun", "wait": gate}
            team.send(
                say(uses(create("spinner", spin)), {"text": "started"}, {"text": "heard", "keep": kept})
            )
            stream.until("session.thread_status_idle")
            guest.house.release(gate)
            stream.idle()
        started = [*GO, END, *spawned("spinner"), START, *spoke("started"), REST]
        wanted = [*started, *woken("spinner", "spun"), *spoke("heard"), *SETTLED]
        team.shows(wanted, spinner=[*born("spinner"), *reported("spinner", "spun")])
        letter = f"Message from spinner ({team.thread('spinner').id}):\n\nspun"
        last = guest.house.kept(kept)["messages"][-1]
        same(last, {"role": "user", "content": letter}, f"{model}: the letter")


@scenario
def chat_survives_ends_of_the_server(guest: Guest) -> None:
    """kill -9 and SIGTERM in the middle of an answer: asked again, nothing lost; an open call is answered."""
    for how in (signal.SIGKILL, signal.SIGTERM):
        guest, session = dies_in_the_middle(Talker(guest), how)
    seen = guest.turn(session, say(calls("a"), {"text": "done"}), stop="requires_action")
    (call,) = seen[-1].stop_reason.event_ids
    guest.house.restart(signal.SIGKILL)
    guest = Guest(guest.house)
    seen = guest.turn(session, result(call, "found"))
    same(texts(seen[4]), "done", "the answer")
