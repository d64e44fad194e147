"""Checks of sampling. Each compares answers that must be equal, or must differ."""

from __future__ import annotations

import math
import re
import secrets
from typing import Any

from minikin.catalog.probes.checks_text import STORY
from minikin.catalog.probes.probe import Asker, Body, Failed, Ignored, Inconclusive

_TOKENS = 24
"""Enough tokens for sampled answers to differ."""
_NEIGHBOURS = 4
"""Requests beside the one that is checked."""


def _distinct(asker: Asker, times: int, **fields: Any) -> int:
    return len({asker.ask(STORY, max_tokens=_TOKENS, **fields).text for _ in range(times)})


def temperature(asker: Asker) -> str:
    """At temperature 0 the answers are equal, at 1.5 they differ."""
    cold, hot = _distinct(asker, 3, temperature=0), _distinct(asker, 3, temperature=1.5)
    if hot == 1:
        raise Ignored("three answers at temperature 1.5 are the same")
    if cold > 1:
        raise Ignored(f"three answers at temperature 0 are {cold} different ones")
    return f"3 trials: 1 answer at 0, {hot} at 1.5"


def top_p(asker: Asker) -> str:
    """A tiny nucleus gives one answer, the full distribution gives several."""
    whole, tiny = (
        _distinct(asker, 3, temperature=1, top_p=1),
        _distinct(asker, 3, temperature=1, top_p=0.0001),
    )
    if whole == 1:
        raise Inconclusive("answers do not differ even with the full distribution")
    if tiny > 1:
        raise Ignored(f"{tiny} different answers from a nucleus of one token")
    return f"3 trials: {whole} answers at 1, 1 at 0.0001"


def seed(asker: Asker) -> str:
    """One seed gives one sampled answer, other seeds give other answers.

    The prompt is new, so that the first answer comes from a cold prefix cache and the next ones
    from a warm one. The last answer is beside others, and may differ: OpenAI's seed is best effort.
    """
    story = f"{secrets.randbelow(10**9)}. {STORY}"

    def text(number: int) -> str:
        return asker.ask(story, max_tokens=_TOKENS, temperature=1, seed=number).text

    same = {text(11) for _ in range(3)}
    others = {text(number) for number in (12, 13, 14)}
    if len(same) > 1:
        raise Ignored(f"one seed gave {len(same)} different answers in 3 trials")
    if len(others) == 1:
        raise Ignored("three seeds gave one answer")
    with asker.company(_NEIGHBOURS, STORY, max_tokens=8 * _TOKENS, temperature=1):
        beside = "the same" if text(11) in same else "another"
    return (
        f"3 trials of one seed: 1 answer, and {beside} one beside {_NEIGHBOURS} others; "
        f"3 seeds: {len(others)} answers"
    )


def frequency_penalty(asker: Asker) -> str:
    """At -2 the model repeats itself, at 2 it does not."""
    return _penalty(asker, "frequency_penalty")


def presence_penalty(asker: Asker) -> str:
    """At -2 the model repeats itself, at 2 it does not."""
    return _penalty(asker, "presence_penalty")


def _penalty(asker: Asker, name: str) -> str:
    texts = [asker.ask(STORY, max_tokens=64, **{name: v}, **asker.greedy).text for v in (-2, 2)]
    if texts[0] == texts[1]:
        raise Ignored("-2 and 2 gave the same answer")
    if min(map(len, texts)) < _TOKENS:
        raise Inconclusive("an answer is too short to count its repetitions")
    low, high = map(_variety, texts)
    seen = f"{low:.0%} of the text is new at -2, {high:.0%} at 2"
    if high - low < 0.15:
        raise Ignored(seen)
    return seen


def _variety(text: str) -> float:
    """The share of a text's four-character sequences that are not repetitions."""
    runs = [text[start : start + 4] for start in range(len(text) - 3)]
    return len(set(runs)) / len(runs)


def logit_bias(asker: Asker) -> str:
    """+100 on any token forces it, in every vocabulary: the answer is one repeated piece."""
    forced = {}
    for token in ("1000", "2000", "3000"):
        reply = asker.ask(STORY, max_tokens=6, logit_bias={token: 100}, **asker.greedy)
        # A token such as " the" can lose its space at the start of the answer.
        for text in (reply.text, f" {reply.text}"):
            if found := re.fullmatch(r"(.+?)\1{2,}", text, re.DOTALL):
                forced[token] = found[1]
    if len(set(forced.values())) < 2:
        raise Ignored("tokens with a bias of 100 were not forced")
    return f"forced {len(forced)} of 3 tokens: " + ", ".join(map(repr, forced.values()))


def logprobs(asker: Asker) -> str:
    """Entries spell the answer, one per token. Each has three sorted alternatives below 0."""
    reply = asker.ask(STORY, max_tokens=8, logprobs=True, top_logprobs=3, **asker.greedy)
    entries = (reply.choice.get("logprobs") or {}).get("content")
    if not entries:
        raise Ignored("the answer has no log probabilities")
    if "".join(entry["token"] for entry in entries) != reply.text and _bytes(entries) != reply.text:
        raise Failed("the tokens of the entries do not spell the answer")
    count = reply.usage.get("completion_tokens", len(entries))
    if count not in (len(entries), len(entries) + 1):
        raise Failed(f"{len(entries)} entries for {count} tokens")
    for entry in entries:
        rivals = [rival["logprob"] for rival in entry["top_logprobs"]]
        if len(rivals) != 3 or rivals != sorted(rivals, reverse=True):
            raise Failed(f"requested 3 sorted alternatives, got {len(rivals)}")
        if max(entry["logprob"], *rivals) > 1e-6 or sum(map(math.exp, rivals)) > 1.001:
            raise Failed("the numbers are not log probabilities")
        if entry["logprob"] > rivals[0] + 1e-3:
            raise Failed("a token is more likely than the most likely one")
    return f"{len(entries)} entries spell the answer, 3 alternatives each"


def _bytes(entries: list[Body]) -> str:
    return b"".join(bytes(entry.get("bytes") or []) for entry in entries).decode(errors="replace")
