"""Lists in pages: the query string of a list, and the object with a page of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Raw
from starlette.datastructures import QueryParams
from starlette.responses import Response

from minikin.api.http.http import encode, json_response
from minikin.api.http.large import LARGE, off_loop
from minikin.api.request import faults
from minikin.api.request.rules import Integer, OneOf
from minikin.store.kept import Entry, Order, Page

T = TypeVar("T")
ORDER = OneOf(get_args(Order))


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """How a route lists: the range of `limit`, and the defaults."""

    limit: Integer = Integer(1, 100)
    default_limit: int = 20
    order: Order = "desc"

    def page(self, query: QueryParams, others: Iterable[str] = ()) -> Page:
        """The page that the query asks for. `others` are parameters that the route reads itself.

        Raises InvalidRequest.
        """
        for name in query:
            if name not in ("after", "limit", "order", *others):
                raise faults.unknown(name[:64])
        limit = query.get("limit", str(self.default_limit))
        number = int(limit) if re.fullmatch(r"-?[0-9]{1,9}", limit) else limit
        return Page(
            after=query.get("after"),
            limit=self.limit.check(number, "limit"),
            order=ORDER.check(query.get("order", self.order), "order"),
        )


def part_of(data: list[dict[str, Any]], page: Page) -> list[dict[str, Any]]:
    """The entries of a page and all after it, of a list in memory with the oldest first."""
    ordered = data[::-1] if page.order == "desc" else data
    ids = [entry["id"] for entry in ordered]
    return ordered[ids.index(page.after) + 1 :] if page.after in ids else ordered


def as_entry(item: dict[str, Any]) -> Entry:
    """An item that is not in its stored form."""
    return Entry(id=item["id"], body=Raw(encode(item)))


async def large_list(found: list[T], page: Page, entry: Callable[[T], Entry]) -> Response:
    """The answer with the list object of what is found. It is made in another thread.

    The thread also empties `found`: to free megabytes of values takes as long as to encode them.
    It does so one by one, because Python runs no other thread while it frees one.
    """

    def answer() -> Response:
        shown = [entry(each) for each in found[: page.limit]]
        more = len(found) > page.limit
        while found:
            found.pop()
        return json_response(
            _list([each.body for each in shown], [each.id for each in shown], more)
        )

    return await off_loop(LARGE, answer)


def listed(data: list[dict[str, Any]], page: Page) -> dict[str, Any]:
    """The list object with `data`, the entries of a page and one more if there are more."""
    shown = data[: page.limit]
    return _list(shown, [entry["id"] for entry in shown], len(data) > page.limit)


def _list(data: Sequence[Any], ids: list[str], more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": more,
    }
