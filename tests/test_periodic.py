import asyncio
import logging

import pytest

from minikin.errors import SetupError, StoreFailure
from minikin.periodic import repeat


class Work:
    """Raises the errors that it is given, one at each call, and then sets `done`."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.done = asyncio.Event()

    async def __call__(self):
        if self.errors:
            raise self.errors.pop(0)
        self.done.set()


async def test_an_error_of_any_kind_does_not_end_it(caplog):
    work = Work(StoreFailure("disk full"), KeyError("x"), OSError("no file"))
    task = asyncio.create_task(repeat(work, 0, "The cache is not read"))
    await work.done.wait()
    task.cancel()
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert told == ["The cache is not read"] * 2, "the database has logged its failure itself"
    assert "KeyError" in caplog.text


async def test_what_the_operator_has_to_change_ends_it(caplog):
    await repeat(Work(SetupError("Update Minikin.")), 0, "The cache is not read")
    assert "The cache is not read: Update Minikin." in caplog.text


async def test_an_event_ends_a_pause_and_a_cancellation_all_of_it():
    wake, calls = asyncio.Event(), []

    async def work():
        calls.append(wake.is_set())

    task = asyncio.create_task(repeat(work, 3600, "It fails", wake=wake))
    for count in (1, 2):
        while len(calls) < count:
            await asyncio.sleep(0)
        wake.set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
