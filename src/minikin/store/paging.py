"""Pages of a list, in the order of arrival."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from minikin.store.kept import Page


def paged(query: sa.Select[Any], table: sa.Table, page: Page, *within: Any) -> sa.Select[Any]:
    """`query` for up to `page.limit` rows of `table`, and one more if there are more.

    `within` are the conditions for the rows of the list. The entry `page.after` is one of these.
    """
    position = table.c.position
    ascending = page.order == "asc"
    query = query.where(*within)
    if page.after is not None:
        here = sa.select(position).where(table.c.id == page.after, *within)
        last = here.correlate(None).scalar_subquery()
        query = query.where(position > last if ascending else position < last)
    return query.order_by(position if ascending else position.desc()).limit(page.limit + 1)
