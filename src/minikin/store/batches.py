"""Batches and the state of each of their lines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.errors import InvalidRequest, NotFound, StoreFailure
from minikin.store.database import Database
from minikin.store.files import publish
from minikin.store.kept import BatchLine, LineState, Page, StoredBatch, StoredFile
from minikin.store.paging import paged
from minikin.store.runner import Runner
from minikin.store.tables import batch_lines as lines
from minikin.store.tables import batches as table

MAX_UNENDED = 100
"""Maximum batches of an owner that have not ended."""
PAGE = 100
"""Results that are in memory at a time."""
Body = dict[str, Any]


class Batches:
    """The batches of all owners.

    What the runner of a batch stores raises StoreFailure if another server runs the batch.
    """

    def __init__(self, database: Database, runner: Runner) -> None:
        self._database = database
        self._runner = runner

    async def add(self, batch: StoredBatch) -> None:
        """Store a new batch, which this server runs. Raises InvalidRequest for too many."""
        row = asdict(batch) | {"runner": self._runner.name}
        await self._runner.appear()
        count = sa.select(sa.func.count()).select_from(table)
        unended = count.where(table.c.owner == batch.owner, ~table.c.ended)
        async with self._database.write() as db:
            if (await db.scalar(unended) or 0) >= MAX_UNENDED:
                raise InvalidRequest(
                    f"You have {MAX_UNENDED} batches that have not ended. Wait until one ends, or "
                    "cancel one."
                )
            await db.execute(sa.insert(table), row)

    async def get(self, owner: str, identifier: str) -> StoredBatch:
        """The batch with this id, with its counts. Raises NotFound."""
        query = sa.select(table).where(table.c.owner == owner, table.c.id == identifier)
        found = await self._select(query)
        if not found:
            raise NotFound(f"No batch found with id '{identifier[:64]}'.")
        return found[0]

    async def find(self, owner: str, page: Page) -> list[StoredBatch]:
        """Up to `page.limit` batches, and one more if there are more."""
        return await self._select(paged(sa.select(table), table, page, table.c.owner == owner))

    async def mine(self) -> list[StoredBatch]:
        """The batches of all owners that this server runs, oldest first."""
        query = sa.select(table).where(~table.c.ended, table.c.runner == self._runner.name)
        return await self._select(query.order_by(table.c.position))

    async def take_over(self) -> None:
        """From now on, this server runs the batches whose runners have ended.

        Raises StoreFailure.
        """
        for name in await self._runner.others(table, ~table.c.ended):
            async with self._runner.ended(name) as has_ended:
                if has_ended:
                    await self._runner.take(table, ~table.c.ended, name)

    async def change(self, identifier: str, changed: Callable[[Body], Body | None]) -> Body:
        """Replace the body by `changed(body)`, unless that is None. Returns the new one.

        `changed` gets the latest body. Nothing else changes it meanwhile.
        """
        async with self._database.write() as db:
            return await _change(db, identifier, changed)

    async def advance(self, identifier: str, changed: Callable[[Body], Body | None]) -> Body:
        """The same as `change`, for the runner of the batch."""
        async with self._writing(identifier) as db:
            return await _change(db, identifier, changed)

    async def clear_lines(self, identifier: str) -> None:
        """Delete the lines of a batch."""
        async with self._writing(identifier) as db:
            await db.execute(sa.delete(lines).where(lines.c.batch == identifier))

    async def add_lines(self, identifier: str, new: Sequence[BatchLine]) -> None:
        """Store lines that wait to run."""
        rows = [
            {"batch": identifier, "line": line.line, "state": "pending", "request": line.request}
            for line in new
        ]
        async with self._writing(identifier) as db:
            await db.execute(sa.insert(lines), rows)

    async def pending(self, identifier: str) -> list[int]:
        """The numbers of the lines that wait to run."""
        query = sa.select(lines.c.line).where(*_in_state(identifier, "pending"))
        async with self._database.read() as db:
            return list((await db.scalars(query.order_by(lines.c.line))).all())

    async def request(self, identifier: str, line: int) -> bytes:
        """A line as it is in the file."""
        query = sa.select(lines.c.request)
        async with self._database.read() as db:
            one = query.where(lines.c.batch == identifier, lines.c.line == line)
            return (await db.execute(one)).scalar_one()

    async def finish_line(
        self, identifier: str, line: int, state: LineState, result: dict[str, Any]
    ) -> None:
        """Store the result of a line. The first result stays."""
        one = (*_in_state(identifier, "pending"), lines.c.line == line)
        async with self._writing(identifier) as db:
            await db.execute(sa.update(lines).where(*one).values(state=state, result=result))

    async def results(
        self, identifier: str, state: LineState
    ) -> AsyncGenerator[tuple[bytes, dict[str, Any] | None], None]:
        """The request and the result of each line in this state, in the order of the lines."""
        last = 0
        query = sa.select(lines.c.line, lines.c.request, lines.c.result)
        while True:
            page = query.where(*_in_state(identifier, state), lines.c.line > last)
            async with self._database.read() as db:
                rows = (await db.execute(page.order_by(lines.c.line).limit(PAGE))).all()
            for row in rows:
                yield row.request, row.result
            if len(rows) < PAGE:
                return
            last = rows[-1].line

    async def end(self, identifier: str, body: Body, files: Sequence[StoredFile] = ()) -> None:
        """Store the last body, publish the files of the results, and delete the lines, at once."""
        async with self._writing(identifier) as db:
            for file in files:
                await publish(db, file)
            change = sa.update(table).where(table.c.id == identifier)
            await db.execute(change.values(body=body, ended=True))
            await db.execute(sa.delete(lines).where(lines.c.batch == identifier))

    async def counts(self, identifier: str) -> dict[str, int]:
        """The wire's `request_counts`, from the state of the lines."""
        query = sa.select(lines.c.state, sa.func.count()).where(lines.c.batch == identifier)
        async with self._database.read() as db:
            rows = (await db.execute(query.group_by(lines.c.state))).all()
        found = {row[0]: row[1] for row in rows}
        return {
            "total": sum(found.values()),
            "completed": found.get("completed", 0),
            "failed": found.get("failed", 0),
        }

    @asynccontextmanager
    async def _writing(self, identifier: str) -> AsyncIterator[AsyncConnection]:
        """A transaction in which no other server takes the batch over."""
        mine = (table.c.id == identifier, table.c.runner == self._runner.name, ~table.c.ended)
        async with self._database.write() as db:
            if not await db.scalar(sa.select(table.c.position).where(*mine).with_for_update()):
                raise StoreFailure(f"another server runs or has ended {identifier}")
            yield db

    async def _select(self, query: sa.Select[Any]) -> list[StoredBatch]:
        found = await self._database.select(StoredBatch, query)
        return [await self._counted(batch) for batch in found]

    async def _counted(self, batch: StoredBatch) -> StoredBatch:
        if batch.ended or batch.body["status"] == "validating":
            return batch
        body = batch.body | {"request_counts": await self.counts(batch.id)}
        return msgspec.structs.replace(batch, body=body)


async def _change(
    db: AsyncConnection, identifier: str, changed: Callable[[Body], Body | None]
) -> Body:
    one = table.c.id == identifier
    latest = await db.execute(sa.select(table.c.body).where(one).with_for_update())
    body: Body = latest.scalar_one()
    new = changed(body)
    if new is None:
        return body
    await db.execute(sa.update(table).where(one).values(body=new))
    return new


def _in_state(identifier: str, state: LineState) -> tuple[sa.ColumnElement[bool], ...]:
    return lines.c.batch == identifier, lines.c.state == state
