"""Responses with `store: true`, with the whole context of each, so that a parent can be deleted."""

from __future__ import annotations

import time
from collections.abc import Sequence

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.store.conversations import append
from minikin.store.database import Database
from minikin.store.items import keep
from minikin.store.kept import Item, RunState, StoredResponse
from minikin.store.runner import Runner
from minikin.store.tables import items
from minikin.store.tables import response_events as events
from minikin.store.tables import responses as table

MAX_RESPONSES = 100_000
"""Above this number, the oldest are deleted."""
MOST_IDS = 500
"""In one query. Databases limit its parameters."""


class Responses:
    """The stored responses of all owners."""

    def __init__(self, database: Database, runner: Runner) -> None:
        self._database = database
        self._runner = runner

    async def put(
        self,
        response: StoredResponse,
        new_items: Sequence[Item] = (),
        *,
        conversation: str | None = None,
        has_run: bool = False,
    ) -> bool:
        """Store a response, or replace it. If there are too many, the oldest is deleted.

        With a `request`, this server runs it from now on. `has_run`: it is the end of such a one.
        No effect, and False, if another server has ended or deleted it since, or runs it.

        `new_items` are items of its input and its output, which `items` finds by their ids from now
        on. They are also appended to `conversation`, an id, in the same transaction. Raises
        NotFound if there is no such conversation, InvalidRequest if it has one of the items.
        """
        row = asdict(response)
        if response.request:
            await self._runner.appear()
            row["runner"] = self._runner.name

        async def write(db: AsyncConnection) -> bool:
            running = (_RUNS, table.c.runner == self._runner.name) if has_run else ()
            changed = await db.execute(
                sa.update(table).where(*_one(response.owner, response.id), *running).values(row)
            )
            if not changed.rowcount and has_run:
                return False
            if not changed.rowcount:
                made = await db.execute(sa.insert(table).returning(table.c.position), row)
                if (oldest := made.scalar_one() - MAX_RESPONSES) > 0:
                    await db.execute(sa.delete(table).where(table.c.position <= oldest))
            await keep(
                db,
                response.owner,
                new_items,
                response=response.id,
                expires_at=None if conversation else response.expires_at,
            )
            if conversation:
                await append(db, response.owner, conversation, new_items)
            return True

        return await self._database.group_commit.run(write)

    async def cancel(self, response: StoredResponse) -> None:
        """Replace a response that any server runs by its end. No effect if it has ended."""
        one = (*_one(response.owner, response.id), _RUNS)
        async with self._database.write() as db:
            await db.execute(sa.update(table).where(*one).values(asdict(response)))

    async def get(self, owner: str, identifier: str) -> StoredResponse | None:
        """The response with this id, if it belongs to `owner` and has not expired."""
        found = await self._select(*_one(owner, identifier), table.c.expires_at > time.time())
        return found[0] if found else None

    async def state(self, owner: str, identifier: str) -> RunState | None:
        """Where the response with this id runs. None if it does not exist. Raises StoreFailure."""
        columns = sa.select(table.c.runner, _RUNS.label("runs"))
        one = (*_one(owner, identifier), table.c.expires_at > time.time())
        async with self._database.read() as db:
            row = (await db.execute(columns.where(*one))).one_or_none()
        return RunState(row.runner, bool(row.runs)) if row else None

    async def others(self) -> list[str | None]:
        """The other runners of responses of all owners. Raises StoreFailure."""
        return await self._runner.others(table, _RUNS)

    async def take_over(self, runner: str | None) -> list[StoredResponse]:
        """The responses of this runner, if it has ended. From now on, this server runs them.

        Raises StoreFailure, and then the next try can succeed.
        """
        async with self._runner.ended(runner) as has_ended:
            return await self._taken(runner) if has_ended else []

    async def _taken(self, name: str | None) -> list[StoredResponse]:
        found = await self._select(_RUNS, table.c.runner.is_not_distinct_from(name))
        taken = await self._runner.take(table, _RUNS, name)
        return [response for response in found if response.id in taken]

    async def runners(self, identifiers: Sequence[str]) -> dict[str, str | None]:
        """The runner of each of these responses that has not ended, and is not deleted."""
        found: dict[str, str | None] = {}
        columns = sa.select(table.c.id, table.c.runner)
        async with self._database.read() as db:
            for at in range(0, len(identifiers), MOST_IDS):
                these = table.c.id.in_(identifiers[at : at + MOST_IDS])
                rows = (await db.execute(columns.where(these, _RUNS))).all()
                found.update((row.id, row.runner) for row in rows)
        return found

    async def delete(self, owner: str, identifier: str) -> bool:
        """Delete a response, and its items that are in no conversation.

        Returns False if it does not exist.
        """
        async with self._database.write() as db:
            gone = await db.execute(sa.delete(table).where(*_one(owner, identifier)))
            own = (items.c.owner == owner, items.c.response == identifier)
            if gone.rowcount:
                await db.execute(sa.delete(events).where(events.c.response == identifier))
                await db.execute(sa.delete(items).where(*own, items.c.expires_at.is_not(None)))
            return gone.rowcount > 0

    async def _select(self, *conditions: sa.ColumnElement[bool]) -> list[StoredResponse]:
        query = sa.select(table).where(*conditions).order_by(table.c.position)
        return await self._database.select(StoredResponse, query)


_RUNS = table.c.request.is_not(None)


def _one(owner: str, identifier: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.owner == owner, table.c.id == identifier
