"""What is measured: each scenario asks one server, and returns one number."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bench.client import ENDLESS, Answer, ask

WORDS = (
    "river", "stone", "quiet", "lamp", "seven", "orchard", "paper", "winter", "signal", "garden",
    "copper", "thread", "harbour", "candle",
)  # fmt: skip
WORDS_PER_THOUSAND = 480
"""Made-up words that are about 1,000 tokens of the default model."""

FREE_TEXT = {
    "type": "object",
    "properties": {"story": {"type": "string", "minLength": 500}},
    "required": ["story"],
    "additionalProperties": False,
}
FIXED_SHAPE = {
    "type": "object",
    "properties": {
        name: {"type": "boolean"}
        for name in (
            "contains_personal_information", "mentions_a_named_organisation",
            "describes_an_event_in_the_past", "asks_the_reader_a_question",
            "is_written_in_the_first_person", "contains_offensive_language",
            "recommends_a_commercial_product", "refers_to_a_specific_location",
        )
    },
}  # fmt: skip
FIXED_SHAPE |= {"required": list(FIXED_SHAPE["properties"]), "additionalProperties": False}


@dataclass(frozen=True)
class Scenario:
    """`measure` takes a server's URL. `ours` tells that only minikin can do it."""

    name: str
    measure: Callable[[str], Awaitable[float]]
    ours: bool = False
    less_is_better: bool = False


def unique(words: int) -> str:
    """A text that no cache has seen."""
    return " ".join(random.choice(WORDS) + str(random.randrange(10)) for _ in range(words))


async def single_stream(url: str, temperature: float, tokens: int = 200) -> float:
    """Tokens a second of one answer, after its first."""
    prompt = f"Tell me a long story. {unique(4)}"
    return (await ask(url, prompt, tokens, temperature=temperature)).rate


async def after(url: str, thousands: float) -> float:
    """Tokens a second of one answer of 64 behind so many thousand tokens."""
    context = unique(round(thousands * WORDS_PER_THOUSAND))
    return (await ask(url, context, 64, temperature=1)).rate


async def prefill(url: str, thousands: float) -> float:
    """Prompt tokens a second, up to the first token of the answer."""
    answer = await ask(url, unique(round(thousands * WORDS_PER_THOUSAND)), 1)
    return answer.prompt_tokens / answer.last


async def streams(
    url: str, count: int, prefix: str = "", tokens: int = 100, **options: Any
) -> float:
    """Tokens a second of `count` answers at once, prompts included."""
    started = time.perf_counter()
    prompts = [f"{prefix}Tell me a long story. {unique(8)}" for _ in range(count)]
    answers = await asyncio.gather(*(ask(url, prompt, tokens, **options) for prompt in prompts))
    return sum(answer.tokens for answer in answers) / (time.perf_counter() - started)


async def with_option(url: str, **options: Any) -> float:
    """Speed of 32 answers at temperature 1 with an option, as a share of that without."""
    plain = await streams(url, 32, temperature=1)
    return await streams(url, 32, temperature=1, **options) / plain


async def shared_prefix(url: str) -> float:
    """As 8 streams, behind 1,000 tokens that one request has brought before."""
    prefix = unique(WORDS_PER_THOUSAND) + "\n"
    await ask(url, prefix, 1)
    return await streams(url, 8, prefix)


async def next_turn(url: str) -> float:
    """How many times sooner a conversation's next turn has its first token than its first turn."""
    history = unique(WORDS_PER_THOUSAND)
    cold = await ask(url, history, 1)
    warm = await ask(url, history + " And then?", 1)
    return cold.first / warm.first


async def prediction(url: str) -> float:
    """How many times sooner an answer of 300 tokens ends if a text one word off is predicted."""
    request = f"Tell me a long story. {unique(4)}"
    # At temperature 1 and a seed: a greedy answer repeats itself, and is guessed anyway.
    chosen = {"temperature": 1, "seed": 1}
    text = await _text(url, request, 300, chosen)
    words = text.split(" ")
    words[len(words) // 2] = "umbrella"
    predicted = {"type": "content", "content": " ".join(words)}
    plain = await ask(url, request, 300, **chosen)
    # Offered tokens that are thrown away are billed: the count of tokens is no longer 300.
    sooner = await ask(
        url, request, 300, full=False, logit_bias=ENDLESS, prediction=predicted, **chosen
    )
    return plain.last / sooner.last


async def constrained(url: str) -> float:
    """Speed of a long string in a JSON object, as a share of free text's. It may be shorter."""
    prompt = f"Tell me a long story. {unique(4)}"
    free = await ask(url, prompt, 200, temperature=1)
    forced = await ask(url, prompt, 200, full=False, temperature=1, **_schema(FREE_TEXT))
    return forced.rate / free.rate


async def fixed_shape(url: str) -> float:
    """How many times faster an object of a fixed shape comes than as many free tokens."""
    shaped = await ask(url, unique(30), 400, full=False, **_schema(FIXED_SHAPE))
    free = await ask(url, unique(30), shaped.tokens, temperature=1)
    return _time(free) / _time(shaped)


async def repeats(url: str) -> float:
    """Of 12 seeded answers at temperature 1, how many come again beside 15 other requests."""
    prompts = [f"Tell me a long story. {unique(8)}" for _ in range(12)]
    chosen = {"temperature": 1, "seed": 1}
    alone = [await _text(url, prompt, 60, chosen) for prompt in prompts]
    others = [ask(url, unique(20), 100, temperature=1) for _ in range(15)]
    again = [_text(url, prompt, 60, chosen) for prompt in prompts]
    texts, _ = await asyncio.gather(asyncio.gather(*again), asyncio.gather(*others))
    return float(sum(one == other for one, other in zip(alone, texts, strict=True)))


def _time(answer: Answer) -> float:
    return answer.last / answer.tokens


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    described = {"name": "answer", "schema": schema, "strict": False}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


async def _text(url: str, content: str, tokens: int, chosen: dict[str, Any]) -> str:
    """The answer's text."""
    import httpx  # these requests are not timed

    body = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
        "logit_bias": ENDLESS,
        **chosen,
    }
    async with httpx.AsyncClient(timeout=300) as client:
        answer = await client.post(f"{url}/v1/chat/completions", json=body)
    return answer.json()["choices"][0]["message"]["content"]


def use(options: dict[str, Any]) -> Callable[[str], Awaitable[float]]:
    """The measure of what these options cost."""
    return lambda url: with_option(url, **options)


OPTIONS = {
    "top_p 0.9": {"top_p": 0.9},
    "top_k 40": {"top_k": 40},
    "penalties": {"frequency_penalty": 0.5, "presence_penalty": 0.5},
    "a logit_bias of 1,000 tokens": {
        "logit_bias": ENDLESS | {str(token): -1 for token in range(1_000, 2_000)}
    },
    "logprobs": {"logprobs": True},
    "top_logprobs 20": {"logprobs": True, "top_logprobs": 20},
}
SINGLE = "single stream at temperature 1, tokens/s"
PROMPT = "prompt of 1,000 unique tokens, tokens/s"
SCENARIOS = (
    Scenario(SINGLE, lambda url: single_stream(url, 1)),
    Scenario("single stream, greedy (repeats itself), tokens/s", lambda url: single_stream(url, 0)),
    Scenario("one answer behind 1,000 tokens, tokens/s", lambda url: after(url, 1)),
    Scenario("one answer behind 4,000 tokens, tokens/s", lambda url: after(url, 4)),
    Scenario("one answer behind 7,500 tokens, tokens/s", lambda url: after(url, 7.5)),
    Scenario("prompt of 100 unique tokens, tokens/s", lambda url: prefill(url, 0.1)),
    Scenario(PROMPT, lambda url: prefill(url, 1)),
    Scenario("prompt of 4,000 unique tokens, tokens/s", lambda url: prefill(url, 4)),
    Scenario("prompt of 7,500 unique tokens, tokens/s", lambda url: prefill(url, 7.5)),
    Scenario("8 streams, tokens/s", lambda url: streams(url, 8)),
    Scenario("32 streams, tokens/s", lambda url: streams(url, 32)),
    Scenario("64 streams, tokens/s", lambda url: streams(url, 64)),
    Scenario("128 streams, tokens/s", lambda url: streams(url, 128)),
    *(
        Scenario(f"32 streams with {name}, share of the speed without", use(options), ours=True)
        for name, options in OPTIONS.items()
    ),
    Scenario("8 streams behind one prompt of 1,000 tokens, tokens/s", shared_prefix),
    Scenario("next turn of a 1,000-token conversation, times sooner than the first", next_turn),
    Scenario("predicted text of 300 tokens, one word off, times sooner", prediction, ours=True),
    Scenario("string in a JSON schema, speed as a share of free text's", constrained),
    Scenario("object of a fixed shape, times faster than free text", fixed_shape),
    Scenario("seeded answers that repeat beside 15 others, of 12", repeats),
)
