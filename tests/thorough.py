"""The parameters of tests that `make test-all` runs in full, and `make test` in part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mostly_thorough(values: Iterable[Any], *always: Any) -> list[Any]:
    """The values as parameters. Those that are not in `always` run only in `make test-all`."""
    return [
        value if value in always else pytest.param(value, marks=pytest.mark.thorough)
        for value in values
    ]
