"""Items of responses and conversations. Their ids are one name space for each owner."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.store.database import Database
from minikin.store.kept import Item
from minikin.store.tables import items as table


class Items:
    """The stored items of all owners."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, owner: str, identifiers: Iterable[str]) -> dict[str, Item]:
        """The items with these ids that belong to `owner` and have not expired, by their ids."""
        wanted = list(set(identifiers))
        if not wanted:
            return {}
        alive = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > time.time())
        query = sa.select(table.c.id, table.c.body).where(
            table.c.owner == owner, table.c.id.in_(wanted), alive
        )
        async with self._database.read() as db:
            return {row.id: row.body for row in await db.execute(query)}


async def keep(
    db: AsyncConnection,
    owner: str,
    new: Sequence[Item],
    *,
    response: str | None = None,
    expires_at: int | None = None,
) -> None:
    """Store items, within a transaction. An item of a known id stays, and is kept for longer.

    A conversation's items have no `expires_at`.
    """
    if not new:
        return
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    given = statement.excluded
    later = sa.case(
        (sa.or_(table.c.expires_at.is_(None), given.expires_at.is_(None)), None),
        (table.c.expires_at > given.expires_at, table.c.expires_at),
        else_=given.expires_at,
    )
    body = sa.case((_expired(), given.body), else_=table.c.body)
    statement = statement.on_conflict_do_update(
        index_elements=["owner", "id"], set_={"expires_at": later, "body": body}
    )
    rows = [
        {"owner": owner, "id": i["id"], "response": response, "expires_at": expires_at, "body": i}
        for i in new
    ]
    await db.execute(statement, rows)


def _expired() -> sa.ColumnElement[bool]:
    return table.c.expires_at <= int(time.time())
