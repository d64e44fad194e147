"""Turns sampled tokens into events: accepted tokens, their text, and the end of an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from collections.abc import Sequence as Run
from itertools import takewhile

from minikin.engine.answer_text import Shown
from minikin.engine.messages import ChoiceUsage, Event, FinishReason, GenerationRequest, TokenEntry
from minikin.engine.sampler import Sampled
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span
from minikin.tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)


def scored(sequence: Sequence) -> Iterator[Event]:
    """The event with the log probabilities of the prompt since the last one, if there are any."""
    if sequence.scores and (entries := sequence.scores.take()):
        yield Event(id=sequence.request.id, index=sequence.index, prompt_logprobs=entries)


def failure(sequence: Sequence, error: BaseException) -> Event:
    """The event that ends a choice after an engine error."""
    return Event(id=sequence.request.id, index=sequence.index, error=type(error).__name__)


def failures(request: GenerationRequest, error: BaseException) -> list[Event]:
    """The end events of all choices of a request that could not start."""
    name = type(error).__name__
    return [Event(id=request.id, index=index, error=name) for index in range(request.n)]


class Emission:
    """Adds tokens to sequences and returns the events. The engine frees the sequences."""

    def __init__(self, tokenizer: Tokenizer, context_length: int) -> None:
        self._eos_ids = tokenizer.eos_ids
        self._context_length = context_length

    def accept(self, span: Span, sampled: Run[Sampled]) -> Iterator[Event]:
        """Accept the next token, and the following ones while the guesses are correct.

        An event with `ends` is the last one.
        """
        sequence, tokens = span.sequence, [token for token, _ in sampled]
        if not sequence.params.max_tokens:
            yield _event(sequence, Shown(""), "length", _usage(sequence, "length"))
            return
        pairs = zip(span.guesses, tokens, strict=False)
        right = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        sequence.judge(len(span.guesses), tokens, right)
        for i, (token, entry) in enumerate(sampled[: right + 1]):
            if i < right and sequence.params.prediction:
                sequence.prediction.accepted += 1
            for event in self._advance(sequence, token, entry):
                yield event
                if event.ends:
                    return
            if i < right and span.stretches:
                sequence.proven += 1
            elif i < right:
                sequence.computed += 1

    def _advance(self, sequence: Sequence, token: int, entry: TokenEntry | None) -> Iterator[Event]:
        """Add the next token to `sequence`, and those that its grammar forces after it."""
        try:
            forced = self._forced(sequence, token)
            for at, following in enumerate([token, *forced]):
                sequence.append(following)
                event = self._emit(sequence, following, entry, last=at == len(forced))
                if event.text or event.token_ends or event.finish_reason:
                    sequence.told = sequence.sampled
                    yield event
                if event.finish_reason:
                    return
        except Exception as error:
            # An error in this answer must not end the others.
            log.exception("Sequence %s/%d failed", sequence.request.id, sequence.index)
            yield failure(sequence, error)

    def _forced(self, sequence: Sequence, token: int) -> list[int]:
        """The tokens that must follow `token`. They need no forward pass of their own.

        Empty if the request wants log probabilities, because only a pass computes them.
        """
        if sequence.mask is None or token in self._eos_ids:
            return []
        return sequence.mask.accept(token, forced=sequence.params.top_logprobs is None)

    def _emit(
        self, sequence: Sequence, token: int, entry: TokenEntry | None, *, last: bool
    ) -> Event:
        answer = sequence.answer
        ended = token in self._eos_ids
        shown = Shown("") if ended else answer.take(token, entry)
        reason = self._finish_reason(sequence, ended=ended or answer.stopped)
        if reason is None and last and sequence.mask and sequence.mask.finished:
            reason = "stop"
        if reason is None:
            return _event(sequence, shown)
        if not answer.stopped:
            shown = shown.then(answer.finish())
            if answer.stopped:
                reason = "stop"
        return _event(sequence, shown, reason, _usage(sequence, reason))

    def _finish_reason(self, sequence: Sequence, *, ended: bool) -> FinishReason | None:
        if ended:
            return "stop"
        full = len(sequence.tokens) >= self._context_length
        return "length" if full or sequence.sampled >= sequence.params.max_tokens else None


def _event(
    sequence: Sequence,
    shown: Shown,
    finish_reason: FinishReason | None = None,
    usage: ChoiceUsage | None = None,
) -> Event:
    return Event(
        id=sequence.request.id,
        index=sequence.index,
        text=shown.text,
        token_ends=shown.token_ends,
        logprobs=shown.entries,
        tokens=tuple(sequence.tokens[len(sequence.request.prompt) + sequence.told :]),
        held=sequence.answer.held,
        cached=0 if sequence.told else sequence.cached,
        prediction=sequence.prediction.state if sequence.params.prediction else None,
        finish_reason=finish_reason,
        usage=usage,
    )


def _usage(sequence: Sequence, reason: FinishReason) -> ChoiceUsage:
    # The end counts as one token: the model's end token or a stop sequence.
    completion = sequence.answer.visible_tokens + 1 if reason == "stop" else sequence.sampled
    prediction = sequence.prediction
    return ChoiceUsage(
        # OpenAI bills rejected prediction tokens, and counts them here.
        completion_tokens=completion + prediction.rejected,
        cached_tokens=sequence.cached,
        restored_tokens=sequence.restored,
        accepted_prediction_tokens=prediction.accepted,
        rejected_prediction_tokens=prediction.rejected,
    )
