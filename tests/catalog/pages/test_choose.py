"""The search of the front page, in a real browser and without a server."""

import json
import re
import subprocess
from base64 import b64decode
from urllib.parse import unquote

import pytest

from minikin.catalog.facts import numbers
from minikin.catalog.facts.prices import Job, cost
from minikin.catalog.pages.choose import choice, shown_offering
from minikin.catalog.pages.site import Site
from minikin.catalog.sources.catalog import Catalog
from tests.browser import installed_browser
from tests.catalog.pages.test_site import NOW, evidence_for, record

DECLARED = {"text": True, "tools": True}


def small_catalog():
    """Models that differ in what the search asks for."""
    return Catalog(
        [
            record("author", "openai", name="OpenAI", provider="openai"),
            record("model", "gpt-4.1-mini", authors=["openai"], release_date="2025-04-14"),
            record("model", "<i>cheap", release_date="2026-02", open_weights=True),
            record("model", "old-1.5", release_date="2023-01-01", open_weights=False),
            record("model", "rerank-9", release_date="2026-03-01"),
            record(
                "offering", "openai/gpt-4.1-mini", price_input=0.4, price_output=1.6,
                context=1_047_576, logprobs=True, **DECLARED,
            ),
            record(
                "offering", "azure/gpt-4.1-mini", model="gpt-4.1-mini", price_input=0.1,
                price_output=0.2, text=True,
            ),
            record(
                "offering", "lab/cheap", model="<i>cheap", price_input=0.0025, price_output=0.0025,
                context=8_192, price_tiers=[{"above": 5_000, "input": 1}], **DECLARED,
            ),
            record(
                "offering", "lab/old-1.5", model="old-1.5", billing="plan", context=4_096,
                text=True, tools=False,
            ),
            record("offering", "lab/rerank-9", model="rerank-9", price_input=0.1, text=True),
        ],
        evidence_for("verified"),
        NOW,
    )  # fmt: skip


def test_the_data_has_a_row_for_each_model():
    data = json.loads(choice(Site(small_catalog()).map).data)
    rows = {row[0]: row for row in data["rows"]}
    assert len(rows) == 4
    mini = rows["gpt-4.1-mini"]
    # The author's own service counts, although another provider is cheaper.
    assert mini[4:10] == ["2025-04-14", 1_047_576, 0, 0.4, 1.6, -1]
    assert (data["authors"][mini[3]], mini[-1]) == ("OpenAI", 1)
    states = dict(
        zip([name for name, *_ in data["capabilities"]], data["patterns"][mini[11]], strict=False)
    )
    names = {name: data["states"][int(digit)] for name, digit in states.items()}
    assert (names["stop"], names["tools"], names["top_p"]) == ("verified", "declared", "unknown")
    assert rows["old-1.5"][7:10] == ["included in a plan", -1, 0]
    assert (rows["rerank-9"][12], rows["old-1.5"][12]) == (0, 1)


STATES = {
    "": ["cheap", "gpt-4.1-mini", "old-1.5"],
    "order=context&can=tools": ["gpt-4.1-mini", "cheap"],
    "price=1&weights=1&context=&since=2026": ["cheap"],
    "kind=all&q=rerank": ["rerank-9"],
    "proof=all&can=stop": ["gpt-4.1-mini"],
    "q=openai+mini&order=nonsense&view=nonsense": ["gpt-4.1-mini"],
    "in=1000000&out=1000&order=cheapest": ["gpt-4.1-mini"],
    "in=1000&out=100&order=cheapest": ["cheap", "gpt-4.1-mini"],
    "in=6000&out=100&order=cheapest": ["gpt-4.1-mini", "cheap"],
    "in=-1&out=x": ["cheap", "gpt-4.1-mini", "old-1.5"],
}
"""Addresses after `#`, and the models that are listed there."""
COMPARED = "compare=GPT-4-1-mini+old-1.5+nothing"
CHART = "view=chart"
VISIT = """
const seen = %s.map((state) => {
  history.replaceState(null, "", `#${state}`);
  start();
  return place.innerHTML;
});
document.body.textContent = btoa(encodeURIComponent(JSON.stringify(seen)));
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What the front page shows at each address, as HTML. A browser starts only once."""
    browser = installed_browser() or pytest.skip("Chromium is not installed")
    folder = tmp_path_factory.mktemp("site")
    Site(small_catalog()).write(folder)
    states = [*STATES, COMPARED, CHART]
    page = (folder / "html" / "index.html").read_text()
    (folder / "html" / "visit.js").write_text(VISIT % json.dumps(states))
    (folder / "html" / "visit.html").write_text(
        page.replace("</head>", '<script src="visit.js" defer></script></head>')
    )
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--dump-dom", f"--user-data-dir={folder}/browser"),
    ]
    command = [browser, *flags, f"file://{folder}/html/visit.html"]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    packed = re.search(r"<body[^>]*>([A-Za-z0-9+/=]+)</body>", dom)
    assert packed, dom[-2000:]
    return dict(zip(states, json.loads(unquote(b64decode(packed[1]).decode())), strict=True))


def names(html):
    found = re.findall(r'<td class="name"><a href="models/[^"]*">(.*?)</a>', html)
    return [name.removeprefix("&lt;i&gt;") for name in found]


@pytest.mark.browser
@pytest.mark.parametrize("state", STATES)
def test_conditions_in_the_address_leave_what_matches(shown, state):
    assert names(shown[state]) == STATES[state]


@pytest.mark.browser
@pytest.mark.parametrize("tokens", [(1_000_000, 1_000), (1_000, 100), (6_000, 100)])
def test_a_job_has_the_price_of_the_command(shown, tokens):
    html = shown["in={}&out={}&order=cheapest".format(*tokens)]
    catalog = small_catalog()
    for row in re.findall(r"<tr>.*?</tr>", html)[1:]:
        (name,) = names(row)
        model = catalog.model("<i>cheap" if name == "cheap" else name)
        usd = cost(shown_offering(catalog, model), Job(*tokens)).usd
        assert f"<td>{numbers.amount(usd)}</td>" in row
    assert '<th scope="col">Job</th>' in html


@pytest.mark.browser
def test_models_are_compared_side_by_side(shown):
    html = shown[COMPARED]
    assert re.findall(r'<th scope="col"><a href="models/([^"]*)">', html) == [
        "gpt-4.1-mini.html",
        "old-1.5.html",
    ]
    rows = dict(re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', html))
    cells = {name: re.findall(r"<td[^>]*>(.*?)</td>", row) for name, row in rows.items()}
    assert cells["Input price"] == ["$0.40", "included in a plan"]
    assert cells["stop"] == ["✓ verified", "—"]
    assert cells["tools"] == ["declared", "no"]


@pytest.mark.browser
def test_the_chart_marks_what_no_cheaper_model_beats(shown):
    html = shown[CHART]
    assert html.count("<circle") == 2
    assert html.count('class="point open best"') + html.count('class="point best"') == 2
    assert "1 are free or have no known value" in html
    assert "$0.0025" in html
