"""One streamed answer on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator

from minikin.cli.client import Chunk
from minikin.cli.output import console, errors
from minikin.cli.wrap import Wrapper


class Answer:
    """One answer while it arrives, and the figures for its status line."""

    def __init__(self, model: str) -> None:
        self.text = ""
        self.finish_reason: str | None = None
        self._model = model
        self._tokens = 0
        self._prompt_tokens = 0
        self._wrapper = Wrapper(console.width) if console.is_terminal else None
        self._asked = self._first = self._last = time.monotonic()

    def show(self, chunks: Iterator[Chunk]) -> None:
        """Print the text of `chunks` as it arrives."""
        with errors.status("thinking", spinner="dots"):
            first = next((chunk for chunk in self._take(chunks) if chunk.text), None)
        self._first = time.monotonic()
        try:
            if first is not None:
                self._print(first.text)
            for chunk in self._take(chunks):
                self._print(chunk.text)
        finally:
            print(self._wrapper.end() if self._wrapper else "", end="", flush=True)

    def _print(self, text: str) -> None:
        shown = _without_control(text)
        print(self._wrapper.add(shown) if self._wrapper else shown, end="", flush=True)

    def status(self) -> str:
        """For example `smollm2 · 52 tokens · 61 tokens/s · first after 0.12 s · 84 in · stop`."""
        parts = [self._model]
        if self._tokens:
            parts.append(f"{self._tokens} tokens")
        seconds = self._last - self._first
        if self._tokens > 1 and seconds > 0:
            parts.append(f"{(self._tokens - 1) / seconds:.0f} tokens/s")
        parts.append(f"first after {self._first - self._asked:.2f} s")
        if self._prompt_tokens:
            parts.append(f"prompt {self._prompt_tokens} tokens")
        return " · ".join([*parts, self.finish_reason or "incomplete"])

    def _take(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Record the data of each chunk, and pass it on."""
        for chunk in chunks:
            self.text += chunk.text
            self.finish_reason = chunk.finish_reason or self.finish_reason
            if chunk.usage is not None:
                self._tokens = chunk.usage.completion_tokens
                self._prompt_tokens = chunk.usage.prompt_tokens
            else:
                self._last = time.monotonic()
            yield chunk


def _without_control(text: str) -> str:
    """A model's text without control characters, so that it cannot send terminal commands."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable() or ord(c) > 0x9F)
