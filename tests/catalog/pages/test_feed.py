from xml.etree import ElementTree

import msgspec

from minikin.catalog.facts.evidence import Past
from minikin.catalog.pages.feed import MOST
from minikin.catalog.pages.site import Site
from minikin.catalog.sources.catalog import Catalog
from tests.catalog.pages.test_site import NOW, evidence_for, record, seed_catalog

ATOM = "{http://www.w3.org/2005/Atom}"


def entries(catalog):
    root = ElementTree.fromstring(Site(catalog).feed)
    return [
        {part.tag.removeprefix(ATOM): part.text or part.get("href") for part in entry}
        for entry in root.iter(f"{ATOM}entry")
    ]


def test_a_change_of_an_outcome_is_news():
    found = evidence_for("failed")["openai/gpt-4.1-mini"]
    past = [Past("2026-11-19T00:00:00Z", "inconclusive", "429")]
    past.append(Past("2026-11-18T00:00:00Z", "verified", "seen"))
    result = msgspec.structs.replace(found.results[0], history=past)
    found = msgspec.structs.replace(found, results=[result])
    news = entries(seed_catalog({"openai/gpt-4.1-mini": found}))
    assert {entry["title"] for entry in news} == {
        "Probe of openai/gpt-4.1-mini: 1 failed",
        "openai/gpt-4.1-mini: stop was verified, and is failed now",
    }
    assert all(entry["link"] == "evidence/openai/gpt-4.1-mini.html" for entry in news)
    assert len({entry["id"] for entry in news}) == 2


def test_models_are_news_from_their_release_on_the_newest_first():
    days = (("a", "2026-02"), ("<b>", "2026-03-04"), ("later", "2027-01-01"))
    models = [record("model", name, release_date=day) for name, day in days]
    root = ElementTree.fromstring(Site(Catalog(models, None, NOW)).feed)
    titles = [entry.findtext(f"{ATOM}title") for entry in root.iter(f"{ATOM}entry")]
    assert titles == ["New model: <b>", "New model: a"]
    days = [entry.findtext(f"{ATOM}updated") for entry in root.iter(f"{ATOM}entry")]
    assert days == ["2026-03-04T00:00:00Z", "2026-02-01T00:00:00Z"]


def test_the_feed_is_short():
    catalog = seed_catalog()
    for model in catalog.models.values():
        model.facts |= record("model", "x", release_date="2026-01-01").facts
    assert len(entries(catalog)) == MOST
