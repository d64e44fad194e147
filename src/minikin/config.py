"""The settings of one server, frozen once read."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import platformdirs


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine process needs to load and run one model."""

    model: Path
    """A GGUF file."""
    context_length: int | None = None
    """Tokens of prompt and answer together; None: the model's own limit."""
    kv_cache_tokens: int = 65_536
    """Room for this many tokens' keys and values, shared by all requests."""
    max_running: int = 64
    """The most sequences in one step."""
    prefill_chunk: int = 512
    """The most prompt tokens in one step, so that running streams never wait long."""
    threads: int | None = None
    """CPU threads; None: one a core."""
    device: str = "cpu"
    """A torch device: `cpu`, `cuda`, `cuda:1`."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP side needs; `engine` goes to the engine process as it is."""

    engine: EngineSettings
    model_id: str
    """The model's own id, listed first in /v1/models."""
    aliases: tuple[str, ...] = ("gpt-4.1-mini",)
    """Other names that the same model answers to."""
    host: str = "127.0.0.1"
    port: int = 8000
    default_max_tokens: int = 2048
    """The output limit of a request that states none: small models ramble."""
    max_queued: int = 256
    """Requests in flight, running and waiting together; one more is answered 503."""
    max_body_bytes: int = 4 * 1024 * 1024
    max_choices: int = 128
    """The largest `n`; 128 is OpenAI's own."""
    extensions: bool = False
    """Take sampling parameters that OpenAI doesn't have, instead of refusing them as it does."""
    api_keys: tuple[str, ...] = ()
    """Keys that clients must send; none: no key is asked for."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that the server answers to, beside localhost, `host` and plain addresses."""
    database: Path | None = None
    """The SQLite file of stored completions; None: one in the user's data folder."""
    drain_seconds: float = 30.0
    """How long running answers may go on after the first SIGTERM."""


def cache_folder() -> Path:
    """`MINIKIN_CACHE` if set, else `minikin` in the user's cache folder (XDG_CACHE_HOME)."""
    chosen = os.environ.get("MINIKIN_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("minikin", appauthor=False)
