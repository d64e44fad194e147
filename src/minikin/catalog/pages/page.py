"""A page as data, and its two formats: Markdown and HTML. Both come from the same blocks.

Text is plain everywhere and escaped here, so that text from a source cannot become markup. The name
of a page is its path without a suffix. `_index` is the page of a folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Literal, NamedTuple

from minikin.catalog.pages.badge import Badge

FOLDER = Path(__file__).parent
"""The folder of the page's frame, the style sheet and the script."""


class Link(NamedTuple):
    """`to` is a page's path, optionally with an `#anchor`, or an http(s) URL."""

    text: str
    to: str


class Code(NamedTuple):
    """Text in a monospaced font, such as an id."""

    text: str


class Heading(NamedTuple):
    """`level` counts from 1. The anchor is the text in lower case with dashes."""

    level: int
    text: str


class Table(NamedTuple):
    """Rows of cells below a row of titles."""

    titles: list[str]
    rows: list[list[Cell]]


class Choice(NamedTuple):
    """A search over `data`, a JSON text. In HTML, scripts show it in place of the table."""

    data: str
    table: Table


Inline = str | Link | Code | Badge
Cell = Inline | list[Inline]
Block = Heading | Table | Choice | list[Cell] | tuple[Inline, ...]
"""A list means bullets, a tuple a paragraph."""


PageKind = Literal[
    "author", "authors", "catalog", "comparison", "comparisons", "evidence", "evidence-list",
    "model", "models", "offering", "offerings", "provider", "providers",
]  # fmt: skip
"""The kinds of pages, for styles and for Hugo's templates."""


class Page(NamedTuple):
    """`trail` leads from the catalog's index to the page's own folder."""

    path: str
    title: str
    author: str | None
    kind: PageKind
    trail: list[Link]
    blocks: list[Block]
    footer: tuple[Inline, ...]


def anchor(text: str) -> str:
    """The anchor that GitHub, Hugo and our HTML give a heading."""
    return re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-")


class Form(NamedTuple):
    """How a page is written: the file of a path, the escaping of text, and the markup."""

    file: Callable[[str], str]
    text: Callable[[str], str]
    url: Callable[[str], str]
    code: Callable[[str], str]
    link: str
    image: str
    heading: str
    paragraph: str
    bullet: str
    bullets: str
    title: str
    cell: str
    row: str
    table: str
    choice: str
    page: str
    shields: bool = False
    most_rows: int = 1_000_000


class Frame(NamedTuple):
    """What a server adds to its pages: links in the head, and a header. See `no_frame`."""

    head: str
    header: str


def no_frame(home: str) -> Frame:
    """The frame of pages in a folder. `home` is the relative path to the server's root."""
    return Frame("", "")


def render(page: Page, form: Form, frame: Callable[[str], Frame] = no_frame) -> str:
    """The complete file. Links are relative, so that a site works at any URL and in a folder."""
    framed = frame("../" * (page.path.count("/") + 1))
    title = form.text(page.title)
    head = {"title": page.title, "author": page.author, "type": page.kind}
    return form.page.format(
        matter="\n".join(f"{name}: {json.dumps(text)}" for name, text in head.items() if text),
        head=framed.head,
        site=framed.header,
        kind=page.kind,
        root="../" * page.path.count("/"),
        navigation=" ".join(_inline(link, page, form) for link in NAVIGATION),
        trail="".join(f"{_inline(link, page, form)} / " for link in page.trail),
        title=title,
        scripts=_SCRIPTS if any(isinstance(block, Choice) for block in page.blocks) else "",
        body="\n\n".join(_block(block, page, form) for block in page.blocks),
        footer=_cell(list(page.footer), page, form),
    )


def _block(block: Block, page: Page, form: Form) -> str:
    if isinstance(block, Heading):
        marks = {"level": block.level, "hashes": "#" * block.level, "anchor": anchor(block.text)}
        return form.heading.format(form.text(block.text), **marks)
    if isinstance(block, Table):
        head = form.row.format("".join(map(form.title.format, map(form.text, block.titles))))
        rows = [
            form.row.format("".join(form.cell.format(_cell(cell, page, form)) for cell in row))
            for row in block.rows[: form.most_rows]
        ]
        if len(block.rows) > form.most_rows:
            rows.append(
                form.row.format(form.cell.format(f"...and {len(block.rows) - len(rows):,} more"))
            )
        marks = {"rule": "---|" * len(block.titles), "kind": anchor(block.titles[-1])}
        return form.table.format("".join(rows), head=head, **marks).rstrip()
    if isinstance(block, Choice):
        # No text can end the element that contains the data.
        data = block.data.replace("<", "\\u003c")
        return form.choice.format(_block(block.table, page, form), data=data)
    if isinstance(block, list):
        return form.bullets.format(
            "".join(form.bullet.format(_cell(item, page, form)) for item in block)
        ).rstrip()
    return form.paragraph.format(_cell(list(block), page, form))


def _cell(cell: Cell, page: Page, form: Form) -> str:
    if isinstance(cell, list):
        return "".join(_inline(item, page, form) for item in cell).rstrip()
    return _inline(cell, page, form)


def _inline(item: Inline, page: Page, form: Form) -> str:
    if isinstance(item, str):
        return form.text(item)
    if isinstance(item, Code):
        return form.code(item.text)
    if isinstance(item, Badge):
        source = item.shields_url if form.shields else _relative(f"badges/{item.file}", page)
        image = form.image.format(form.text(item.alt), source)
        # Badges are separated like words. Other parts contain their own spaces.
        return (form.link.format(image, _href(item.page, page, form)) if item.page else image) + " "
    return form.link.format(form.text(item.text), _href(item.to, page, form))


def _href(to: str, page: Page, form: Form) -> str:
    if to.startswith("http"):
        return form.url(to)
    path, mark, fragment = to.partition("#")
    return f"{_relative(form.file(path), page)}{mark}{fragment}"


def _relative(file: str, page: Page) -> str:
    folder = page.path.rpartition("/")[0] + "/"
    if file.startswith(folder):
        return file[len(folder) :]
    return "../" * page.path.count("/") + file


NAVIGATION = [
    Link("Catalog", "_index"),
    Link("Authors", "authors/_index"),
    Link("Models", "models/_index"),
    Link("Offerings", "offerings/_index"),
    Link("Providers", "providers/_index"),
    Link("Comparisons", "comparisons/_index"),
    Link("Evidence", "evidence/_index"),
]


def _html_file(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{'index' if name == '_index' else name}.html"


CHOICE = ("formats.js", "compare.js", "chart.js", "choose.js")
"""The scripts of a `Choice`, in the order in which they load."""
_SCRIPTS = (
    '<link rel="stylesheet" href="choose.css">\n'
    '<link rel="alternate" type="application/atom+xml" title="Changes" href="feed.xml">\n'
) + "".join(f'<script src="{name}" defer></script>\n' for name in CHOICE)

_SIGNS = {ord(sign): f"\\{sign}" for sign in "\\`*_[]<>|#~&!"}
# The same sources, dates and names are on thousands of pages.
_often = lru_cache(maxsize=4096)
_escaped = _often(escape)

MARKDOWN = Form(
    file="{}.md".format,
    text=_often(lambda text: text.translate(_SIGNS)),
    url="<{}>".format,
    code=lambda text: f"`{text}`".replace("|", "\\|"),
    link="[{}]({})",
    image="![{}]({})",
    heading="{hashes} {}",
    paragraph="{}",
    bullet="- {}\n",
    bullets="{}",
    title=" {} |",
    cell=" {} |",
    row="|{}\n",
    table="{head}|{rule}\n{}",
    choice="{}",
    page="---\n{matter}\n---\n\n{trail}**{title}**\n\n# {title}\n\n{body}\n\n---\n\n*{footer}*\n",
    most_rows=2_500,  # GitHub does not show pages of more than 512 KiB
)
"""For GitHub and Hugo."""

HTML = Form(
    file=_html_file,
    text=_escaped,
    url=_escaped,
    code=lambda text: f"<code>{_escaped(text)}</code>",
    link='<a href="{1}">{0}</a>',
    image='<img src="{1}" alt="{0}" height="20">',
    heading='<h{level} id="{anchor}">{}</h{level}>',
    paragraph="<p>{}</p>",
    bullet="<li>{}</li>",
    bullets="<ul>{}</ul>",
    title='<th scope="col">{}</th>',
    cell="<td>{}</td>",
    row="<tr>{}</tr>\n",
    table='<div class="wide"><table class="{kind}">\n'
    "<thead>{head}</thead>\n<tbody>{}</tbody></table></div>",
    choice='<div id="choice">{}</div>\n<script type="application/json" id="data">{data}</script>',
    page=(FOLDER / "page.html").read_text(encoding="utf-8"),
)
"""For a browser: one style sheet and one script beside the pages, without the network."""
