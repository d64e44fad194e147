"""The feed of changes in Atom's format: what probes saw, and new models."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree

from minikin.catalog.facts import numbers
from minikin.catalog.facts.evidence import Evidence, stamp
from minikin.catalog.pages.choose import shown_offering
from minikin.catalog.pages.page import HTML
from minikin.catalog.pages.site_map import SiteMap

MOST = 60
_ATOM = "http://www.w3.org/2005/Atom"


class _News(NamedTuple):
    at: str
    id: str
    title: str
    text: str
    page: str


def feed(site: SiteMap) -> bytes:
    """The newest changes, the latest first. Links are relative to the feed's own address."""
    news = [*_of_probes(site), *_of_models(site)]
    news.sort(key=lambda item: item.id)
    news.sort(key=lambda item: item.at, reverse=True)
    root = ElementTree.Element("feed", xmlns=_ATOM)
    _add(root, "title", "Model catalog: changes")
    _add(root, "id", "urn:minikin:catalog")
    _add(root, "updated", stamp(site.catalog.now))
    _add(_add(root, "author"), "name", "Minikin")
    _add(root, "link", rel="self", href="feed.xml")
    for item in news[:MOST]:
        entry = _add(root, "entry")
        _add(entry, "title", item.title)
        _add(entry, "id", f"urn:minikin:{quote(item.id)}")
        _add(entry, "updated", item.at)
        _add(entry, "link", href=HTML.file(item.page))
        _add(entry, "summary", item.text)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n"


def _add(
    parent: ElementTree.Element, name: str, text: str = "", **marks: str
) -> ElementTree.Element:
    found = ElementTree.SubElement(parent, name, marks)
    found.text = text or None
    return found


def _of_probes(site: SiteMap) -> list[_News]:
    """One item for each probed offering, and one for each outcome that changed."""
    news: list[_News] = []
    for key, found in site.catalog.evidence.items():
        page = site.path("evidence", site.catalog.offerings[key])
        if not found.results:
            continue
        at = max(result.at for result in found.results)
        news.append(_News(at, f"probe:{key}:{at}", *_summary(found), page))
        for result in found.results:
            before = next((past for past in result.history if past.outcome != "inconclusive"), None)
            if before and before.outcome != result.outcome and before.at < result.at:
                title = f"{found.offering}: {result.capability} was {before.outcome}, "
                title += f"and is {result.outcome} now"
                id = f"change:{key}:{result.capability}:{result.at}"
                news.append(_News(result.at, id, title, result.reason, page))
    return news


def _summary(found: Evidence) -> tuple[str, str]:
    counts = Counter(result.outcome for result in found.results)
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    wrong = [r.capability for r in found.results if r.outcome in ("failed", "ignored")]
    text = f"Not as declared: {', '.join(wrong)}." if wrong else "Nothing failed."
    return f"Probe of {found.offering}: {said}", text


def _of_models(site: SiteMap) -> list[_News]:
    news: list[_News] = []
    for model in site.catalog.models.values():
        day = model.value("release_date") or ""
        if not day or day > site.catalog.now.date().isoformat():
            continue
        moment = datetime.fromisoformat(f"{day}-01"[:10])
        offering = shown_offering(site.catalog, model)
        authors = ", ".join(author.name for author in site.catalog.authors_of(model))
        context = numbers.tokens(offering.value("context"))
        text = f"{numbers.price_pair(offering)} per million tokens, {context} tokens of context."
        title = f"New model: {model.name}" + (f" ({authors})" if authors else "")
        at = f"{moment:%Y-%m-%d}T00:00:00Z"
        news.append(_News(at, f"model:{model.id}", title, text, site.path("model", model)))
    return news
