"""Reads the files of an untrusted folder, and nothing outside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from minikin.model_file.data_file import DataFile, MalformedError, explained, shown

MOST_JSON_BYTES = 1 << 20
_MOST_VALUES = 3_000_000
"""In one JSON text. A value needs up to 100 times its bytes. Gemma 3 has 2 million values."""


class Folder:
    """A folder. Its files are found by name. Every method raises ModelFileError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            self._root = path.resolve(strict=True)

    def find(self, name: str) -> Path | None:
        """The path of the file with this name, or None.

        A name that contains a path and a link that leaves the folder are errors.
        """
        with explained(self.path):
            if not name or name in (".", "..") or set(name) & set("/\\\0") or len(name) > 255:
                raise MalformedError(f"{shown(name)} is not the name of a file in it")
            path = self._root / name
            if not path.is_symlink() and not path.exists():
                return None
            # A loop of links is a RuntimeError before Python 3.13, and an OSError since then.
            try:
                path = path.resolve(strict=True)
            except RuntimeError as error:
                raise MalformedError(f"{shown(name)} is a loop of links") from error
            if not path.is_relative_to(self._root):
                raise MalformedError(f"{shown(name)} is a link that leaves the folder")
            return path

    def read(self, name: str, most: int) -> bytes | None:
        """The bytes of a file, or None if it is missing. More than `most` bytes are an error."""
        if (path := self.find(name)) is None:
            return None
        file = DataFile(path)
        with explained(path):
            if file.size > most:
                raise MalformedError(f"it has {file.size} bytes. The maximum is {most}")
        return file.read(0, file.size).tobytes()

    def json(self, name: str, most: int = MOST_JSON_BYTES) -> dict[str, Any] | None:
        """The JSON object in a file, or None if the file is missing."""
        data = self.read(name, most)
        if data is None:
            return None
        with explained(self.path / name):
            return json_object(data)

    def text(self, name: str) -> str | None:
        """The text in a file, or None if the file is missing."""
        data = self.read(name, MOST_JSON_BYTES)
        with explained(self.path / name):
            return None if data is None else data.decode()

    def names(self, ending: str) -> list[str]:
        """The names of all files with this ending."""
        with explained(self.path):
            return sorted(path.name for path in self._root.iterdir() if path.name.endswith(ending))


def json_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises MalformedError."""
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        raise MalformedError(f"its JSON has more than {_MOST_VALUES} values")
    try:
        value = _decoded(data)
    except RecursionError as error:
        raise MalformedError("its JSON is nested too deeply") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedError(f"it is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise MalformedError("its JSON is not an object")
    return value


def _decoded(data: bytes) -> Any:
    """Also infinite numbers, which Python writes, but JSON does not have."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        if b"Infinity" not in data:
            raise
        return json.loads(data)


def check_keys(data: bytes) -> None:
    """Raise MalformedError if a JSON object has a duplicate key.

    Parsers differ in which of the two values they use.
    """

    def check(pairs: Iterable[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedError(f"{shown(key)} occurs twice")
            seen.add(key)

    json.loads(data, object_pairs_hook=check)
