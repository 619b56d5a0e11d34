"""One way to use what either client gives, synchronous or not, so that the journey is written once."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any


async def got(given: Any) -> Any:
    """What a call gives."""
    return await given if inspect.isawaitable(given) else given


async def each(given: Any) -> AsyncIterator[Any]:
    """What a stream shows, or what all pages of a list hold."""
    if hasattr(given, "__aiter__"):
        async for one in given:
            yield one
    else:
        for one in given:
            yield one


@contextlib.asynccontextmanager
async def opened(given: Any) -> AsyncIterator[Any]:
    """A stream that is closed at the end."""
    stream = await got(given)
    try:
        yield stream
    finally:
        await got(stream.close())


async def whole(given: Any) -> list[Any]:
    """All things of a list, over as many pages as there are."""
    return [one async for one in each(given)]
