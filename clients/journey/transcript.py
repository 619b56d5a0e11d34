"""Transcripts: what differs between two runs by nature is replaced, and the rest is compared."""

from __future__ import annotations

import difflib
import re

IDENTITY = re.compile(r"\b([a-z]+)_[1-9A-HJ-NP-Za-km-z]{20,24}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
HOST = re.compile(r"\b127\.0\.0\.1:\d+")
# Most lines of a difference that are shown.
SHOWN = 60


def normal(text: str, name: str) -> str:
    """The transcript with ids by the order of their first appearance, and without times and names."""
    known: dict[str, str] = {}
    counts: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        kind = found[1]
        if found[0] not in known:
            counts[kind] = counts.get(kind, 0) + 1
            known[found[0]] = f"{kind}#{counts[kind]}"
        return known[found[0]]

    text = re.sub(rf"\b{re.escape(name)}\b", "<name>", text)
    return IDENTITY.sub(numbered, HOST.sub("<host>", TIME.sub("<time>", text)))


def difference(reference: str, seen: dict[str, str], client: str) -> list[str]:
    """How a client's transcript differs from the reference; names another one with the same difference."""
    own = seen[client]
    if own == reference:
        return []
    for other, transcript in seen.items():
        if other != client and transcript == own:
            return [f"  the transcript of {other}, and not transcript.txt"]
    both = reference.splitlines(), own.splitlines()
    lines = list(difflib.unified_diff(*both, "transcript.txt", client, n=2, lineterm=""))
    more = [f"… and {len(lines) - SHOWN} lines more"] if len(lines) > SHOWN else []
    return [f"  {line}" for line in lines[:SHOWN] + more]
