"""Wraps text at words while it arrives, so that a terminal does not cut words."""

from __future__ import annotations

import re

from rich.cells import cell_len

_PIECES = re.compile(r"\n|[^\S\n]+|\S+")


class Wrapper:
    """Text in, text with line ends out. A word that is wider than the terminal is not cut here."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._column = 0
        self._word = ""
        """The last word. It can still grow."""
        self._space = ""
        """The spaces before it."""

    def add(self, text: str) -> str:
        """What can be printed after this text."""
        shown: list[str] = []
        for piece in _PIECES.findall(text):
            if not piece.isspace():
                self._word += piece
                continue
            shown.append(self.end())
            if piece == "\n":
                shown.append(piece)
                self._column, self._space = 0, ""
            else:
                self._space += piece
        return "".join(shown)

    def end(self) -> str:
        """The last word, after the spaces or the line end before it."""
        space, word = self._space, self._word
        if not word:
            return ""
        self._space = self._word = ""
        if self._column and self._column + cell_len(space + word) > self._width:
            self._column = cell_len(word)
            return f"\n{word}"
        self._column += cell_len(space + word)
        return f"{space}{word}"
