"""The prompt before an answer, if a request asks for it."""

from __future__ import annotations

from collections.abc import Iterable

from minikin.api.completions.translate import CompletionRequest
from minikin.api.completions.wire import Likely, TextChoice, TextLogprobs
from minikin.engine.messages import TokenEntry, TokenLogprob
from minikin.tokenizer.tokenizer import Tokenizer


class EchoedPrompt:
    """One prompt: its text, and the log probabilities of its tokens as they come."""

    def __init__(self, request: CompletionRequest, ids: list[int], tokenizer: Tokenizer) -> None:
        """`ids` are the tokens of the request's prompt `at`."""
        given = request.raw_prompt
        self.text = given if isinstance(given, str) else tokenizer.decode(given)
        self.tokens = len(ids)
        self._starts = tokenizer.starts(ids)
        self._logprobs: TextLogprobs | None = None
        if request.prompt_logprobs is not None:
            top: list[Likely | None] | None = [None] if request.prompt_logprobs else None
            first = shown(tokenizer.token_bytes(ids[0]))
            self._logprobs = TextLogprobs([first], [None], top, [next(self._starts)])

    def add(self, entries: Iterable[TokenEntry]) -> None:
        """Add the log probabilities of the next tokens, from the second on."""
        found = self._logprobs
        assert found is not None
        for entry, start in zip(entries, self._starts, strict=False):
            found.tokens.append(shown(entry.token))
            found.token_logprobs.append(entry.logprob)
            # The text of a client can be shorter than that of its tokens.
            found.text_offset.append(min(start, len(self.text)))
            if found.top_logprobs is not None:
                found.top_logprobs.append(alternatives(entry.top))

    def choice(self, index: int) -> TextChoice:
        """The prompt as the first part of the answer `index`."""
        return TextChoice(text=self.text, index=index, logprobs=self._logprobs)


def alternatives(top: tuple[TokenLogprob, ...]) -> Likely:
    """The most likely tokens as text."""
    return {shown(other.token): other.logprob for other in top}


def shown(token: bytes) -> str:
    """A token as text. Part of a character is written as OpenAI does: `bytes:\\xe2\\x80`."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)
