"""A page as data, and its two forms: Markdown and HTML. Both come from the same blocks.

Text is plain everywhere and escaped here, so nothing that a source says can become markup. Pages
are named by their path without a suffix; `_index` is the page of a folder.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import NamedTuple

from minikin.catalog.badge import Badge


class Link(NamedTuple):
    """`to` is a page's path, with an `#anchor` if need be, or an http(s) URL."""

    text: str
    to: str


class Code(NamedTuple):
    """Text to be read letter by letter, such as an id."""

    text: str


class Heading(NamedTuple):
    """`level` counts from 1; the anchor is the text in lower case with dashes."""

    level: int
    text: str


class Table(NamedTuple):
    """Rows of cells below a row of titles."""

    titles: list[str]
    rows: list[list[Cell]]


Inline = str | Link | Code | Badge
Cell = Inline | list[Inline]
Block = Heading | Table | list[Cell] | tuple[Inline, ...]
"""A list is bullets, a tuple a paragraph."""


class Page(NamedTuple):
    """`trail` leads from the catalog's index to the page's own folder."""

    path: str
    title: str
    author: str | None
    kind: str
    trail: list[Link]
    blocks: list[Block]
    footer: tuple[Inline, ...]


def anchor(text: str) -> str:
    """The anchor that GitHub, Hugo and our HTML give a heading."""
    return re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-")


class Markdown:
    """Renders a page for GitHub and Hugo: links are relative and end in `.md`."""

    suffix = ".md"

    def __init__(self, shields: bool = False) -> None:
        self._shields = shields

    def file(self, path: str) -> str:
        """The page's file."""
        return f"{path}.md"

    def render(self, page: Page) -> str:
        """The whole file, front matter first."""
        up = "../" * page.path.count("/")
        head = {"title": page.title, "author": page.author, "type": page.kind}
        matter = [f"{name}: {json.dumps(text)}" for name, text in head.items() if text]
        crumbs = " / ".join(
            [*(self._inline(link, up) for link in page.trail), f"**{_md(page.title)}**"]
        )
        blocks = [self._block(block, up) for block in page.blocks]
        parts = ["\n".join(["---", *matter, "---"]), crumbs, f"# {_md(page.title)}", *blocks]
        footer = self._cell(list(page.footer), up)
        return "\n\n".join([*parts, "---", f"*{footer}*"]) + "\n"

    def _block(self, block: Block, up: str) -> str:
        if isinstance(block, Heading):
            return f"{'#' * block.level} {_md(block.text)}"
        if isinstance(block, Table):
            rows = [block.titles, *block.rows]
            lines = ["| " + " | ".join(self._cell(c, up) for c in row) + " |" for row in rows]
            return "\n".join([lines[0], "|" + "---|" * len(block.titles), *lines[1:]])
        if isinstance(block, list):
            return "\n".join(f"- {self._cell(item, up)}" for item in block)
        return self._cell(list(block), up)

    def _cell(self, cell: Cell, up: str) -> str:
        if isinstance(cell, list):
            # Badges are words of a line; other parts bring their own blanks.
            return "".join(self._inline(item, up) for item in cell).rstrip()
        return self._inline(cell, up)

    def _inline(self, item: Inline, up: str) -> str:
        if isinstance(item, str):
            return _md(item)
        if isinstance(item, Code):
            return f"`{item.text}`".replace("|", "\\|")
        if isinstance(item, Badge):
            source = item.shields_url if self._shields else f"{up}badges/{item.file}"
            image = f"![{_md(item.alt)}]({source})"
            return (f"[{image}]({self._href(item.page, up)})" if item.page else image) + " "
        return f"[{_md(item.text)}]({self._href(item.to, up)})"

    def _href(self, to: str, up: str) -> str:
        if to.startswith("http"):
            return f"<{to}>"
        path, mark, fragment = to.partition("#")
        return f"{up}{self.file(path)}{mark}{fragment}"


class Html:
    """Renders a page for a browser: one style sheet beside it, nothing from the network."""

    suffix = ".html"

    def file(self, path: str) -> str:
        """The page's file."""
        folder, _, name = path.rpartition("/")
        name = "index" if name == "_index" else name
        return f"{folder}/{name}.html" if folder else f"{name}.html"

    def render(self, page: Page) -> str:
        """The whole document."""
        up = "../" * page.path.count("/")
        crumbs = "".join(f"{self._inline(link, up)} / " for link in page.trail)
        nav = " ".join(self._inline(link, up) for link in NAVIGATION)
        body = "\n".join(self._block(block, up) for block in page.blocks)
        title = escape(page.title)
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f'<title>{title}</title><link rel="stylesheet" href="{up}style.css"></head>\n<body>'
            f'<header><nav aria-label="Catalog">{nav}</nav></header>\n<main class="{page.kind}">\n'
            f'<p class="trail">{crumbs}<b>{title}</b></p>\n<h1>{title}</h1>\n{body}\n</main>\n'
            f"<footer>{self._cell(list(page.footer), up)}</footer></body></html>\n"
        )

    def _block(self, block: Block, up: str) -> str:
        if isinstance(block, Heading):
            name = escape(anchor(block.text))
            return f'<h{block.level} id="{name}">{escape(block.text)}</h{block.level}>'
        if isinstance(block, Table):
            head = "".join(f'<th scope="col">{escape(title)}</th>' for title in block.titles)
            rows = "\n".join(
                "<tr>" + "".join(f"<td>{self._cell(cell, up)}</td>" for cell in row) + "</tr>"
                for row in block.rows
            )
            return (
                f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
                f"<tbody>{rows}</tbody></table></div>"
            )
        if isinstance(block, list):
            return f"<ul>{''.join(f'<li>{self._cell(item, up)}</li>' for item in block)}</ul>"
        return f"<p>{self._cell(list(block), up)}</p>"

    def _cell(self, cell: Cell, up: str) -> str:
        if isinstance(cell, list):
            return "".join(self._inline(item, up) for item in cell)
        return self._inline(cell, up)

    def _inline(self, item: Inline, up: str) -> str:
        if isinstance(item, str):
            return escape(item)
        if isinstance(item, Code):
            return f"<code>{escape(item.text)}</code>"
        if isinstance(item, Badge):
            image = f'<img src="{up}badges/{item.file}" alt="{escape(item.alt)}" height="20"> '
            return f'<a href="{self._href(item.page, up)}">{image}</a>' if item.page else image
        return f'<a href="{self._href(item.to, up)}">{escape(item.text)}</a>'

    def _href(self, to: str, up: str) -> str:
        if to.startswith("http"):
            return escape(to)
        path, mark, fragment = to.partition("#")
        return escape(f"{up}{self.file(path)}{mark}{fragment}")


NAVIGATION = [
    Link("Catalog", "_index"),
    Link("Authors", "authors/_index"),
    Link("Models", "models/_index"),
    Link("Providers", "providers/_index"),
    Link("Comparisons", "comparisons/_index"),
    Link("Evidence", "evidence/_index"),
]


def _md(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#~&!])", r"\\\1", text)
