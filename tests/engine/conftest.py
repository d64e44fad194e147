from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The real default model, for tests marked `model`."""
    given = os.environ.get("MINIKIN_TEST_MODEL")
    if not given:
        pytest.skip("MINIKIN_TEST_MODEL does not name a GGUF file of the default model")
    return Path(given)
