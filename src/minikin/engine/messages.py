"""What crosses the engine's border, as frozen values: requests in, events out.

These travel as msgpack between the server and the engine process (`host/channel.py`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

FinishReason = Literal["stop", "length"]


GREEDY_BELOW = 1e-5
"""A smaller temperature is greedy: dividing by it would leave the range of a float."""


class Unsearched(msgspec.Struct, frozen=True):
    """A passage of an answer that is not searched for stop texts: a tool call, or reasoning."""

    begin: str
    """The text that it begins with. Empty: it begins with the answer."""
    end: str = ""
    """The text that it ends with, with the white space after it. Empty: it has no end."""


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How to choose tokens and when to end. Ranges are the caller's to check."""

    max_tokens: int
    """The most tokens to sample, 1 or more."""
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    """Sample among the fewest likeliest tokens that have this much of the probability."""
    top_k: int | None = None
    """Sample among this many likeliest tokens, 1 or more; None: all."""
    min_p: float = 0.0
    """Sample among tokens at least this probable, relative to the likeliest."""
    repetition_penalty: float = 1.0
    """Divides the positive logits of tokens in prompt and answer, multiplies the negative ones."""
    frequency_penalty: float = 0.0
    """Taken off a token's logit once for each time this answer has sampled it."""
    presence_penalty: float = 0.0
    """Taken off the logit of each token that this answer has sampled."""
    logit_bias: dict[int, float] = {}
    """Token id -> amount added to its logit; 100 forces, -100 bans."""
    seed: int | None = None
    """The same request and seed give the same text."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer; none of them is ever part of it."""
    unsearched: tuple[Unsearched, ...] = ()
    """Where the texts of `stop` do not count."""
    prediction: tuple[int, ...] = ()
    """Token ids that the answer probably has. They change its pace, never its text."""
    grammar: str | None = None
    """What every answer must match, as text for the mask maker; None: anything."""
    top_logprobs: int | None = None
    """None: no log probabilities; k: those of each token and of the k likeliest."""


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt to continue, `n` times."""

    id: str
    prompt: list[int]
    """Token ids, at least one."""
    params: SamplingParams
    n: int = 1
    scope: str = ""
    """Prompts computed before are reused only from requests of the same scope."""


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token's bytes and its log probability in the model's own distribution.

    "Own" is at temperature 1 before penalties and bias; -9999.0 for a forced token outside the
    likeliest 20.
    """

    token: bytes
    logprob: float


class TokenEntry(msgspec.Struct, frozen=True):
    """One sampled token with its likeliest alternatives, in descending order."""

    token: bytes
    logprob: float
    top: tuple[TokenLogprob, ...]


class ChoiceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one finished choice."""

    completion_tokens: int
    cached_tokens: int = 0
    """Prompt tokens that needed no computing."""
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """News of one choice: text that is now certain, and maybe its end.

    The concatenated `text` of a choice's events is its answer: whole characters only, no stop
    text. `logprobs` holds the entries of the tokens that `text` completes, and nothing if the
    request asked for none. The last event of a choice has a `finish_reason` and its `usage`.
    """

    id: str
    index: int
    text: str = ""
    token_ends: tuple[int, ...] = ()
    """For each token that `text` completes, where in `text` it ends. All tokens of the answer are
    in one of its events, but for an end mark."""
    logprobs: tuple[TokenEntry, ...] = ()
    finish_reason: FinishReason | None = None
    usage: ChoiceUsage | None = None
    error: str | None = None
    """The choice ends here because the engine failed at it, for this reason."""

    @property
    def ends(self) -> bool:
        """Whether this is the choice's last event."""
        return self.finish_reason is not None or self.error is not None


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the server needs to know of the model that the engine has loaded."""

    context_length: int
    """Tokens of prompt and answer together."""
    vocab_size: int
    fingerprint: str
    """`fp_` and ten hex digits: a digest of weights and engine version."""
