import asyncio

import pytest

from minikin.api.access.keys import ANYONE
from minikin.api.serving import service as module
from minikin.api.serving.service import BatchService, Service
from minikin.errors import Overloaded
from tests.patience import PATIENCE

from .test_model_pool import Models, until


def over(models, tmp_path, **options):
    settings = models.settings(database=str(tmp_path / "kept.sqlite3"), **options)
    return Service(settings, models.pool)


async def test_a_line_of_a_batch_takes_no_place_of_a_request(tmp_path):
    service = over(Models(), tmp_path, max_queued=1)
    below = BatchService(service)
    with below.place(ANYONE), below.place(ANYONE), service.place(ANYONE):
        assert service.in_flight == 1
        with pytest.raises(Overloaded), service.place(ANYONE):
            pass


async def test_no_line_begins_while_a_request_waits_for_the_memory_of_another_model(tmp_path):
    models = Models(memory_budget=5)
    below = BatchService(over(models, tmp_path))
    async with models.pool.use("a"):
        with below.place(ANYONE):
            pass
        waiting = asyncio.create_task(models.touch("b"))
        await until(lambda: models.pool.is_short)
        with pytest.raises(Overloaded), below.place(ANYONE):
            pass
    async with asyncio.timeout(PATIENCE):
        await waiting
    with below.place(ANYONE):
        pass


async def test_few_lines_are_prepared_at_the_same_time(tmp_path):
    service = over(Models(), tmp_path)
    below = BatchService(service)
    at_once = most = 0

    async def prepare():
        nonlocal at_once, most
        async with below.preparing():
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(prepare() for _ in range(20)))
    assert most == module.PREPARED_AT_ONCE
    async with service.preparing(), service.preparing(), service.preparing():
        pass  # requests do not wait for one another
