"""The messages of the engine as frozen values: requests in, events out.

They are sent as msgpack between the server and the engine process (`host/channel.py`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

FinishReason = Literal["stop", "length"]


GREEDY_BELOW = 1e-5
"""A smaller temperature is greedy, because a division by it exceeds the range of a float."""


class Unsearched(msgspec.Struct, frozen=True):
    """A part of an answer that is not searched for stop sequences: a tool call, or reasoning."""

    begin: str
    """The text at its start. Empty: it starts with the answer."""
    end: str = ""
    """The text at its end, with white space after it. Empty: it has no end."""


class Opening(msgspec.Struct, frozen=True):
    """A text at the start of an answer, such as that of a tool call, which becomes more likely."""

    tokens: tuple[int, ...] = ()
    bias: float = 0.0
    """Added to the logit of each token of the text, while the answer is a part of it."""


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How to choose tokens and when to end. The caller checks the ranges."""

    max_tokens: int
    """Maximum tokens to sample. 0: only the prompt is computed."""
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    """Sample from the fewest most likely tokens with this total probability."""
    top_k: int | None = None
    """Sample from this many most likely tokens, 1 or more. None: all."""
    min_p: float = 0.0
    """Sample from tokens with at least this probability, relative to the most likely one."""
    repetition_penalty: float = 1.0
    """Divides positive logits and multiplies negative logits of tokens in prompt and answer."""
    frequency_penalty: float = 0.0
    """Subtracted from a token's logit once for each time that this answer sampled it."""
    presence_penalty: float = 0.0
    """Subtracted from the logit of each token that this answer sampled."""
    logit_bias: dict[int, float] = {}
    """Token id -> value added to its logit. 100 forces the token, -100 bans it."""
    opening: Opening = Opening()
    """A text that answers rarely begin with, but should more often."""
    seed: int | None = None
    """The same request and seed give the same text."""
    stop: tuple[str, ...] = ()
    """Stop sequences. They end the answer and are never part of it."""
    unsearched: tuple[Unsearched, ...] = ()
    """Where `stop` has no effect."""
    prediction: tuple[int, ...] = ()
    """Token ids that the answer probably has. They change the speed, never the text."""
    grammar: str | None = None
    """The grammar of every answer, as text for the mask maker. None: free answers."""
    top_logprobs: int | None = None
    """None: no log probabilities. k: those of each token and of the k most likely ones."""
    prompt_logprobs: int | None = None
    """The same for the tokens of the prompt, except the first. They are never hidden."""


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token's bytes and its log probability in the model's own distribution.

    This is the distribution at temperature 1 before penalties and bias. -9999.0 means a forced
    token that is not among the 20 most likely ones.
    """

    token: bytes
    logprob: float


class TokenEntry(msgspec.Struct, frozen=True):
    """One token with its most likely alternatives, in descending order."""

    token: bytes
    logprob: float
    top: tuple[TokenLogprob, ...]


class PredictionState(msgspec.Struct, frozen=True, array_like=True):
    """How far an answer has followed the client's prediction of it. See `prediction.py`."""

    place: int | None
    """The index of the next predicted token. None: the answer is elsewhere."""
    window: int
    """How many tokens the next step may offer."""
    accepted: int = 0
    """Accepted tokens in the answer."""
    rejected: int = 0
    """Offered tokens that were wrong."""


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """A choice that an engine began before it was lost. The next engine continues it."""

    tokens: tuple[int, ...] = ()
    """The sampled tokens, as far as events had them."""
    held: tuple[TokenEntry, ...] = ()
    """See Event.held, of the last event."""
    scored: int = 0
    """How many log probabilities of the prompt the events had."""
    prediction: PredictionState | None = None
    """See Event.prediction, of the last event."""
    cached: int = 0
    """See Event.cached."""
    ended: bool = False
    """Whether it had ended, so that nothing is left to do."""


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt to continue, `n` times."""

    id: str
    prompt: list[int]
    """Token ids, at least one."""
    params: SamplingParams
    n: int = 1
    scope: str = ""
    """Earlier prompts are reused only from requests with the same scope."""
    gives_way: bool = False
    """It gives way: it runs only in steps without any other request."""
    resumed: tuple[Resumed, ...] = ()
    """One for each choice, if another engine began them. Empty: nothing is done yet."""
    session: str = ""
    """The same for requests that begin alike, so that the same engine should run them."""


class ChoiceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one finished choice."""

    completion_tokens: int
    cached_tokens: int = 0
    """Prompt tokens from the cache."""
    restored_tokens: int = 0
    """Those of them that came from the prefix store."""
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event of one choice: new final text, and possibly the end.

    The concatenated `text` of a choice's events is its answer: complete characters without a stop
    sequence. `logprobs` has the entries of the tokens that `text` completes. It is empty if the
    request wants none. The last event of a choice has a `finish_reason` and the `usage`.

    Events with `prompt_logprobs` have nothing else. They come first, and only for choice 0.
    """

    id: str
    index: int
    text: str = ""
    token_ends: tuple[int, ...] = ()
    """For each token that `text` completes, its end in `text`. All tokens of the answer are in one
    of its events, except an end token."""
    logprobs: tuple[TokenEntry, ...] = ()
    prompt_logprobs: tuple[TokenEntry, ...] = ()
    """The entries of the next tokens of the prompt, from the second token on."""
    tokens: tuple[int, ...] = ()
    """The tokens that were sampled since the last event, shown or not: what another engine needs to
    continue after this event."""
    held: tuple[TokenEntry, ...] = ()
    """The entries of tokens whose text is not complete yet. Empty without log probabilities."""
    cached: int = 0
    """Prompt tokens from the cache, in the first event."""
    prediction: PredictionState | None = None
    """How far the answer has followed the prediction, if the request has one."""
    finish_reason: FinishReason | None = None
    usage: ChoiceUsage | None = None
    error: str | None = None
    """The reason of an engine error that ends the choice."""

    @property
    def ends(self) -> bool:
        """Whether this is the choice's last event."""
        return self.finish_reason is not None or self.error is not None


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine does at one moment."""

    running: int = 0
    """Choices that are computed now."""
    waiting: int = 0
    """Choices that wait for a place, for a prefix or for their grammar."""
    cache_used: float = 0.0
    """The part of the KV cache that running choices use, from 0 to 1."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of the loaded model for the server."""

    context_length: int
    """Tokens of prompt and answer together."""
    vocab_size: int
    fingerprint: str
    """`fp_` and ten hex digits: a digest of weights and engine version."""
