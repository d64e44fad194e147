"""Keeps the names of one JSON object distinct. A grammar cannot do this for free names."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from llguidance import LLMatcher

from minikin.constrain.watch import JsonState

FEW = 512
"""If more tokens are allowed, a name has enough ways to continue."""
MAX_STEPS = 64
"""Maximum grammar steps to check whether a name can still become a new one."""


class DistinctNames:
    """Excludes tokens, for one model's vocabulary."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        """`tokens` are the bytes of each id, b"" for control tokens."""
        self._tokens = tokens
        self._ids = {token: at for at, token in enumerate(tokens) if token}
        self._sorted = sorted((token, at) for at, token in enumerate(tokens) if token)
        self._longest = max(map(len, tokens), default=0)
        self._whole = [at for at, token in enumerate(tokens) if token.count(b'"') > 1]
        """Tokens that can contain a complete name."""
        self._escapes = [at for at, token in enumerate(tokens) if b"\\u" in token]

    def restrict(self, matcher: LLMatcher, state: JsonState, allowed: np.ndarray) -> None:
        """Remove from `allowed`, bool [vocab_size], tokens that repeat a name of the object.

        `matcher` and `state` are at the position of the token. If no token would remain, `allowed`
        does not change.
        """
        banned = {at for at in self._whole if allowed[at] and self._repeats(state, at)}
        if state.name is not None:
            banned.update(self._escaped(state))
            rests = _rests(state.taken, state.name)
            banned.update(self._completing(rests))
            few = np.count_nonzero(allowed) <= FEW
            begun = self._beginning(rests) if few else self._ids_of(rests)
            banned.update(self._hopeless(matcher, begun, rests, allowed))
        left = allowed.copy()
        left[list(banned)] = False
        if left.any():
            allowed[:] = left

    def _repeats(self, state: JsonState, token: int) -> bool:
        return state.after(self._tokens[token]).repeats

    def _escaped(self, state: JsonState) -> Iterator[int]:
        """Tokens that write a character as an escape, which is a second spelling of a name."""
        yield from self._escapes
        if state.escaped:
            yield from self._starting_with(b"u")

    def _completing(self, rests: Iterable[bytes]) -> Iterator[int]:
        for rest in rests:
            yield from self._starting_with(rest + b'"')

    def _hopeless(
        self, matcher: LLMatcher, tokens: set[int], rests: list[bytes], allowed: np.ndarray
    ) -> Iterator[int]:
        """Tokens after which only an existing name can follow."""
        steps = MAX_STEPS
        for at in tokens:
            if allowed[at] and steps > 0:
                hope, steps = self._leads_on(matcher, at, rests, steps)
                if not hope:
                    yield at

    def _leads_on(
        self, matcher: LLMatcher, token: int, rests: list[bytes], steps: int
    ) -> tuple[bool, int]:
        """Whether a new name can follow `token`, and the remaining steps."""
        following = matcher.deep_copy()
        if steps <= 0 or not following.consume_token(token):
            return True, steps
        bits = np.frombuffer(following.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little", count=len(self._tokens)).view(bool)
        left = _rests(rests, self._tokens[token])
        on_the_way = self._beginning(left)
        if np.count_nonzero(allowed) > sum(
            bool(allowed[at]) for at in {*on_the_way, *self._completing(left)}
        ):
            return True, steps - 1
        steps -= 1
        for at in on_the_way:
            if allowed[at]:
                hope, steps = self._leads_on(following, at, left, steps)
                if hope:
                    return True, steps
        return False, steps

    def _starting_with(self, text: bytes) -> Iterator[int]:
        at = bisect_left(self._sorted, (text, -1))
        while at < len(self._sorted) and self._sorted[at][0].startswith(text):
            yield self._sorted[at][1]
            at += 1

    def _ids_of(self, texts: Iterable[bytes]) -> set[int]:
        return {self._ids[text] for text in texts if text in self._ids}

    def _beginning(self, texts: Iterable[bytes]) -> set[int]:
        """Tokens that are a prefix of one of the texts."""
        return {
            self._ids[text[:size]]
            for text in texts
            for size in range(1, min(len(text), self._longest) + 1)
            if text[:size] in self._ids
        }


def _rests(names: Iterable[bytes], begun: bytes) -> list[bytes]:
    """The rests of the names that start with `begun`."""
    return [name[len(begun) :] for name in names if name.startswith(begun)]
