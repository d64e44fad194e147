import asyncio
import logging

from minikin.errors import SetupError, StoreFailure
from minikin.periodic import Periodic


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
    periodic = Periodic(work, 0, "The cache is not read")
    periodic.start()
    await work.done.wait()
    await periodic.stop()
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert told == ["The cache is not read"] * 2, "the database has logged its failure itself"
    assert "KeyError" in caplog.text


async def test_what_the_operator_has_to_change_ends_it(caplog):
    work = Work(SetupError("Update Minikin."))
    periodic = Periodic(work, 0, "The cache is not read")
    periodic.start()
    while work.errors:
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    await periodic.stop()
    assert not work.done.is_set()
    assert "The cache is not read: Update Minikin." in caplog.text


async def test_an_event_ends_a_pause_and_a_cancellation_all_of_it():
    calls = []

    async def work():
        calls.append(1)

    periodic = Periodic(work, 3600, "It fails")
    periodic.start()
    for count in (1, 2):
        while len(calls) < count:
            await asyncio.sleep(0)
        periodic.wake()
    await periodic.stop()
    assert len(calls) == 2
