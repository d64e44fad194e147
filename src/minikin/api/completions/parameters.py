"""Every parameter of a raw completion: its rule and its effect.

docs/compatibility.md and the OpenAPI document are generated from this table.
"""

from __future__ import annotations

from minikin.api.completions.prompt_rules import Prompts
from minikin.api.request import conversions
from minikin.api.request.destinations import (
    DefaultOf,
    NoEffect,
    Rejected,
    Request,
    Sampling,
)
from minikin.api.request.parameter import Parameter, ParameterTable
from minikin.api.request.parameters import of_sampling
from minikin.api.request.rules import Boolean, Integer, Nullable, Object, Property, Text
from minikin.config import MAX_CHOICES

DEFAULT_MAX_TOKENS = 16
"""The default of `max_tokens`."""
MAX_LOGPROBS = 5
MAX_BEST_OF = 20
MAX_ECHOED = 2**18
"""Log probabilities of prompts in one answer, alternatives included. They take some 30 MB."""
_STREAM_OPTIONS = Object({"include_usage": Property(Boolean())})

PARAMETERS = (
    Parameter(
        "prompt",
        Prompts(),
        (Request("prompts", tuple),),
        "required",
        "continued as it is, without a chat template: texts, which never become control tokens, or "
        "token ids, which can be any. An empty text is the start of a document. A text gets the "
        "model's start token if the model expects one",
        "the ids are those of the local model's tokenizer: see `POST /tokenize`",
    ),
    Parameter(
        "max_tokens",
        Nullable(Integer(0)),
        (Request("max_tokens"),),
        f"{DEFAULT_MAX_TOKENS}",
        "the maximum number of tokens to generate. 0 only reads the prompt",
        "a limit that does not fit the window is cut to it",
    ),
    Parameter(
        "n",
        Nullable(Integer(1, MAX_CHOICES)),
        (Request("kept"), DefaultOf("best_of")),
        "1",
        "the number of answers to each prompt",
    ),
    Parameter(
        "best_of",
        Nullable(Integer(1, MAX_BEST_OF)),
        (Request("n"),),
        "`n`",
        "makes that many answers and returns the `n` whose tokens have the highest mean log "
        "probability; the usage counts all; not with `stream`",
    ),
    Parameter(
        "echo",
        Nullable(Boolean()),
        (Request("echo"),),
        "false",
        "the prompt before each answer, with `logprobs` also their log probabilities",
        f"with `logprobs`, at most {MAX_ECHOED} log probabilities of prompts in one answer",
    ),
    Parameter(
        "logprobs",
        Nullable(Integer(0, MAX_LOGPROBS)),
        (Request("logprobs"), Sampling("top_logprobs")),
        "null",
        "log probabilities of each token, and of that many alternatives",
    ),
    Parameter("stream", Nullable(Boolean()), (Request("stream"),), "false", "server-sent events"),
    Parameter(
        "stream_options",
        Nullable(_STREAM_OPTIONS),
        (Request("include_usage", conversions.usage_wanted),),
        "null",
        "`include_usage` adds a last chunk with the usage",
    ),
    *of_sampling(
        "stop", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed",
        "logit_bias", "top_k", "min_p", "repetition_penalty",
    ),
    Parameter(
        "user",
        Nullable(Text(max_length=1024)),
        (NoEffect(),),
        "null",
        "accepted; does not change the answer",
    ),
    Parameter(
        "suffix",
        Nullable(Text()),
        (Rejected(),),
        "null",
        "rejected with `unsupported_parameter`",
    ),
)  # fmt: skip
TABLE = ParameterTable(PARAMETERS, ())
