"""Checks of reasoning: thoughts apart from the answer, their amount and their count."""

from __future__ import annotations

from typing import Any, NamedTuple

from minikin.catalog.probes import stream as streams
from minikin.catalog.probes.probe import (
    Absent,
    Asker,
    Body,
    Failed,
    Ignored,
    Inconclusive,
    in_content,
    thoughts_of,
)

_ASKED = "What is 17 plus 25? Answer with the number."
_BUDGET = 512
"""Tokens of thoughts and answer together."""


class _Thought(NamedTuple):
    text: str
    counted: int
    content: str
    usage: Body

    @property
    def size(self) -> int:
        """The characters of the thoughts, or their tokens where they are hidden.

        What is shown counts first, because the usage only claims.
        """
        return len(self.text) or self.counted


def _think(asker: Asker, **fields: Any) -> _Thought:
    """An answer with the model's own amount of reasoning. Raises Absent if fields are refused."""
    literal = {"reasoning_effort": None, asker.limit: _BUDGET, **fields}
    reply = asker.offered(asker.send(_ASKED, literal=literal, **asker.greedy))
    message = asker.answered(reply, only_thoughts=True)
    details = message.usage.get("completion_tokens_details") or {}
    counted = details.get("reasoning_tokens")
    shown = thoughts_of(message.choice["message"])
    return _Thought(shown, counted if isinstance(counted, int) else 0, message.text, message.usage)


def _thinking(asker: Asker) -> _Thought:
    """The same. Raises Absent if there are no thoughts, Failed if they are in the content."""
    found = _think(asker)
    if in_content(found.content):
        raise Failed("the thoughts are in the content")
    if not found.size:
        raise Absent("no thoughts are shown or counted")
    return found


def reasoning(asker: Asker) -> str:
    """Thoughts come before the answer, and not in it; also when streaming."""
    found = _thinking(asker)
    literal = {"reasoning_effort": None, asker.limit: _BUDGET}
    stream = streams.read(
        asker.accepted(asker.send(_ASKED, stream=True, literal=literal, **asker.greedy))
    )
    if stream:
        streamed = "".join(thoughts_of(choice["delta"]) for choice in stream.deltas)
        if in_content(stream.choice["message"]["content"]):
            raise Failed("the thoughts are in the content when streaming")
        if found.text and not streamed:
            raise Failed("the thoughts are not shown when streaming")
    shown = f"{len(found.text)} characters of thoughts shown" if found.text else "thoughts hidden"
    return f"{shown}, {found.counted} tokens of them counted"


def reasoning_effort(asker: Asker) -> str:
    """The model thinks more at each higher effort."""
    sizes: dict[str, int] = {}
    refused: Absent | None = None
    for effort in ("none", "low", "high"):
        try:
            sizes[effort] = _think(asker, reasoning_effort=effort).size
        except Absent as error:
            refused = error
    if not sizes and refused:
        raise refused
    seen = ", ".join(f"{size} at {effort}" for effort, size in sizes.items())
    if len(sizes) < 2:
        raise Inconclusive(f"only one effort is accepted: {seen}")
    if [*sizes.values()] != sorted(set(sizes.values())):
        raise Ignored(f"the size of the thoughts does not grow with the effort: {seen}")
    return f"the size of the thoughts: {seen}"


def reasoning_tokens(asker: Asker) -> str:
    """The usage counts the thoughts: at least what is shown, less than the whole answer."""
    found = _thinking(asker)
    if not found.counted:
        raise Ignored("thoughts are shown, and not counted")
    whole = found.usage.get("completion_tokens")
    if isinstance(whole, int) and found.counted > whole - bool(found.content.strip()):
        raise Failed(f"{found.counted} tokens of thoughts in an answer of {whole} tokens")
    sizes = [_prompt_size(asker, text) for text in ("Hello", f"Hello {found.text}")]
    shown = sizes[1] - sizes[0]
    if shown > 1.5 * found.counted + 8:
        raise Failed(f"{shown} tokens of thoughts are shown, and {found.counted} counted")
    return f"{found.counted} of {whole} tokens are thoughts"


def _prompt_size(asker: Asker, text: str) -> int:
    size = asker.body(text, max_tokens=1, **asker.greedy)["usage"].get("prompt_tokens")
    if not isinstance(size, int):
        raise Inconclusive("no prompt_tokens to count with")
    return size


def include_reasoning(asker: Asker) -> str:
    """Thoughts are shown on demand only."""
    shown, hidden = (_think(asker, include_reasoning=value) for value in (True, False))
    if not shown.size:
        raise Absent("no thoughts are shown or counted")
    if not shown.text or hidden.text:
        raise Ignored(f"thoughts are {'shown' if hidden.text else 'hidden'} in both cases")
    return "thoughts are shown if requested, and hidden if not"


def verbosity(asker: Asker) -> str:
    """An answer with high verbosity is longer than one with low verbosity."""
    low, high = (
        asker.optional("What is the sea?", max_tokens=256, verbosity=value, **asker.greedy)
        for value in ("low", "high")
    )
    sizes = f"{len(low.text)} characters at low, {len(high.text)} at high"
    if low.text != high.text and low.finish == high.finish == "length":
        raise Inconclusive(f"both answers are cut: {sizes}")
    if len(high.text) <= 1.2 * len(low.text):
        raise Ignored(sizes)
    return sizes
