"""Prevents that user text becomes a control token while a chat template renders it.

A rendered chat template is one string of control tokens, literals and user text. Before rendering,
every character of user text that could create a control token is replaced by a placeholder that no
user can guess. The rendered text is then split at its control tokens, which all come from the
template. Finally the placeholders in the other pieces are replaced by their characters.

A placeholder replaces one character and is not white space. Templates that trim, test or join user
text therefore behave as with the original text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Any


class LookAlikes:
    """Hides and restores look-alikes of `control_tokens`, the texts of a model's control tokens."""

    def __init__(self, control_tokens: Iterable[str]) -> None:
        tokens = sorted({t for t in control_tokens if t.strip()}, key=len, reverse=True)
        self._tokens = tokens
        self._longest = len(tokens[0]) if tokens else 0
        self._heads = {t[:k] for t in tokens for k in range(1, len(t))}
        self._tails = {t[k:] for t in tokens for k in range(1, len(t))}
        any_token = "|".join(map(re.escape, tokens)) or r"(?!)"
        self._starts = re.compile(f"(?={any_token})")
        self._split = re.compile(f"({any_token})")
        self._nonce = f"q{secrets.token_hex(8)}q"
        # Placeholders ignore case, so that a template's `upper` or `title` does not break them.
        self._placeholder = re.compile(f"{self._nonce}([0-9a-f]+)x", re.IGNORECASE)

    def hide(self, value: Any) -> Any:
        """`value` with hidden look-alikes in all its strings and keys, at any depth."""
        if isinstance(value, str):
            return self._hide_text(value)
        if isinstance(value, dict):
            return {self._hide_spelled(key): self.hide(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.hide(item) for item in value]
        return value

    def split(self, rendered: str) -> list[tuple[str, bool]]:
        """The rendered text as (text, is_control) pieces, without placeholders."""
        pieces = self._split.split(rendered)
        return [
            (text if at % 2 else self._restore(text), bool(at % 2))
            for at, text in enumerate(pieces)
            if text
        ]

    def _hide_text(self, text: str) -> str:
        """Hide complete look-alikes, and possible halves at both ends of `text`."""
        bare = text.strip()
        if not bare:
            return text
        at_risk = {match.start() for match in self._starts.finditer(text)}
        first, last = len(text) - len(text.lstrip()), len(text.rstrip()) - 1
        if self._is_inside_a_token(bare):
            at_risk.update((first, last))
        sizes = range(1, min(self._longest, len(bare) + 1))
        if any(bare[:size] in self._tails for size in sizes):
            at_risk.add(first)
        if any(bare[-size:] in self._heads for size in sizes):
            at_risk.add(last)
        return self._swap(text, at_risk)

    def _hide_spelled(self, key: str) -> str:
        """Hide only complete look-alikes, because a template finds a key by its exact name."""
        return self._swap(key, {match.start() for match in self._starts.finditer(key)})

    def _is_inside_a_token(self, bare: str) -> bool:
        return len(bare) < self._longest and any(bare in token for token in self._tokens)

    def _swap(self, text: str, positions: set[int]) -> str:
        if not positions:
            return text
        parts, done = [], 0
        for at in sorted(positions):
            parts += text[done:at], f"{self._nonce}{ord(text[at]):x}x"
            done = at + 1
        return "".join(parts) + text[done:]

    def _restore(self, text: str) -> str:
        return self._placeholder.sub(lambda match: chr(int(match[1], 16)), text)
