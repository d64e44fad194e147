"""Checks of sampling that OpenAI's chat API does not have. A server may refuse each field.

The fields have the names of vLLM and llama.cpp: `allowed_token_ids` for the capability
`allowed_tokens`, and the capability's own name for all others.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from minikin.catalog.probes.checks_sampling import EQUAL, TOKENS, forced_pieces, penalty, repeats
from minikin.catalog.probes.checks_text import STORY
from minikin.catalog.probes.probe import Asker, Body, Failed, Ignored, Inconclusive

_DRAWS = 12
"""One-token answers that show how many tokens can be drawn."""


def top_k(asker: Asker) -> str:
    """One token gives one answer, two give at most two first tokens, and 50 give several."""
    several = _narrowed(asker, {"top_k": 1}, {"top_k": 1000})
    drawn: Counter[str] = Counter()
    for _ in range(_DRAWS):
        text = asker.optional(STORY, max_tokens=1, temperature=2, top_p=1, top_k=2).text
        drawn[" ".join(text.split()[:1])] += 1  # the first word, if the limit is ignored
    if sum(count for _, count in drawn.most_common()[2:]) > 1:
        raise Ignored(f"{len(drawn)} different first tokens from the 2 most likely ones")
    return f"{several}; {len(drawn)} first tokens at 2"


def min_p(asker: Asker) -> str:
    """Only tokens as likely as the best one give one answer, all tokens give several."""
    return _narrowed(asker, {"min_p": 1}, {"min_p": 0})


def typical_p(asker: Asker) -> str:
    """A typical set of one token gives one answer, the full distribution gives several."""
    return _narrowed(asker, {"typical_p": 0.0001}, {"typical_p": 1})


def tfs(asker: Asker) -> str:
    """Without any tail, there is one answer. With the whole tail, there are several."""
    return _narrowed(asker, {"tfs": 0.0001}, {"tfs": 1})


_CALM = {"mirostat": 2, "mirostat_tau": 0.01}
"""A target of almost no surprise, which leaves one token."""


def mirostat(asker: Asker) -> str:
    """A target of almost no surprise gives one answer, and several without mirostat."""
    return _narrowed(asker, _CALM, _CALM | {"mirostat": 0})


def mirostat_tau(asker: Asker) -> str:
    """A low target gives one answer, a high one gives several."""
    if repeats(lambda: _sampled(asker, _CALM)) < EQUAL:
        raise Inconclusive("answers differ at the lowest target, so mirostat has no effect")
    several = {_sampled(asker, _CALM | {"mirostat_tau": 8}) for _ in range(EQUAL)}
    if len(several) == 1:
        raise Ignored("the targets 0.01 and 8 give one answer")
    return f"3 trials: {len(several)} answers at 8; answers repeat at 0.01"


def _sampled(asker: Asker, setting: Body) -> str:
    return asker.optional(STORY, max_tokens=TOKENS, temperature=1, top_p=1, **setting).text


def _narrowed(asker: Asker, narrow: Body, wide: Body) -> str:
    """What was seen. Raises Ignored if answers differ at the narrow setting."""
    several = {_sampled(asker, wide) for _ in range(EQUAL)}
    if len(several) == 1:
        raise Inconclusive("answers do not differ even at the wide setting")
    if repeats(lambda: _sampled(asker, narrow)) < EQUAL:
        raise Ignored(f"answers differ with {_shown(narrow)}")
    return (
        f"3 trials: {len(several)} answers with {_shown(wide)}; they repeat with {_shown(narrow)}"
    )


def _shown(setting: Body) -> str:
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def repetition_penalty(asker: Asker) -> str:
    """Below 1 the model repeats itself, above 1 it does not."""
    return penalty(asker.optional, asker.greedy, "repetition_penalty", (0.6, 1, 1.8))


def no_repeat_ngram_size(asker: Asker) -> str:
    """A text that repeats pairs of words has no such pair with a size of 2."""
    prompt = "Write this ten times: the sea is calm, the sea is calm, the sea is calm"
    fields = {"max_tokens": 4 * TOKENS, **asker.greedy}
    control = asker.ask(prompt, **fields).text
    limited = asker.optional(prompt, no_repeat_ngram_size=2, **fields).text
    if not _repeated_pairs(control):
        raise Inconclusive("the answer repeats nothing without the parameter either")
    if pairs := _repeated_pairs(limited):
        raise Ignored(f"{len(pairs)} pairs of words occur twice, such as {pairs[0]!r}")
    return f"{len(_repeated_pairs(control))} pairs of words occur twice without it, none with it"


def _repeated_pairs(text: str) -> list[str]:
    words = text.split()[1:]  # the first one has no space before it, and so other tokens
    pairs = Counter(map(" ".join, pairwise(words)))
    return [pair for pair, count in pairs.items() if count > 1]


def bad_words(asker: Asker) -> str:
    """The two most common words of an answer are not in it when they are banned."""
    fields = {"max_tokens": 2 * TOKENS, **asker.greedy}
    common = _words(asker.ask(STORY, **fields).text).most_common(2)
    if len(common) < 2:
        raise Inconclusive("the answer has no two words to ban")
    banned = [word for word, _ in common]
    answer = asker.optional(STORY, bad_words=banned, **fields).text
    if left := [word for word in banned if _words(answer)[word]]:
        raise Ignored(f"the answer still contains {' and '.join(map(repr, left))}")
    if not answer.strip():
        raise Failed("without two words, nothing is left of the answer")
    return f"{' and '.join(map(repr, banned))} are no longer in the answer"


def _words(text: str) -> Counter[str]:
    # Without the last word, which the limit can cut.
    return Counter(re.findall(r"\b[a-z]{2,}(?=\W)", text))


def allowed_tokens(asker: Asker) -> str:
    """If one token is allowed, the answer is that token, repeated: another one for each id."""
    found = forced_pieces(asker.optional, asker.greedy, lambda id: {"allowed_token_ids": [id]})
    if len(set(found)) < 2:
        raise Ignored("answers contain more than the one allowed token")
    return f"only {len(found)} of 3 tokens: " + ", ".join(map(repr, found))


_COMMON_IDS = list(range(5_000))
"""Ids of the most common tokens: no answer of a few words is without one."""


def stop_token_ids(asker: Asker) -> str:
    """An answer that continues ends early if a common token must end it."""
    fields = {"max_tokens": 2 * TOKENS, **asker.greedy}
    control = asker.ask(STORY, **fields)
    if control.finish != "length":
        raise Inconclusive("the answer ends early without the parameter too")
    reply = asker.optional(STORY, stop_token_ids=_COMMON_IDS, **fields)
    if reply.finish == "length":
        raise Ignored(f"{len(_COMMON_IDS):,} common tokens do not end the answer")
    if not len(reply.text) < len(control.text):
        raise Failed("the answer ends by a token, but is not shorter")
    return f"{len(reply.text)} characters instead of {len(control.text)}"
