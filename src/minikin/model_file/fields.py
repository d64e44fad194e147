"""A model file's metadata, each value checked when it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minikin.errors import ModelFileError


class Fields:
    """The metadata under one architecture's name."""

    def __init__(self, metadata: Mapping[str, Any], name: str) -> None:
        self._metadata = metadata
        self._name = name

    def get(self, key: str) -> Any:
        """The value as it stands, or None."""
        return self._metadata.get(f"{self._name}.{key}")

    def whole(self, key: str, default: int | None = None, *, most: int = 2**31) -> int:
        """A count of 1 to `most`, or the default. Raises ModelFileError."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if type(value) is not int or not 1 <= value <= most:
            raise self.wrong(key)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number of 0 or more, or the default. Raises ModelFileError."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, int | float) and 0 <= value < 1e12:
            return float(value)
        raise self.wrong(key)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false, or the default. Raises ModelFileError."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise self.wrong(key)

    def text(self, key: str, default: str) -> str:
        """A text, or the default. Raises ModelFileError."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            return value
        raise self.wrong(key)

    def wrong(self, key: str) -> ModelFileError:
        """What to raise for a value that can't be."""
        return wrong_value("The model file", f"{self._name}.{key}", self.get(key))


def wrong_value(file: str, name: str, value: Any) -> ModelFileError:
    """What to raise for a value of `file` that is absent (None) or can't be."""
    if value is None:
        return ModelFileError(f"{file} lacks the field {name}.")
    return ModelFileError(f"{file}'s {name} can't be {ascii(value)[:64]}.")
