"""Checks of sampling. Each compares answers that must be equal, or must differ."""

from __future__ import annotations

import math
import re
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any

from minikin.catalog.probes.checks_text import STORY
from minikin.catalog.probes.probe import Answer, Asker, Body, Failed, Ignored, Inconclusive

TOKENS = 24
"""Enough tokens for sampled answers to differ."""
EQUAL = 3
"""Equal answers that do not happen by chance."""
_MOST_TRIALS = 7
"""Answers that are asked for until three are equal."""
_NEIGHBOURS = 4
"""Requests beside the one that is checked."""


def _text(asker: Asker, **fields: Any) -> str:
    return asker.ask(STORY, max_tokens=TOKENS, **fields).text


def repeats(ask: Callable[[], str]) -> int:
    """The most equal answers among up to seven, at most three.

    A server that computes requests together gives another word now and then. One answer in seven
    that differs proves nothing, and three equal ones do not happen by chance.
    """
    seen: Counter[str] = Counter()
    for _ in range(_MOST_TRIALS):
        seen[ask()] += 1
        if max(seen.values()) == EQUAL:
            break
    return max(seen.values())


def temperature(asker: Asker) -> str:
    """At temperature 0 the answers are equal, at 0.01 almost always, at 1.5 they differ."""
    hot = {_text(asker, temperature=1.5) for _ in range(EQUAL)}
    if len(hot) == 1:
        raise Ignored("three answers at temperature 1.5 are the same")
    for low in (0, 0.01):
        if repeats(lambda low=low: _text(asker, temperature=low)) < EQUAL:
            raise Ignored(f"{_MOST_TRIALS} answers at temperature {low} differ")
    return f"answers repeat at 0 and at 0.01; 3 trials at 1.5 gave {len(hot)} answers"


def top_p(asker: Asker) -> str:
    """A tiny nucleus gives one answer, the full distribution gives several."""
    whole = {_text(asker, temperature=1, top_p=1) for _ in range(EQUAL)}
    if len(whole) == 1:
        raise Inconclusive("answers do not differ even with the full distribution")
    if repeats(lambda: _text(asker, temperature=1, top_p=0.0001)) < EQUAL:
        raise Ignored("different answers from a nucleus of one token")
    return f"3 trials: {len(whole)} answers at 1; answers repeat at 0.0001"


def seed(asker: Asker) -> str:
    """One seed gives one sampled answer, other seeds give other answers.

    The prompt is new, so that the first answer comes from a cold prefix cache and the next ones
    from a warm one. The last answer is beside others, and may differ: OpenAI's seed is best effort.
    """
    story = f"{secrets.randbelow(10**9)}. {STORY}"

    def text(number: int) -> str:
        return asker.ask(story, max_tokens=TOKENS, temperature=1, seed=number).text

    first = text(11)
    if repeats(lambda: text(11)) < EQUAL:
        raise Ignored(f"one seed gave different answers in {_MOST_TRIALS} trials")
    others = {text(number) for number in (12, 13, 14)}
    if len(others) == 1:
        raise Ignored("three seeds gave one answer")
    with asker.company(_NEIGHBOURS, STORY, max_tokens=8 * TOKENS, temperature=1):
        beside = "the same" if text(11) == first else "another"
    return (
        f"3 trials of one seed: 1 answer, and {beside} one beside {_NEIGHBOURS} others; "
        f"3 seeds: {len(others)} answers"
    )


def frequency_penalty(asker: Asker) -> str:
    """At -2 the model repeats itself, at 2 it does not."""
    return penalty(asker.ask, asker.greedy, "frequency_penalty")


def presence_penalty(asker: Asker) -> str:
    """At -2 the model repeats itself, at 2 it does not."""
    return penalty(asker.ask, asker.greedy, "presence_penalty")


def penalty(
    ask: Callable[..., Answer],
    greedy: Body,
    name: str,
    values: tuple[float, float, float] = (-2, 0, 2),
) -> str:
    """What was seen at the lowest, the neutral and the highest value. Raises Ignored if nothing."""
    low, usual, high = (
        ask(STORY, max_tokens=64, literal={name: value}, **greedy).text for value in values
    )
    least, neutral, most = values
    if low == high:
        raise Ignored(f"{least} and {most} gave the same answer")
    # A text that repeats itself, or never does, can stay the same.
    if (usual == low and _variety(usual) > 0.5) or (usual == high and _variety(usual) < 0.5):
        same = least if usual == low else most
        raise Ignored(f"{same} gave the same answer as {neutral}")
    if min(map(len, (low, high))) < TOKENS:
        raise Inconclusive("an answer is too short to count its repetitions")
    shares = [_variety(text) for text in (low, high)]
    seen = f"{shares[0]:.0%} of the text is new at {least}, {shares[1]:.0%} at {most}"
    if shares[1] - shares[0] < 0.15:
        raise Ignored(seen)
    return seen


def _variety(text: str) -> float:
    """The share of a text's four-character sequences that are not repetitions."""
    runs = [text[start : start + 4] for start in range(len(text) - 3)]
    return len(set(runs)) / len(runs)


def logit_bias(asker: Asker) -> str:
    """+100 on any token forces it, in every vocabulary: the answer is one repeated piece."""
    found = forced_pieces(asker.ask, asker.greedy, lambda id: {"logit_bias": {str(id): 100}})
    if len(set(found)) < 2:
        raise Ignored("tokens with a bias of 100 were not forced")
    return f"forced {len(found)} of 3 tokens: " + ", ".join(map(repr, found))


def forced_pieces(
    ask: Callable[..., Answer], greedy: Body, force: Callable[[int], Body]
) -> list[str]:
    """The pieces that answers repeat if three tokens are forced, one after the other."""
    found: list[str] = []
    for token in (1000, 2000, 3000):
        reply = ask(STORY, max_tokens=6, **force(token), **greedy)
        # A token such as " the" can lose its space at the start of the answer.
        for text in (reply.text, f" {reply.text}"):
            if piece := re.fullmatch(r"(.+?)\1{2,}", text, re.DOTALL):
                found.append(piece[1])
                break
    return found


def logprobs(asker: Asker) -> str:
    """Entries spell the answer, one per token. Each has three sorted alternatives below 0.

    The numbers vary, and the chosen token is the first alternative, as in any greedy answer.
    """
    fields = {"max_tokens": 10, "logprobs": True, "top_logprobs": 3, **asker.greedy}
    reply = asker.ask(STORY, **fields)
    entries = _entries(reply)
    if not entries:
        raise Ignored("the answer has no log probabilities")
    _believable(entries, reply.text)
    if streamed := asker.stream(STORY, **fields):
        if not _entries(streamed):
            raise Ignored("the answer has no log probabilities when streaming")
        _believable(_entries(streamed), streamed.text)
    return f"{len(entries)} entries spell the answer, 3 alternatives each, also when streaming"


def top_logprobs(asker: Asker) -> str:
    """Each entry has as many alternatives as requested: none, one, and five."""
    for count in (5, 1, 0):
        fields = {"logprobs": True, "top_logprobs": count, **asker.greedy}
        entries = _entries(asker.ask(STORY, max_tokens=4, **fields))
        if not entries and count == 5:
            raise Inconclusive("the answer has no log probabilities")
        if not entries:
            raise Failed(f"no log probabilities at all with {count} alternatives")
        found = {len(entry.get("top_logprobs") or []) for entry in entries}
        if found != {count}:
            raise Ignored(f"requested {count} alternatives, got {max(found)}")
    return "0, 1 and 5 alternatives, as requested"


def _entries(reply: Answer) -> list[Body]:
    return (reply.choice.get("logprobs") or {}).get("content") or []


def _believable(entries: list[Body], text: str) -> None:
    """Raise Failed if entries cannot be the log probabilities of a greedy answer."""
    if "".join(entry["token"] for entry in entries) != text and _bytes(entries) != text:
        raise Failed("the tokens of the entries do not spell the answer")
    for entry in entries:
        rivals = [rival["logprob"] for rival in entry["top_logprobs"]]
        if len(rivals) != 3 or rivals != sorted(rivals, reverse=True):
            raise Failed(f"requested 3 sorted alternatives, got {len(rivals)}")
        if max(entry["logprob"], *rivals) > 1e-6 or sum(map(math.exp, rivals)) > 1.001:
            raise Failed("the numbers are not log probabilities")
        if entry["logprob"] > rivals[0] + 1e-3:
            raise Failed("a token is more likely than the most likely one")
    if len(entries) >= 4 and len({round(entry["logprob"], 3) for entry in entries}) < 2:
        raise Failed("the log probabilities of different tokens are the same")
    told = [
        row for row in entries for rival in row["top_logprobs"] if rival["token"] == row["token"]
    ]
    first = [row for row in entries if row["top_logprobs"][0]["token"] == row["token"]]
    if len(told) < len(entries) - 1 or 2 * len(first) < len(entries):
        raise Failed("the tokens of a greedy answer are not the most likely ones")


def _bytes(entries: list[Body]) -> str:
    return b"".join(bytes(entry.get("bytes") or []) for entry in entries).decode(errors="replace")
