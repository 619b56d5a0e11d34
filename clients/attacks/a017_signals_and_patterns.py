"""Signals to the sandbox's own process and patterns that break libraries: the sandbox goes on."""

from __future__ import annotations

from attack import Server, attack, text_of

SIGNALS = """python3 -c "
import os
for number in range(1, 65):
    for _ in range(20):
        try: os.kill(1, number)
        except OSError: pass
print('sent')
" """

# What the patterns take is more than the window of any model.
ENDLESS = """
[routes."claude-*"]
provider = "messages"
key = "ANTHROPIC_API_KEY"
window = 100000000
"""


@attack("every signal, sent to pid 1 by an agent", beside="many")
def signals(server: Server) -> None:
    session = server.session()
    server.bash(session, "X=kept")
    for _ in range(12):
        assert "sent" in server.bash(session, SIGNALS)
    # The same shell, so the same sandbox.
    said = server.bash(session, "echo X=$X")
    server.say(f"afterwards the shell says {said.strip()!r}")
    assert said.strip() == "X=kept", said


@attack("patterns and paths that no library was made for", toml=ENDLESS, beside="many", seconds=240)
def patterns(server: Server) -> None:
    session = server.session()
    server.bash(session, "X=kept; mkdir -p d; touch d/f; touch $(printf 'd/\\xff\\xfe')")
    inputs: list[tuple[str, dict[str, object]]] = [
        ("glob", {"pattern": "{" * 500 + "a" + "}" * 500}),
        ("glob", {"pattern": "{a,b}" * 700}),
        ("glob", {"pattern": "**/" * 1300 + "x"}),
        ("glob", {"pattern": "[" * 4000}),
        ("glob", {"pattern": "*", "path": "d"}),
        ("glob", {"pattern": "x" * 16_000}),
        ("grep", {"pattern": "(" * 8000 + ")" * 8000}),
        ("grep", {"pattern": "((a{1000}){1000}){1000}"}),
        ("grep", {"pattern": "\\pL{1000}{1000}"}),
        ("grep", {"pattern": "(?i)" + "(a|b)*" * 2000}),
        ("read", {"file_path": "p/" * 500_000}),
        ("read", {"file_path": "/dev/zero"}),
        ("read", {"x" * 1_000_000: 1}),
        ("read", {"file_path": "d/f", "view_range": [2**62, -1]}),
        ("read", {"file_path": "d/f", "view_range": [1, 2**63 - 1]}),
        ("edit", {"file_path": "d/f", "old_string": "x" * 1_000_000, "new_string": ""}),
        ("write", {"file_path": "d/" + "n" * 5000, "content": "x"}),
        ("write", {"file_path": "w/" * 3000 + "f", "content": "x"}),
    ]
    for tool, given in inputs:
        said = text_of(server.turn(session, [(tool, given)], timeout=90)[0])
        server.say(f"{tool} {str(given)[:60]}…: {said.strip()[:90]!r}")
        assert "failed inside" not in said, said
    assert "panicked" not in server.log(), "a panic of the sandbox is in the log"
    assert server.bash(session, "echo X=$X").strip() == "X=kept"


if __name__ == "__main__":
    from run import alone

    alone()
