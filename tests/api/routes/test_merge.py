import asyncio
from contextlib import aclosing

import pytest

from minikin.api.routes.merge import merged


async def counting(to, pause=0.0):
    for number in range(to):
        await asyncio.sleep(pause)
        yield number


async def broken():
    yield 0
    raise ValueError("broken")


async def test_it_has_the_items_of_every_stream_in_their_order():
    got = [item async for item in merged([counting(3), counting(2, 0.01), counting(0)])]
    assert [item for at, item in got if at == 0] == [0, 1, 2]
    assert [item for at, item in got if at == 1] == [0, 1]
    assert len(got) == 5


async def test_streams_run_at_the_same_time():
    first, second = asyncio.Event(), asyncio.Event()

    async def meets(own, other):
        own.set()
        await asyncio.wait_for(other.wait(), 60)
        yield "met"

    got = [item async for item in merged([meets(first, second), meets(second, first)])]
    assert sorted(got) == [(0, "met"), (1, "met")]


async def test_an_error_of_one_ends_it_and_leaves_no_task():
    before = asyncio.all_tasks()
    with pytest.raises(ValueError, match="broken"):
        _ = [item async for item in merged([counting(10**9, 0.01), broken()])]
    assert asyncio.all_tasks() == before


async def test_closing_it_early_leaves_no_task():
    before = asyncio.all_tasks()
    async with aclosing(merged([counting(10**9, 0.01)])) as items:
        async for _ in items:
            break
    assert asyncio.all_tasks() == before
