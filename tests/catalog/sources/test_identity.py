"""Which ids mean one model, and which look alike and do not."""

import pytest

from minikin.catalog.facts.fact import Fact, Origin, Record
from minikin.catalog.sources import catalog as catalogs
from minikin.catalog.sources.catalog import Catalog
from minikin.catalog.sources.identity import Names, key, spelling

SAME = [
    ("amazon-bedrock/us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"),
    ("google-vertex/claude-opus-4-5@20251101", "claude-opus-4-5"),
    ("openrouter/anthropic/claude-opus-4.5", "claude-opus-4-5"),
    ("qiniu-ai/claude-4.5-opus", "claude-opus-4-5"),
    ("x/claude-sonnet-3.5", "claude-3-5-sonnet"),
    ("openrouter/openai/gpt-oss-20b:free", "gpt-oss-20b"),
    ("ollama-cloud/gpt-oss:20b", "gpt-oss-20b"),
    ("fireworks-ai/accounts/fireworks/models/kimi-k2p6", "kimi-k2.6"),
    ("helicone/gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
    ("azure/GPT-4.1-Mini", "gpt-4.1-mini"),
    ("cloudflare-workers-ai/@cf/openai/gpt-oss-120b", "gpt-oss-120b"),
    ("sap-ai-core/anthropic--claude-4.6-opus", "claude-opus-4-6"),
    ("digitalocean/openai-gpt-5.6-sol", "gpt-5.6-sol"),
    ("meta/Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b-instruct"),
]
APART = [
    ("ollama-cloud/gpt-oss:20b", "ollama-cloud/gpt-oss:120b"),
    ("ollama-cloud/gemma3:4b", "ollama-cloud/gemma3:27b"),
    ("openrouter/anthropic/claude-3.7-sonnet:thinking", "anthropic/claude-3-7-sonnet"),
    ("openai/gpt-4o-2024-05-13", "openai/gpt-4o-2024-11-20"),
    ("kilo/auto", "openrouter/auto"),
    ("lmstudio/openai/gpt-oss-20b", "openai/gpt-oss-20b"),
    ("openai/gpt-4.1", "openai/gpt-4.1-mini"),
    ("a/llama-3.1-8b", "a/llama-3.1-8b-instruct"),
    ("openai/o1", "openai/o1-mini"),
]


def known(*offerings):
    names = [spelling(id) for id in offerings]
    return [Names(names).known(name) for name in names]


@pytest.mark.parametrize(("offering", "model"), SAME)
def test_one_model_has_one_key(offering, model):
    first, second = known(offering, f"author/{model}")
    assert first == second


@pytest.mark.parametrize(("one", "other"), APART)
def test_what_only_looks_alike_stays_apart(one, other):
    first, second = known(one, other)
    assert first != second


def test_the_only_snapshot_is_the_model_and_one_of_several_is_not():
    names = Names(["gpt-4o", "gpt-4o-2024-05-13", "gpt-4o-2024-11-20", "gpt-4.1-2025-04-14"])
    assert names.known("gpt-4.1") == "gpt-4.1-2025-04-14"
    assert names.known("gpt-4o-20240513") == "gpt-4o-2024-05-13"
    assert names.floating("gpt-4o-2024-05-13") == "gpt-4o"
    assert names.floating("gpt-4o") is None


def test_a_key_is_its_own_key():
    for offering, _ in SAME:
        assert key(key(spelling(offering))) == key(spelling(offering))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return catalogs.load(tmp_path_factory.mktemp("empty"))


def test_claude_opus_45_is_one_model_at_its_author_and_everywhere_else(whole):
    model = whole.model("anthropic/claude-opus-4-5")
    for name in ("claude-opus-4.5", "claude-opus-4-5-20251101", "claude-4.5-opus"):
        assert whole.model(name) is model
    providers = {row.id.split("/")[0] for row in whole.offerings_of(model)}
    assert {"anthropic", "amazon-bedrock", "google-vertex", "openrouter", "azure"} <= providers
    assert whole.home(model).id.startswith("anthropic/")


def test_a_dated_id_of_a_response_is_the_model(whole):
    assert whole.model("gpt-4.1-mini-2025-04-14").id == "gpt-4.1-mini"


def test_an_undeclared_model_of_a_strangers_server_is_nobody_elses():
    offering = Record("offering", "my-box/gpt-4.1-mini", {"context": ()})
    fact = Fact("gpt-4.1-mini", Origin.IMPORT, "s", "2026-01-01")
    sold = Record("offering", "openai/gpt-4.1-mini", {"model": (fact,)})
    catalog = Catalog([offering, sold])
    assert [row.id for row in catalog.offerings_of(catalog.model("gpt-4.1-mini"))] == [sold.id]
    assert catalog.model("my-box/gpt-4.1-mini").id == "my-box/gpt-4.1-mini"
