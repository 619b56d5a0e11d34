"""Models: what agents may name, as both doors of the client read it."""

from __future__ import annotations

from anthropic import BadRequestError, NotFoundError

from guest import MODEL, Guest, refuses, same
from scenarios import scenario


@scenario
def the_models_are_listed_and_read_by_both_clients(guest: Guest) -> None:
    """The stable and the beta client see the same models, page by page, each of them once."""
    for models in (guest.client.models, guest.beta.models):
        ids = [model.id for model in models.list(limit=3)]
        same(len(ids), len(set(ids)), "each of them once")
        for wanted in ("heddle-demo", MODEL):
            same(wanted in ids, True, f"{wanted} is listed")
        middle = ids[2]
        behind = models.list(after_id=middle, limit=2)
        same([model.id for model in behind.data], ids[3:5], "what comes behind")
        before = models.list(before_id=middle, limit=2)
        same(([model.id for model in before.data], before.has_more), (ids[:2], False), "what comes before")
        found = models.retrieve("heddle-demo")
        same((found.id, found.type, found.lifecycle), ("heddle-demo", "model", "active"), "the model")
        same((found.max_input_tokens, found.max_tokens), (128_000, 8_192), "its bounds")
        same(
            models.retrieve("claude-of-tomorrow").display_name, "claude-of-tomorrow", "one that is not listed"
        )
        refuses(
            NotFoundError, lambda models=models: models.retrieve("gpt"), "no route answers", "heddle-demo"
        )
        refuses(BadRequestError, lambda models=models: models.list(after_id="gpt"), "after_id")
