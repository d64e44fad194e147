"""How a model's author recommends to sample it, as the model's files say."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

log = logging.getLogger(__name__)


class _Setting(NamedTuple):
    """One recommendation: its source, and the values that can be followed."""

    key: str
    """In a GGUF file: llama.cpp, gguf-py/gguf/constants.py."""
    least: float
    most: float
    whole: bool = False


_SETTINGS = {
    "temperature": _Setting("general.sampling.temp", 0, 2),
    "top_p": _Setting("general.sampling.top_p", 0, 1),
    "top_k": _Setting("general.sampling.top_k", 1, 2**31 - 1, whole=True),
    "min_p": _Setting("general.sampling.min_p", 0, 1),
    "repetition_penalty": _Setting("general.sampling.penalty_repeat", 0.1, 10),
}
"""By the names of SamplingParams, which generation_config.json uses too."""
_DIGITS = 6
"""GGUF keeps float32: 0.95 comes out as 0.949999988."""


def recommended_sampling(metadata: Mapping[str, Any]) -> dict[str, float | int]:
    """What `metadata` recommends, by the names of SamplingParams.

    A value that can't be followed is left out, and logged.
    """
    recommended: dict[str, float | int] = {}
    for name, setting in _SETTINGS.items():
        value = metadata.get(setting.key)
        number = _followed(value, setting)
        if number is not None:
            recommended[name] = number
        elif value is not None and not _is_no_limit(name, value):
            log.warning("The model recommends %s = %s: ignored", name, ascii(value)[:64])
    return recommended


def as_metadata(generation_config: Mapping[str, Any]) -> dict[str, Any]:
    """What a folder's generation_config.json recommends, under GGUF's keys, unchecked."""
    return {
        setting.key: generation_config[name]
        for name, setting in _SETTINGS.items()
        if generation_config.get(name) is not None
    }


def _followed(value: Any, setting: _Setting) -> float | int | None:
    """`value` as a number within the setting's bounds; None: it is none, such as nan."""
    if not _is_number(value) or not setting.least <= value <= setting.most:
        return None
    if setting.whole:
        return int(value) if value == math.floor(value) else None
    return round(float(value), _DIGITS)


def _is_no_limit(name: str, value: Any) -> bool:
    """Whether this is a top_k that takes in every token, as 0 and -1 do everywhere."""
    return name == "top_k" and _is_number(value) and value in (0, -1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
