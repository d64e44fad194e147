"""Writes of many requests that share a transaction, on each kind of database."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from minikin.errors import StoreFailure
from minikin.store.database import Database
from minikin.store.group_commit import GroupCommit
from minikin.store.tables import completions
from tests.store.rows import completion


class Counted:
    """A database that counts its transactions."""

    def __init__(self, location):
        self.database = Database(location)
        self.begun = 0
        self.fails = False
        self.group_commit = GroupCommit(self.begin)

    @asynccontextmanager
    async def begin(self):
        self.begun += 1
        if self.fails:
            raise StoreFailure("it fails")
        async with self.database.write() as db:
            yield db

    async def add(self, name):
        async def insert(db):
            await db.execute(sa.insert(completions), completion(name))
            return name

        return await self.group_commit.run(insert)

    async def names(self):
        async with self.database.read() as db:
            return set((await db.scalars(sa.select(completions.c.id))).all())


@pytest.fixture
async def counted(location):
    counted = Counted(location)
    await counted.add("first")  # and opens the database
    counted.begun = 0
    yield counted
    await counted.group_commit.close()
    await counted.database.close()


def names(count):
    return [f"n{at}" for at in range(count)]


async def test_what_arrives_together_is_committed_together(counted):
    assert await asyncio.gather(*map(counted.add, names(40))) == names(40)
    assert await counted.names() == {"first", *names(40)}
    assert counted.begun < 4


async def test_one_after_the_other_commits_each(counted):
    for name in names(3):
        await counted.add(name)
    assert counted.begun == 3


async def test_a_write_that_fails_does_not_stop_the_others(counted):
    given = ["first", *names(5)]  # the id of the first is there already
    results = await asyncio.gather(*map(counted.add, given), return_exceptions=True)
    assert isinstance(results[0], StoreFailure)
    assert results[1:] == names(5)
    assert await counted.names() == set(given)


async def test_what_is_raised_by_a_write_reaches_its_caller_alone(counted):
    async def fail(db):
        raise LookupError

    results = await asyncio.gather(
        counted.add("a"), counted.group_commit.run(fail), counted.add("b"), return_exceptions=True
    )
    assert results[::2] == ["a", "b"]
    assert isinstance(results[1], LookupError)
    assert await counted.names() == {"first", "a", "b"}


async def test_nothing_is_stored_of_a_caller_that_leaves(counted):
    reached, leave = asyncio.Event(), asyncio.Event()

    async def slow(db):
        await db.execute(sa.insert(completions), completion("slow"))
        reached.set()
        await leave.wait()

    leaving = asyncio.create_task(counted.group_commit.run(slow))
    others = [asyncio.create_task(counted.add(name)) for name in names(3)]
    await reached.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    leave.set()
    assert await asyncio.gather(*others) == names(3)
    assert await counted.names() == {"first", *names(3)}


async def test_a_transaction_that_nobody_waits_for_ends(counted):
    reached = asyncio.Event()

    async def hang(db):
        reached.set()
        await asyncio.Event().wait()

    hanging = asyncio.create_task(counted.group_commit.run(hang))
    await reached.wait()
    hanging.cancel()
    assert await counted.add("a") == "a"


async def test_a_transaction_that_cannot_begin_fails_all_and_the_next_can(counted):
    counted.fails = True
    results = await asyncio.gather(*map(counted.add, names(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreFailure] * 3
    assert counted.begun == 1
    counted.fails = False
    assert await counted.add("a") == "a"


async def test_closing_ends_what_is_left(counted):
    async def hang(db):
        await asyncio.Event().wait()

    hanging = [asyncio.create_task(counted.group_commit.run(hang)) for _ in range(2)]
    await asyncio.sleep(0)
    await counted.group_commit.close()
    await asyncio.wait(hanging)
    assert all(task.cancelled() for task in hanging)
