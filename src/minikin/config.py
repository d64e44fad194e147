"""The settings of one server, frozen once read.

A setting with a description is an option of `minikin serve`, which shows that text. What may be
None has its bound and the meaning of None in `extra`, since a Meta bounds plain numbers only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import platformdirs
from msgspec import Meta


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine process needs to load and run one model."""

    model: Path
    """A model's file or folder."""
    context_length: Annotated[
        int | None,
        Meta(
            description="Tokens of prompt and answer together.",
            extra={"min": 1, "unset": "the model's limit"},
        ),
    ] = None
    kv_cache_tokens: Annotated[
        int | None,
        Meta(
            description="Tokens that all requests together may keep in memory.",
            extra={"min": 1, "unset": "65,536, or what a quarter of memory holds"},
        ),
    ] = None
    max_running: Annotated[int, Meta(ge=1, description="Answers computed side by side.")] = 64
    prefill_chunk: int = 512
    """The most prompt tokens in one step, so that running streams never wait long."""
    threads: Annotated[
        int | None, Meta(description="CPU threads.", extra={"min": 1, "unset": "one a core"})
    ] = None
    device: Annotated[str, Meta(description="Where to compute: cpu, cuda, cuda:1.")] = "cpu"


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One of a server's models."""

    id: str
    engine: EngineSettings
    aliases: tuple[str, ...] = ()
    """Other names that it answers to."""
    memory: int = 0
    """Bytes that it is thought to need."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names, its own first."""
        return (self.id, *self.aliases)


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP side needs."""

    models: tuple[ModelSettings, ...]
    """At least one; the first is loaded at start."""
    host: Annotated[
        str, Meta(description="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port to listen on.")] = 8000
    unload_after: Annotated[
        float | None,
        Meta(
            description="Seconds without a request after which a model leaves memory.",
            extra={"min": 1, "unset": "never"},
        ),
    ] = None
    load_seconds: Annotated[
        float, Meta(ge=0, description="How long a request waits for its model to load.")
    ] = 60.0
    memory_budget: int | None = None
    """Bytes that the loaded models may need together; None: any number."""
    default_max_tokens: Annotated[
        int, Meta(ge=1, description="Output limit of a request that states none.")
    ] = 2048
    max_queued: Annotated[
        int, Meta(ge=1, description="Requests in flight; one more is answered 503.")
    ] = 256
    max_body_bytes: int = 4 * 1024 * 1024
    max_choices: Annotated[int, Meta(ge=1, le=128, description="The largest `n` of a request.")] = (
        128
    )
    extensions: Annotated[
        bool,
        Meta(
            description="Take top_k, min_p, repetition_penalty and reasoning_effort, which OpenAI "
            "refuses as unrecognised."
        ),
    ] = False
    api_keys: tuple[str, ...] = ()
    """Keys that clients must send; none: no key is asked for."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that the server answers to, beside localhost, `host` and plain addresses."""
    database: Annotated[
        Path | None,
        Meta(
            description="SQLite file of the completions kept with `store: true`.",
            extra={"unset": "minikin/completions.sqlite3 in the user's data folder"},
        ),
    ] = None
    drain_seconds: float = 30.0
    """How long running answers may go on after the first SIGTERM."""


def cache_folder() -> Path:
    """`MINIKIN_CACHE` if set, else `minikin` in the user's cache folder (XDG_CACHE_HOME)."""
    chosen = os.environ.get("MINIKIN_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("minikin", appauthor=False)
