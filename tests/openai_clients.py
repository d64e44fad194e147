"""OpenAI's client for a test's server."""

from __future__ import annotations

import openai

_open: list[openai.OpenAI] = []


def client_of(server, key: str = "none", **options) -> openai.OpenAI:
    """A client that is closed after the test."""
    made = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, **options)
    _open.append(made)
    return made


def close_clients() -> None:
    """Close them all.

    One that is left to the garbage collector warns about its socket, in whatever test runs then.
    """
    while _open:
        _open.pop().close()
