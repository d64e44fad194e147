"""The metadata of a model file. Each value is checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minikin.errors import ModelFileError


class Fields:
    """The metadata under the name of one architecture."""

    def __init__(self, metadata: Mapping[str, Any], name: str) -> None:
        self._metadata = metadata
        self._name = name

    def get(self, key: str) -> Any:
        """The unchecked value, or None."""
        return self._metadata.get(f"{self._name}.{key}")

    def whole(self, key: str, default: int | None = None, *, most: int = 2**31) -> int:
        """A count of 1 to `most`, or the default. Raises ModelFileError."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if type(value) is not int or not 1 <= value <= most:
            raise self.wrong(key)
        return value

    def count(self, key: str, *, most: int) -> int:
        """A count of 0 to `most`. 0 if it is missing. Raises ModelFileError."""
        value = self.get(key)
        missing = value is None or (type(value) is int and value == 0)
        return 0 if missing else self.whole(key, most=most)

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
        """A string, or the default. Raises ModelFileError."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            return value
        raise self.wrong(key)

    def wrong(self, key: str) -> ModelFileError:
        """The error for an invalid value."""
        return wrong_value("The model file", f"{self._name}.{key}", self.get(key))


def wrong_value(file: str, name: str, value: Any) -> ModelFileError:
    """The error for a missing (None) or invalid value in `file`."""
    if value is None:
        return ModelFileError(f"{file} lacks the field {name}.")
    return ModelFileError(f"{file}'s {name} can't be {ascii(value)[:64]}.")
