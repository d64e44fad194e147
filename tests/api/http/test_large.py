from __future__ import annotations

import asyncio
import threading

import pytest

from minikin.api.http.large import LARGE, MEDIUM, off_loop


async def passes(size: int, fails: bool) -> list[int]:
    """The pass of the event loop in which each of 20 works runs that come at once."""
    at, seen = 0, []

    def work() -> None:
        seen.append(at)
        if fails:
            raise ValueError

    async def count() -> None:
        nonlocal at
        while True:
            at += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(off_loop(size, work) for _ in range(20)), return_exceptions=True)
    counting.cancel()
    return seen


@pytest.mark.parametrize("fails", [False, True])
async def test_medium_works_do_not_hold_the_loop_together(fails):
    seen = await passes(MEDIUM, fails)
    assert len(set(seen)) == 20


async def test_small_works_run_at_once():
    assert len(set(await passes(MEDIUM - 1, fails=False))) == 1


async def test_large_work_runs_in_a_thread_and_its_error_comes_back():
    assert await off_loop(LARGE, threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await off_loop(LARGE, lambda: 1 // 0)
