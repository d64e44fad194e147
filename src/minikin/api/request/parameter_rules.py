"""Rules for single parameters."""

from __future__ import annotations

from typing import Any

import msgspec

from minikin.api.request import faults
from minikin.api.request.rules import Array, OneOf, Text
from minikin.errors import InvalidRequest

MAX_BIAS = 100
"""A bias of this size forces or bans a token."""


class Metadata(msgspec.Struct, frozen=True):
    """A flat object of strings to strings."""

    max_properties: int = 16
    max_name: int = 64
    max_value: int = 512

    def check(self, value: Any, path: str) -> dict[str, str]:
        """See Rule."""
        if not isinstance(value, dict):
            raise faults.wrong_type(path, "a metadata object", value)
        if len(value) > self.max_properties:
            raise faults.too_many_properties(path, self.max_properties, len(value))
        for name, item in value.items():
            if len(name) > self.max_name:
                raise faults.name_too_long(path, name, self.max_name)
            Text(self.max_value).check(item, f"{path}.{name}")
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {
            "type": "object",
            "maxProperties": self.max_properties,
            "propertyNames": {"maxLength": self.max_name},
            "additionalProperties": {"type": "string", "maxLength": self.max_value},
        }

    def __str__(self) -> str:
        return (
            f"object of at most {self.max_properties} strings of {self.max_value} characters, "
            f"names of {self.max_name}"
        )


class LogitBias(msgspec.Struct, frozen=True):
    """A map from token ids as strings to numbers. Their range is checked later."""

    max_properties: int = 1024

    def check(self, value: Any, path: str) -> dict[str, float]:
        """See Rule."""
        if not isinstance(value, dict):
            raise faults.wrong_type(path, "an object", value)
        if len(value) > self.max_properties:
            raise faults.too_many_properties(path, self.max_properties, len(value))
        for key, bias in value.items():
            if not (key.isascii() and key.isdigit() and len(key) <= 10):
                raise InvalidRequest(
                    f"Invalid key in '{path}': {key[:64]}. You should only be submitting "
                    "non-negative integers.",
                    param=path,
                )
            if not isinstance(bias, int | float) or isinstance(bias, bool):
                raise faults.wrong_type(f"{path}.{key}", "a decimal", bias)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {
            "type": "object",
            "maxProperties": self.max_properties,
            "propertyNames": {"pattern": "^[0-9]{1,10}$"},
            "additionalProperties": {"type": "number", "minimum": -MAX_BIAS, "maximum": MAX_BIAS},
        }

    def __str__(self) -> str:
        return f"object of token ids to numbers from -{MAX_BIAS} to {MAX_BIAS}"


class Modalities(msgspec.Struct, frozen=True):
    """The requested kinds of output. This model supports only text."""

    items: Array = Array(OneOf(("text", "audio")), "an array of strings", 16)

    def check(self, value: Any, path: str) -> list[str]:
        """See Rule. Audio is rejected here, together with wrong types, as OpenAI does."""
        asked = self.items.check(value, path)
        if "text" not in asked:
            raise InvalidRequest(
                f"Invalid value for '{path}'. Only ['text'] and ['text', 'audio'] are supported.",
                param=path,
                code="invalid_value",
            )
        if "audio" in asked:
            raise InvalidRequest(
                "The selected model does not support audio modality.",
                param=path,
                code="invalid_value",
            )
        return asked

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"type": "array", "items": {"enum": ["text"]}, "minItems": 1}

    def __str__(self) -> str:
        return '`["text"]`'


class Verbosity(msgspec.Struct, frozen=True):
    """How long answers are. gpt-4.1-mini supports one value."""

    levels: OneOf = OneOf(("low", "medium", "high"))

    def check(self, value: Any, path: str) -> str:
        """See Rule."""
        if self.levels.check(value, path) != "medium":
            raise faults.unsupported_value(path, value, ("medium",))
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"type": "string", "enum": ["medium"]}

    def __str__(self) -> str:
        return "`medium`"
