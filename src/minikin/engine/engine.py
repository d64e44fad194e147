"""The core loop: schedule, run, sample, emit."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice, takewhile

import numpy as np
import torch

from minikin.engine.batch import make_batch
from minikin.engine.block_pool import BlockPool
from minikin.engine.mask import Mask, MaskMaker
from minikin.engine.messages import (
    ChoiceUsage,
    Event,
    FinishReason,
    GenerationRequest,
    TokenEntry,
    TokenLogprob,
)
from minikin.engine.model.decoder import Decoder
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.sampler import Logprobs, logprobs, sample
from minikin.engine.scheduler import Scheduler, Span
from minikin.engine.sequence import Sequence
from minikin.tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)

LATE_SECONDS = 0.02
"""How long a step waits for its masks; an answer whose mask is later sits the step out."""
IDLE_SECONDS = 0.01
"""How long a step without work waits for a grammar."""


class Engine:
    """Runs all requests together, a step at a time."""

    def __init__(
        self,
        decoder: Decoder,
        cache: KVCache,
        tokenizer: Tokenizer,
        *,
        context_length: int,
        max_running: int,
        prefill_chunk: int,
        masks: MaskMaker | None = None,
    ) -> None:
        self.decoder = decoder
        self.cache = cache
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.scheduler = Scheduler(
            BlockPool(cache.blocks),
            context_length=context_length,
            max_running=max_running,
            prefill_chunk=prefill_chunk,
        )
        self._masks = masks
        self._choices: dict[str, list[Sequence]] = {}
        self._preparing: dict[str, tuple[GenerationRequest, Future[Mask]]] = {}
        """Requests whose grammar is being compiled."""

    @property
    def busy(self) -> bool:
        """Whether there is anything to run."""
        return bool(self._choices or self._preparing)

    def add(self, request: GenerationRequest) -> None:
        """Queue a request. Its further choices follow when the first has computed the prompt."""
        if request.params.grammar is None:
            self._begin(request, 0, None)
        else:
            assert self._masks is not None, "this engine follows no grammars"
            self._preparing[request.id] = request, self._masks.begin(request.params.grammar)

    def cancel(self, request_id: str) -> None:
        """Drop a request, if it is still here."""
        self._preparing.pop(request_id, None)
        for sequence in self._choices.pop(request_id, ()):
            self.scheduler.remove(sequence)

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Run one step and tell what came of it."""
        events = self._begin_prepared()
        spans = self.scheduler.schedule()
        if not spans:
            wait([future for _, future in self._preparing.values()], IDLE_SECONDS, FIRST_COMPLETED)
            return events
        sampling = [span for span in spans if span.samples]
        for span in sampling:
            if span.sequence.mask:
                span.sequence.mask.prepare()  # while the model runs
        try:
            logits = self._run(spans)
            ready, rows, allowed = self._allowed(sampling, events)
            if len(ready) < len(sampling):
                logits = logits[rows]
            tokens, found = self._sample(logits, ready, allowed)
        except (RuntimeError, FloatingPointError) as error:
            log.exception("a step failed; its %d sequences end", len(spans))
            left = [span.sequence for span in spans if self._is_here(span.sequence)]
            return events + [self._fail(sequence, error) for sequence in left]
        self.scheduler.computed([span for span in spans if not span.samples] + ready)
        pairs = zip(tokens, found, strict=True)
        for span in ready:
            events += self._accept(span, list(islice(pairs, 1 + len(span.guesses))))
        return events

    def _begin_prepared(self) -> list[Event]:
        """Queue the requests whose grammar is ready; returns the ends of those that have none."""
        events = []
        ready = [(r, future) for r, future in self._preparing.values() if future.done()]
        for request, future in ready:
            del self._preparing[request.id]
            if error := future.exception():
                failed = (
                    Event(id=request.id, index=index, error=type(error).__name__)
                    for index in range(request.n)
                )
                events += failed
            else:
                self._begin(request, 0, future.result().fresh())
        return events

    def _allowed(
        self, spans: list[Span], events: list[Event]
    ) -> tuple[list[Span], list[int], list[np.ndarray | None]]:
        """The spans whose next token can be chosen now, their rows, and what each row allows.

        None allows anything. A span whose mask is late is computed again in the next step; the end
        of one that has failed goes to `events`.
        """
        until = time.monotonic() + LATE_SECONDS
        ready: list[Span] = []
        rows: list[int] = []
        allowed: list[np.ndarray | None] = []
        row = 0
        for span in spans:
            own = range(row, row + 1 + len(span.guesses))
            row = own.stop
            sequence, mask = span.sequence, None
            if sequence.mask:
                try:
                    mask = sequence.mask.allowed(max(0.0, until - time.monotonic()))
                except Exception as error:
                    log.warning("sequence %s/%d: %s", sequence.request.id, sequence.index, error)
                    events.append(self._fail(sequence, error))
                    continue
                if mask is None:
                    continue
            ready.append(span)
            rows += own
            allowed += [mask] * len(own)
        return ready, rows, allowed

    def _run(self, spans: list[Span]) -> torch.Tensor:
        batch = make_batch(spans, device=self.decoder.device)
        return self.decoder.forward(batch, self.cache)

    def _sample(
        self, logits: torch.Tensor, spans: list[Span], allowed: list[np.ndarray | None]
    ) -> tuple[list[int], list[TokenEntry | None]]:
        """A token for each sampled row, with its log-probability entry if one is wanted."""
        ahead = [i for span in spans for i in range(1 + len(span.guesses))]
        sequences = [span.sequence for span in spans for _ in range(1 + len(span.guesses))]
        found: list[TokenEntry | None] = [None] * len(sequences)
        if not sequences:
            return [], found
        wanted = [i for i, s in enumerate(sequences) if s.params.top_logprobs is not None]
        raw = logits[wanted]
        tokens = sample(logits, sequences, ahead, allowed, self.decoder.choose)
        if wanted:
            counts = [sequences[i].params.top_logprobs or 0 for i in wanted]
            rows = logprobs(raw, [tokens[i] for i in wanted], counts)
            for i, row in zip(wanted, rows, strict=True):
                found[i] = self._entry(tokens[i], row)
        return tokens, found

    def _entry(self, token: int, row: Logprobs) -> TokenEntry:
        spell = self.tokenizer.token_bytes
        top = tuple(TokenLogprob(spell(i), value) for i, value in row.top)
        return TokenEntry(spell(token), row.chosen, top)

    def _accept(self, span: Span, sampled: list[tuple[int, TokenEntry | None]]) -> Iterator[Event]:
        """Take the next token, and those after it as long as they were guessed right."""
        sequence, tokens = span.sequence, [token for token, _ in sampled]
        pairs = zip(span.guesses, tokens, strict=False)
        right = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        sequence.judge(len(span.guesses), tokens, right)
        for i, (token, entry) in enumerate(sampled[: right + 1]):
            if i < right and sequence.params.prediction:
                sequence.prediction.accepted += 1
            for event in self._advance(sequence, token, entry):
                yield event
                if event.finish_reason or event.error:
                    return
            if i < right:
                sequence.computed += 1

    def _advance(self, sequence: Sequence, token: int, entry: TokenEntry | None) -> Iterator[Event]:
        """Give `sequence` its next token, and those that its grammar forces after it."""
        if not sequence.sampled and sequence.index == 0:
            for index in range(1, sequence.request.n):
                fresh = sequence.mask.fresh() if sequence.mask else None
                self._begin(sequence.request, index, fresh)
        try:
            forced = self._forced(sequence, token)
            for at, following in enumerate([token, *forced]):
                sequence.append(following)
                event = self._emit(sequence, following, entry, last=at == len(forced))
                if event.text or event.logprobs or event.finish_reason:
                    yield event
                if event.finish_reason:
                    return
        except Exception as error:
            # Whatever is wrong with this answer must not end the others.
            log.exception("sequence %s/%d failed", sequence.request.id, sequence.index)
            yield self._fail(sequence, error)

    def _forced(self, sequence: Sequence, token: int) -> list[int]:
        """The tokens that must follow `token`: they need no forward pass of their own.

        Unless log probabilities are wanted, which only a pass can tell.
        """
        if sequence.mask is None or token in self.tokenizer.eos_ids:
            return []
        return sequence.mask.accept(token, forced=sequence.params.top_logprobs is None)

    def _emit(
        self, sequence: Sequence, token: int, entry: TokenEntry | None, *, last: bool
    ) -> Event:
        answer = sequence.answer
        ended = token in self.tokenizer.eos_ids
        text, entries = ("", ()) if ended else answer.take(token, entry)
        reason = self._finish_reason(sequence, ended=ended or answer.stopped)
        if reason is None and last and sequence.mask and sequence.mask.finished:
            reason = "stop"
        if reason is None:
            return Event(id=sequence.request.id, index=sequence.index, text=text, logprobs=entries)
        if not answer.stopped:
            rest, more = answer.finish()
            text, entries = text + rest, entries + more
            if answer.stopped:
                reason = "stop"
        self._end(sequence)
        # The end mark counts as a token, be it the model's own or a stop text.
        completion = answer.visible_tokens + 1 if reason == "stop" else sequence.sampled
        prediction = sequence.prediction
        usage = ChoiceUsage(
            # OpenAI bills what was predicted in vain, and counts it here.
            completion_tokens=completion + prediction.rejected,
            cached_tokens=sequence.cached,
            accepted_prediction_tokens=prediction.accepted,
            rejected_prediction_tokens=prediction.rejected,
        )
        return Event(
            id=sequence.request.id,
            index=sequence.index,
            text=text,
            logprobs=entries,
            finish_reason=reason,
            usage=usage,
        )

    def _finish_reason(self, sequence: Sequence, *, ended: bool) -> FinishReason | None:
        if ended:
            return "stop"
        full = len(sequence.tokens) >= self.context_length
        return "length" if full or sequence.sampled >= sequence.params.max_tokens else None

    def _begin(self, request: GenerationRequest, index: int, mask: Mask | None) -> None:
        sequence = Sequence.begin(request, index, self.tokenizer, mask)
        self._choices.setdefault(request.id, []).append(sequence)
        self.scheduler.add(sequence)

    def _is_here(self, sequence: Sequence) -> bool:
        return any(other is sequence for other in self._choices.get(sequence.request.id, ()))

    def _end(self, sequence: Sequence) -> None:
        self.scheduler.remove(sequence)
        choices = self._choices[sequence.request.id]
        choices.remove(sequence)
        if not choices:
            del self._choices[sequence.request.id]

    def _fail(self, sequence: Sequence, error: Exception) -> Event:
        self._end(sequence)
        return Event(id=sequence.request.id, index=sequence.index, error=type(error).__name__)
