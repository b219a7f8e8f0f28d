"""Blocking work that a task can leave without leaving it running."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def run_cancellable(work: Callable[[Callable[[], bool]], T]) -> T:
    """Run `work` in a thread. It receives a function that says whether to give up; a cancelled task waits for that."""
    gone = threading.Event()
    thread = asyncio.ensure_future(asyncio.to_thread(work, gone.is_set))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        gone.set()
        await asyncio.wait([thread])
        if not thread.cancelled() and (error := thread.exception()) is not None:
            raise asyncio.CancelledError from error
        raise
