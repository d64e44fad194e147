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
    assert all(
        "above the context" in line or "more than any" in line for line in models_dev.dropped
    )
    assert 50 < len(models_dev.dropped) < 120
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
        ({"limit": {"context": -5}}, "context"),
        ({"tool_call": "yes"}, "tools"),
    ],
)
def test_a_hostile_value_is_refused_with_a_reason_and_the_rest_applied(fields, reason):
    taken = source_models_dev.from_data(_models_dev(family="f", **fields), "1", "2026-11-01")
    found = entries(taken)["offering", "host/m"]
    assert found["model"] == "m"
    assert reason not in found
    assert any(reason in line for line in taken.dropped)
    assert all(len(line) < 300 for line in taken.dropped)


@pytest.mark.parametrize("id", ["a/../../x", "../../x", "\x1b[2J", ""])
def test_a_hostile_id_is_refused_whole(id):
    taken = source_models_dev.from_data(_models_dev(id=id), "1", "2026-11-01")
    assert not any(kind == "offering" for kind, _ in entries(taken))
    assert any("invalid id" in line for line in taken.dropped)


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
def test_an_invalid_price_is_refused_with_a_reason(price):
    row = {"litellm_provider": "acme", "input_cost_per_token": price, "max_input_tokens": 9}
    taken = source_litellm.from_data({"acme/x": row}, "1", "2026-11-01")
    assert entries(taken)["offering", "acme/x"] == {"model": "x", "context": 9}
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
    assert {entry.id: entry.fields for entry in found.entries} == {
        "host/m": {"context": 8},
        "host/n": {},
    }
    assert len(found.dropped) == 2


def test_a_file_too_big_or_not_json_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "MAX_BYTES", 100)
    (tmp_path / "big.json").write_text(json.dumps("x" * 200))
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 99)
    for name in ("big.json", "bad.json", "deep.json", "gone.json"):
        with pytest.raises(SetupError):
            snapshot.read_json(tmp_path / name)


@pytest.mark.parametrize(
    ("provider", "id", "output", "billing"),
    [
        ("github-copilot", "gpt-4.1", ["text"], "plan"),
        ("zai-coding-plan", "glm-5.1", ["text"], "plan"),
        ("github-models", "openai/gpt-4.1-mini", ["text"], "trial"),
        ("lmstudio", "openai/gpt-oss-20b", ["text"], "local"),
        ("host", "dall-e-9", ["image"], "other units"),
        ("host", "some-model", ["text"], None),
    ],
)
def test_a_zero_is_free_only_when_it_is(provider, id, output, billing):
    model = {"id": id, "cost": {"input": 0, "output": 0}, "modalities": {"output": output}}
    data = {provider: {"id": provider, "models": {id: model}}}
    taken = source_models_dev.from_data(data, "1", "2026-11-01")
    found = entries(taken)["offering", f"{provider}/{id}"]
    assert found.get("billing") == billing
    assert "price_input" not in found
    assert "price_output" not in found


@pytest.mark.parametrize(
    ("provider", "id"), [("openrouter", "a/b:free"), ("zai", "glm-4.7-flash"), ("x", "m-free")]
)
def test_what_its_provider_calls_free_is_free(provider, id):
    data = {
        provider: {"id": provider, "models": {id: {"id": id, "cost": {"input": 0, "output": 0}}}}
    }
    found = entries(source_models_dev.from_data(data, "1", "2026-11-01"))
    assert found["offering", f"{provider}/{id}"]["price_input"] == 0


def test_no_trial_and_no_plan_of_the_shipped_data_is_free(models_dev):
    free = {
        id
        for (kind, id), fields in entries(models_dev).items()
        if kind == "offering" and fields.get("price_input") == 0 == fields.get("price_output")
    }
    assert 30 < len(free) < 100
    assert all("free" in id or id.split("/")[0] in ("zai", "zhipuai") for id in free)


def test_other_units_and_odd_numbers_of_litellm():
    row = {"litellm_provider": "acme"}
    data = {
        "acme/dall-e-9": row | {"input_cost_per_token": 0, "output_cost_per_image": 0.04},
        "acme/text": row | {"input_cost_per_token": "2e-6", "max_input_tokens": 128000.0},
        "acme/tiny": row | {"input_cost_per_token": 1e-13, "max_input_tokens": 8},
        "acme/sentinel": row | {"input_cost_per_token": -1, "max_input_tokens": 8},
        "acme/old": row | {"deprecation_date": "2026-03-01"},
        "acme/tiers": row
        | {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5}
        | {"input_cost_per_token_above_200k_tokens": 4e-6}
        | {"output_cost_per_token_above_200k_tokens": 2e-5},
    }
    found = entries(source_litellm.from_data(data, "1", "2026-11-01"))
    rows = {id: fields for (_, id), fields in found.items()}
    assert rows["acme/dall-e-9"] == {
        "model": "dall-e-9",
        "price_image": 0.04,
        "billing": "other units",
    }
    assert rows["acme/text"] == {"model": "text", "price_input": 2.0, "context": 128_000}
    assert rows["acme/tiny"] == rows["acme/sentinel"] | {"model": "tiny"}
    assert rows["acme/sentinel"] == {"model": "sentinel", "context": 8}
    assert rows["acme/old"]["retirement_date"] == "2026-03-01"
    tiers = [{"above": 200_000, "input": 4.0, "output": 20.0}]
    assert rows["acme/tiers"]["price_tiers"] == tiers


def test_absurd_limits_are_refused_with_a_report():
    for limit, field in (
        ({"context": 99_999_999, "output": 5}, "context"),
        ({"context": 8192, "output": 64_000}, "max_output"),
    ):
        taken = source_models_dev.from_data(_models_dev(limit=limit), "1", "2026-11-01")
        assert field not in entries(taken)["offering", "host/m"]
        assert field in taken.dropped[0]


def test_every_price_of_models_dev_is_read():
    cost = {"input": 1, "output": 2, "reasoning": 8.4, "input_audio": 3, "output_audio": 4}
    data = _models_dev(cost=cost | {"context_over_200k": {"input": 2, "output": 4}})
    found = entries(source_models_dev.from_data(data, "1", "2026-11-01"))["offering", "host/m"]
    assert found["price_reasoning"] == 8.4
    assert (found["price_input_audio"], found["price_output_audio"]) == (3, 4)
    assert found["price_tiers"] == [{"above": 200_000, "input": 2, "output": 4}]


def test_genai_prices_knows_hours_tiers_and_its_own_dates():
    ids = ["deepseek/deepseek-v4-pro", "google/gemini-2.5-pro"]
    taken = source_genai_prices.take(ids)
    deepseek, gemini = (entry.fields for entry in taken.entries)
    assert [(row["start"], row["end"]) for row in deepseek["price_hours"]] == [
        ("01:00", "04:00"),
        ("06:00", "10:00"),
    ]
    assert deepseek["price_input"] == deepseek["price_hours"][0]["input"] / 2
    assert gemini["price_tiers"][0]["above"] == 200_000
    assert taken.entries[0].date >= "2026-08-16"


def test_genai_prices_never_answers_with_a_model_of_a_similar_name():
    taken = source_genai_prices.take(["anthropic/claude-opus-4-5-ultra", "openai/gpt-4.1-mini-x"])
    assert taken.entries == []
