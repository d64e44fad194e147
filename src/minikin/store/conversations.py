"""Conversations: lists of items that do not expire."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.errors import InvalidRequest, NotFound
from minikin.store.database import Database
from minikin.store.items import keep
from minikin.store.kept import KEPT_SECONDS, Conversation, Entry, Item, Page
from minikin.store.paging import paged
from minikin.store.reservations import Reservations
from minikin.store.tables import conversation_items as members
from minikin.store.tables import conversations as table
from minikin.store.tables import items

MAX_CONVERSATIONS = 100_000
"""Above this number, the oldest are deleted."""
MAX_ITEMS = 10_000
"""Maximum items of a conversation."""


class Conversations:
    """The conversations of all owners. Raises NotFound for one that does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.reservations = Reservations(database)

    @asynccontextmanager
    async def use(self, owner: str, identifier: str) -> AsyncIterator[None]:
        """Reserve a conversation for one response. Raises InvalidRequest if another one has it."""
        name = f"{owner} {identifier}"
        if not await self.reservations.take(name):
            raise InvalidRequest(
                "Another process is currently operating on this conversation. Please retry in a "
                "few seconds.",
                code="conversation_locked",
            )
        try:
            yield
        finally:
            await self.reservations.release(name)

    async def add(self, conversation: Conversation, first: Sequence[Item] = ()) -> None:
        """Store a new conversation with its first items. Raises InvalidRequest, see `append`."""
        row = asdict(conversation)
        async with self._database.write() as db:
            made = await db.execute(sa.insert(table).returning(table.c.position), row)
            oldest = table.c.position <= made.scalar_one() - MAX_CONVERSATIONS
            for old in (await db.execute(sa.select(table).where(oldest))).all():
                await _remove(db, old.owner, old.id)
            await append(db, conversation.owner, conversation.id, first)

    async def get(self, owner: str, identifier: str) -> Conversation:
        """The conversation with this id, if it belongs to `owner`."""
        query = sa.select(table).where(*_one(owner, identifier))
        found = await self._database.select(Conversation, query)
        if not found:
            raise not_found(identifier)
        return found[0]

    async def set_metadata(self, owner: str, identifier: str, metadata: dict[str, str]) -> None:
        """Replace the metadata of a conversation."""
        change = sa.update(table).where(*_one(owner, identifier)).values(metadata=metadata)
        async with self._database.write() as db:
            if not (await db.execute(change)).rowcount:
                raise not_found(identifier)

    async def delete(self, owner: str, identifier: str) -> None:
        """Delete a conversation. Its items expire like those of a response from now on."""
        async with self._database.write() as db:
            if not await _remove(db, owner, identifier):
                raise not_found(identifier)

    async def append(self, owner: str, identifier: str, new: Sequence[Item]) -> None:
        """Append items, see `append`."""
        async with self._database.write() as db:
            await append(db, owner, identifier, new)

    async def items(self, owner: str, identifier: str) -> list[Item]:
        """All its items, oldest first."""
        await self.get(owner, identifier)
        page = Page(limit=MAX_ITEMS, order="asc")
        return await self._database.values(_listed((items.c.body,), owner, identifier, page))

    async def page(self, owner: str, identifier: str, page: Page) -> list[Entry]:
        """A page of its items, and one more if there are more."""
        await self.get(owner, identifier)
        query = _listed((items.c.id, items.c.body), owner, identifier, page)
        return await self._database.select(Entry, query)

    async def item(self, owner: str, identifier: str, item: str) -> Item:
        """One of its items. Raises NotFound if there is no such item in it."""
        await self.get(owner, identifier)
        query = sa.select(items.c.body).join_from(members, items, _same_item())
        query = query.where(*_member(owner, identifier, item))
        async with self._database.read() as db:
            body = await db.scalar(query)
        if body is None:
            raise item_not_found(item)
        return body

    async def remove_item(self, owner: str, identifier: str, item: str) -> None:
        """Take an item out of the conversation. Raises NotFound if there is no such item in it."""
        await self.get(owner, identifier)
        async with self._database.write() as db:
            gone = await db.execute(sa.delete(members).where(*_member(owner, identifier, item)))
            if not gone.rowcount:
                raise item_not_found(item)
            await _let_expire(db, owner, items.c.id == item)


def not_found(identifier: str) -> NotFound:
    """The error for an unknown conversation."""
    return NotFound(f"Conversation with id '{identifier[:64]}' not found.")


def item_not_found(identifier: str) -> NotFound:
    """The error for an unknown item."""
    return NotFound(f"Item with id '{identifier[:64]}' not found.")


async def append(db: AsyncConnection, owner: str, identifier: str, new: Sequence[Item]) -> None:
    """Append items to a conversation, within a transaction.

    Raises NotFound if there is no such conversation, InvalidRequest if it has one of the items or
    becomes too long.
    """
    if not await db.scalar(sa.select(table.c.id).where(*_one(owner, identifier))):
        raise not_found(identifier)
    if not new:
        return
    ids = [item["id"] for item in new]
    known = next((i for at, i in enumerate(ids) if i in ids[:at]), None)
    there = sa.select(members.c.id).where(members.c.conversation == identifier)
    known = known or await db.scalar(there.where(members.c.id.in_(ids)).limit(1))
    if known:
        raise InvalidRequest(
            f"Duplicate item found with id {known}. Remove duplicate items from your input and try "
            "again.",
            param="items",
        )
    count = await db.scalar(sa.select(sa.func.count()).select_from(there.subquery()))
    if (count or 0) + len(ids) > MAX_ITEMS:
        raise InvalidRequest(f"A conversation can have at most {MAX_ITEMS} items.", param="items")
    await keep(db, owner, new)
    await db.execute(
        sa.insert(members), [{"conversation": identifier, "owner": owner, "id": i} for i in ids]
    )


async def _remove(db: AsyncConnection, owner: str, identifier: str) -> bool:
    gone = await db.execute(sa.delete(table).where(*_one(owner, identifier)))
    if gone.rowcount:
        of_it = (members.c.owner == owner, members.c.conversation == identifier)
        ids = (await db.scalars(sa.select(members.c.id).where(*of_it))).all()
        await db.execute(sa.delete(members).where(*of_it))
        for start in range(0, len(ids), 500):
            await _let_expire(db, owner, items.c.id.in_(ids[start : start + 500]))
    return gone.rowcount > 0


async def _let_expire(db: AsyncConnection, owner: str, which: sa.ColumnElement[bool]) -> None:
    """Items that are in no other conversation expire from now on."""
    elsewhere = sa.exists().where(members.c.owner == items.c.owner, members.c.id == items.c.id)
    await db.execute(
        sa.update(items)
        .where(items.c.owner == owner, which, ~elsewhere)
        .values(expires_at=int(time.time()) + KEPT_SECONDS)
    )


def _one(owner: str, identifier: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.owner == owner, table.c.id == identifier


def _listed(
    what: Sequence[sa.ColumnElement[Any]], owner: str, identifier: str, page: Page
) -> sa.Select[Any]:
    query = sa.select(*what).join_from(members, items, _same_item())
    within = (members.c.owner == owner, members.c.conversation == identifier)
    return paged(query, members, page, *within)


def _member(owner: str, identifier: str, item: str) -> tuple[Any, ...]:
    return members.c.owner == owner, members.c.conversation == identifier, members.c.id == item


def _same_item() -> sa.ColumnElement[bool]:
    return sa.and_(items.c.owner == members.c.owner, items.c.id == members.c.id)
