from __future__ import annotations

import pytest

from tests.real_model import default_model, real_server


@pytest.fixture(scope="session")
def base_url():
    """Of a server with the default model."""
    default_model()
    with real_server() as server:
        yield f"{server.url}/v1"
