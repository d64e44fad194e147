"""The settings of one server, frozen after they are read.

A setting with a description is an option of `minikin serve`, whose help shows the text. A setting
that can be None has its bound and the meaning of None in `extra`, because Meta bounds only numbers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import platformdirs
from msgspec import Meta

from minikin.logs import Format, Level

ORIGINAL = "gpt-4.1-mini"
"""The name of OpenAI's model in most clients."""
SNAPSHOT = "gpt-4.1-mini-2025-04-14"
"""Its dated name, which OpenAI's answers contain."""
MOST_TOKENS = 65_536
"""The default size of the cache."""
CACHE_SHARE = 0.25
"""The share of memory that a cache of this size may take."""
MAX_CHOICES = 128
"""OpenAI's maximum of `n`."""
MAX_TEMPERATURE = 2
"""OpenAI's maximum of `temperature`."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that the engine process needs to load and run one model."""

    model: Path
    """The file or folder of a model."""
    context_length: Annotated[
        int | None,
        Meta(
            description="Maximum tokens of a prompt and its answer together.",
            extra={"min": 1, "unset": "the model's limit"},
        ),
    ] = None
    kv_cache_tokens: Annotated[
        int | None,
        Meta(
            description="Maximum tokens of all requests together in memory.",
            extra={
                "min": 1,
                "unset": f"{MOST_TOKENS:,}, or as many as fit {CACHE_SHARE:.0%} of memory",
            },
        ),
    ] = None
    max_running: Annotated[
        int, Meta(ge=1, description="Maximum number of answers that are computed at the same time.")
    ] = 64
    prefill_chunk: int = 512
    """Maximum prompt tokens in one step, so that running streams never wait long."""
    threads: Annotated[
        int | None, Meta(description="CPU threads.", extra={"min": 1, "unset": "one per core"})
    ] = None
    cut_at_limit: Annotated[
        bool,
        Meta(
            description="Cut off JSON and tool calls at max_tokens, as OpenAI does. Without it, "
            "they end in a valid form, and strings that only repeat themselves are closed."
        ),
    ] = False
    packed_cache: Annotated[
        int,
        Meta(
            ge=0,
            description="Maximum size on disk, in GB, of weights as the CPU reads them. A model "
            "that is there is ready sooner, and its engines share memory. 0: keep none.",
            extra={"metavar": "GB"},
        ),
    ] = 20
    prefix_store: Annotated[
        Path | None,
        Meta(
            description="Private folder for the keys and values of long prompts, so that a "
            "restarted server does not compute them again.",
            extra={"unset": "none", "metavar": "FOLDER", "folder": True},
        ),
    ] = None
    prefix_store_size: Annotated[
        int,
        Meta(ge=1, description="Maximum size of that folder, in GB.", extra={"metavar": "GB"}),
    ] = 10
    device: Annotated[
        str,
        Meta(description="Device that computes: cpu, cuda, cuda:1.", extra={"metavar": "DEVICE"}),
    ] = "cpu"


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a server."""

    id: str
    engine: EngineSettings
    aliases: tuple[str, ...] = ()
    """Other names of the model."""
    memory: int = 0
    """Estimated bytes that the model needs."""
    known_sampling: dict[str, float] = {}
    """The recommended defaults of a known model, by the names of SamplingParams."""
    note: str = ""
    """What the user should know about the model when it is ready."""
    sampling: Annotated[
        Literal["model", "openai"],
        Meta(
            description="Where the defaults of temperature, top_p and other sampling parameters "
            "come from: the model, or OpenAI."
        ),
    ] = "model"
    hide_format: Annotated[
        bool,
        Meta(description="Do not describe the schema of response_format to the model."),
    ] = False

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the model; `id` is the first."""
        return (self.id, *self.aliases)


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the HTTP process."""

    models: tuple[ModelSettings, ...]
    """At least one; the first is loaded at start."""
    host: Annotated[
        str,
        Meta(
            description="Address to listen on. 0.0.0.0 accepts other machines.",
            extra={"metavar": "ADDRESS"},
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port to listen on.")] = 8000
    tls_certificate: Annotated[
        Path | None,
        Meta(
            description="PEM file with the certificate of the server and those that sign it. With "
            "it, the server speaks HTTPS.",
            extra={"unset": "plain HTTP"},
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Meta(
            description="PEM file with the private key of the certificate.",
            extra={"unset": "in the file of the certificate"},
        ),
    ] = None
    unload_after: Annotated[
        float | None,
        Meta(
            description="Unload a model after this time without a request.",
            extra={"min": 1, "unset": "never"},
        ),
    ] = None
    load_seconds: Annotated[
        float, Meta(ge=0, description="Maximum time that a request waits for its model to load.")
    ] = 60.0
    memory_budget: int | None = None
    """Maximum bytes that all loaded models need together. None: no limit."""
    default_max_tokens: Annotated[
        int, Meta(ge=1, description="Output limit of a request that sets none.")
    ] = 2048
    max_queued: Annotated[
        int, Meta(ge=1, description="Maximum requests in flight. Further requests get status 503.")
    ] = 256
    max_queued_tokens: Annotated[
        int,
        Meta(
            ge=1,
            description="Maximum prompt tokens of all requests together that wait for their first "
            "token. Further requests get status 503.",
        ),
    ] = 1_048_576
    queue_timeout: Annotated[
        float | None,
        Meta(
            description="Requests that would wait longer for their first token, as measured from "
            "earlier ones, get status 503 at once.",
            extra={"min": 1},
        ),
    ] = 60.0
    first_token_timeout: Annotated[
        float | None,
        Meta(
            description="Maximum time until the first token of an answer. After it: status 503.",
            extra={"min": 1, "unset": "no limit"},
        ),
    ] = None
    request_timeout: Annotated[
        float | None,
        Meta(
            description="Maximum time until the last token of an answer. After it: status 504, or "
            "an error in the stream.",
            extra={"min": 1, "unset": "no limit"},
        ),
    ] = None
    max_body_bytes: int = 4 * 1024 * 1024
    max_choices: Annotated[
        int, Meta(ge=1, le=MAX_CHOICES, description="Maximum `n` of a request.")
    ] = MAX_CHOICES
    extensions: Annotated[
        bool,
        Meta(
            description="Accept top_k, min_p, repetition_penalty and reasoning_effort, which "
            "OpenAI rejects as unrecognised, and raw completions (POST /v1/completions)."
        ),
    ] = False
    api_keys: tuple[str, ...] = ()
    """API keys that clients can use, beside those of `api_key_file`."""
    api_key_file: Path | None = None
    """A file with API keys. Without it and without `api_keys`: no authentication."""
    admin_keys: tuple[str, ...] = ()
    """Keys of the operator, for the metrics and the dashboard too."""
    public_catalog: Annotated[
        bool,
        Meta(
            description="Clients without a key can read the catalog, with your records and the "
            "evidence of your probes. Everything else needs a key as before."
        ),
    ] = False
    allowed_origins: tuple[str, ...] = ()
    """Origins whose web pages can use the server. `*`: every web page."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that clients use, beside localhost, `host` and IP addresses."""
    database: Annotated[
        str | None,
        Meta(
            description="SQLite file, or the postgresql:// URL of a server, for everything that "
            "requests store.",
            extra={
                "unset": "minikin/completions.sqlite3 in the user's data folder",
                "metavar": "FILE|URL",
            },
        ),
    ] = None
    files: Annotated[
        str | None,
        Meta(
            description="Folder for the contents of files, or a location of fsspec such as "
            "s3://bucket/folder.",
            extra={"unset": "a folder beside the SQLite file", "metavar": "FOLDER|URL"},
        ),
    ] = None
    log_level: Annotated[
        Level,
        Meta(
            description="Minimum level of log messages: debug, info, warning or error. The access "
            "log has one line per request at every level. --no-access-log turns it off."
        ),
    ] = "info"
    log_format: Annotated[
        Format, Meta(description="Lines of text, or a JSON object on each line.")
    ] = "text"
    access_log: Annotated[
        bool, Meta(description="Log one line per request.", extra={"hidden": True})
    ] = True
    """The help names its option at `log_level`: a pair of switches takes a column of its own."""
    drain_seconds: float = 30.0
    """Maximum time that running answers continue after the first SIGTERM."""

    @property
    def needs_key(self) -> bool:
        """Whether requests need an API key."""
        return bool(self.api_keys) or self.api_key_file is not None


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many processes of a cluster there are, and where."""

    replicas: Annotated[
        int,
        Meta(
            ge=0,
            description="Engines of each model. Each machine should have one. 0: none without "
            "requests, see --max-replicas.",
        ),
    ] = 2
    max_replicas: Annotated[
        int | None,
        Meta(
            description="Start more engines of a model, up to this number, while each has more "
            "requests than it computes at the same time. Stop them after 10 minutes without need.",
            extra={"min": 1, "unset": "as many as --replicas"},
        ),
    ] = None
    edges: Annotated[int, Meta(ge=1, description="Processes that speak HTTP.")] = 1
    address: Annotated[
        str | None,
        Meta(
            description="The running Ray cluster to deploy to, such as auto or 10.0.0.1:6379. If "
            "it runs a Minikin already, this one replaces it without a pause.",
            extra={"unset": "a new one on this machine", "metavar": "ADDRESS"},
        ),
    ] = None

    @property
    def most_replicas(self) -> int:
        """The most engines of each model."""
        return self.replicas if self.max_replicas is None else self.max_replicas


def cache_folder() -> Path:
    """`MINIKIN_CACHE` if set, else `minikin` in the user's cache folder (XDG_CACHE_HOME)."""
    chosen = os.environ.get("MINIKIN_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("minikin", appauthor=False)
