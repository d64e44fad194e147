"""The conversation of a chat, and saving it to a file."""

from __future__ import annotations

import json
from pathlib import Path


class Conversation:
    """The turns of a chat and the system message before them."""

    def __init__(self, system: str | None = None) -> None:
        self.system = system
        self._turns: list[dict[str, str]] = []

    def messages(self) -> list[dict[str, str]]:
        """The whole conversation, as the `messages` of a request."""
        head = [{"role": "system", "content": self.system}] if self.system else []
        return head + self._turns

    def asking(self, question: str) -> list[dict[str, str]]:
        """The `messages` of a request with `question`. It is kept only after its answer."""
        return [*self.messages(), {"role": "user", "content": question}]

    def add(self, question: str, answer: str) -> None:
        """Keep a question and its answer."""
        self._turns += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]

    def take_back(self) -> str | None:
        """Remove the last question and its answer. Returns the question, if there is one."""
        if not self._turns:
            return None
        question = self._turns[-2]["content"]
        del self._turns[-2:]
        return question

    def clear(self) -> None:
        """Delete all turns, and keep the system message."""
        self._turns.clear()

    def save(self, path: Path) -> None:
        """Write the messages as JSON, in the format of a request's `messages`. Raises OSError."""
        path.write_text(json.dumps(self.messages(), ensure_ascii=False, indent=2) + "\n", "utf-8")
