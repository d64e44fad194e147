"""Writes of many requests in one transaction: a group commit.

Most of the time of a small write goes into its transaction: the connection, the beginning, the end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

MOST = 64
"""Writes in one transaction. With more, the first of them would wait for long."""


class _Write(msgspec.Struct, Generic[T], eq=False):
    """A write that a caller waits for."""

    work: Work[T]
    done: asyncio.Future[T]

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its caller has left."""
        return self.done.done()

    def succeed(self, result: T) -> None:
        """Give the result to the caller."""
        if not self.is_over:
            self.done.set_result(result)

    def fail(self, error: Exception) -> None:
        """Raise the error at the caller."""
        if not self.is_over:
            self.done.set_exception(error)


class _CallerLeft(Exception):
    """A caller does not wait any more: its write must not be committed."""


class GroupCommit:
    """The writes that arrive while a transaction is open share the next one."""

    def __init__(self, begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]]) -> None:
        """`begin` makes a transaction, which commits at its end, and raises StoreFailure."""
        self._begin = begin
        self._waiting: deque[_Write[Any]] = deque()
        self._group: list[_Write[Any]] = []
        """The writes of the open transaction. Empty until it has begun."""
        self._task: asyncio.Task[None] | None = None

    async def run(self, work: Work[T]) -> T:
        """The result of `work`, after its statements are committed.

        If another of its group fails, or the caller of another leaves, `work` runs again, in a
        transaction of its own. Raises StoreFailure, and what `work` raises.
        """
        one = _Write(work, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._start()
        try:
            return await one.done
        finally:
            if self._task and all(each.is_over for each in self._group or self._waiting):
                self._task.cancel()  # for example, it waits for a lock of another program

    async def close(self) -> None:
        """End the open transaction. Cancels the writes that are left."""
        for one in (*self._group, *self._waiting):
            one.done.cancel()
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _start(self) -> None:
        if self._task is None and self._waiting:
            self._task = asyncio.create_task(self._commit())
            self._task.add_done_callback(self._next)

    def _next(self, _: asyncio.Task[None]) -> None:
        self._task, self._group = None, []
        self._waiting = deque(one for one in self._waiting if not one.is_over)
        self._start()

    async def _commit(self) -> None:
        """Run what waits. A write that fails does not stop the others of its group."""
        try:
            async with self._begin() as db:
                self._group = self._taken()
                results = await _results(self._group, db)
        except Exception as error:
            if len(self._group) > 1:
                for one in self._group:
                    await self._commit_alone(one)
                return
            for one in self._group or self._waiting:
                one.fail(error)
        else:
            for one, result in zip(self._group, results, strict=True):
                one.succeed(result)

    async def _commit_alone(self, one: _Write[Any]) -> None:
        if one.is_over:
            return
        try:
            async with self._begin() as db:
                (result,) = await _results([one], db)
        except Exception as error:
            one.fail(error)
        else:
            one.succeed(result)

    def _taken(self) -> list[_Write[Any]]:
        taken: list[_Write[Any]] = []
        while self._waiting and len(taken) < MOST:
            one = self._waiting.popleft()
            if not one.is_over:
                taken.append(one)
        return taken


async def _results(group: list[_Write[Any]], db: AsyncConnection) -> list[Any]:
    """What the writes return. Raises _CallerLeft before the commit."""
    results = [await one.work(db) for one in group]
    if any(one.is_over for one in group):
        raise _CallerLeft
    return results
