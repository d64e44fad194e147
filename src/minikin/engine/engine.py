"""The core loop: schedule, run, sample, emit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice, takewhile

import torch

from minikin.engine.batch import make_batch
from minikin.engine.block_pool import BlockPool
from minikin.engine.decoder import Decoder
from minikin.engine.kv_cache import KVCache
from minikin.engine.messages import (
    ChoiceUsage,
    Event,
    FinishReason,
    GenerationRequest,
    TokenEntry,
    TokenLogprob,
)
from minikin.engine.sampler import Logprobs, logprobs, sample
from minikin.engine.scheduler import Scheduler, Span
from minikin.engine.sequence import Sequence
from minikin.engine.tokenizer import Tokenizer

log = logging.getLogger(__name__)


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
        self._choices: dict[str, list[Sequence]] = {}

    @property
    def busy(self) -> bool:
        """Whether there is anything to run."""
        return bool(self._choices)

    def add(self, request: GenerationRequest) -> None:
        """Queue a request. Its further choices follow when the first has computed the prompt."""
        self._begin(request, 0)

    def cancel(self, request_id: str) -> None:
        """Drop a request, if it is still here."""
        for sequence in self._choices.pop(request_id, ()):
            self.scheduler.remove(sequence)

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Run one step and tell what came of it."""
        spans = self.scheduler.schedule()
        try:
            logits = self._run(spans)
            sampling = [span for span in spans if span.samples]
            tokens, found = self._sample(logits, sampling)
        except (RuntimeError, FloatingPointError) as error:
            log.exception("a step failed; its %d sequences end", len(spans))
            return [self._fail(span.sequence, error) for span in spans]
        self.scheduler.computed(spans)
        pairs = zip(tokens, found, strict=True)
        return [
            event
            for span in sampling
            for event in self._accept(span, list(islice(pairs, 1 + len(span.guesses))))
        ]

    def _run(self, spans: list[Span]) -> torch.Tensor:
        batch = make_batch(spans, device=self.decoder.device)
        return self.decoder.forward(batch, self.cache)

    def _sample(
        self, logits: torch.Tensor, spans: list[Span]
    ) -> tuple[list[int], list[TokenEntry | None]]:
        """A token for each sampled row, with its log-probability entry if one is wanted."""
        ahead = [i for span in spans for i in range(1 + len(span.guesses))]
        sequences = [span.sequence for span in spans for _ in range(1 + len(span.guesses))]
        found: list[TokenEntry | None] = [None] * len(sequences)
        if not sequences:
            return [], found
        wanted = [i for i, s in enumerate(sequences) if s.params.top_logprobs is not None]
        raw = logits[wanted]
        tokens = sample(logits, sequences, ahead)
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
        before = tokens[right - 1] if right else sequence.tokens[-1]
        sequence.prediction.judge(len(span.guesses), right, before, tokens[right])
        for i, (token, entry) in enumerate(sampled[: right + 1]):
            if i < right:
                sequence.prediction.accepted += 1
            for event in self._advance(sequence, token, entry):
                yield event
                if event.finish_reason or event.error:
                    return
            if i < right:
                sequence.computed += 1

    def _advance(self, sequence: Sequence, token: int, entry: TokenEntry | None) -> Iterator[Event]:
        """Give `sequence` its next token."""
        sequence.append(token)
        if sequence.sampled == 1 and sequence.index == 0:
            for index in range(1, sequence.request.n):
                self._begin(sequence.request, index)
        try:
            event = self._emit(sequence, token, entry)
        except Exception as error:
            # Whatever is wrong with this answer must not end the others.
            log.exception("sequence %s/%d failed", sequence.request.id, sequence.index)
            event = self._fail(sequence, error)
        if event.text or event.logprobs or event.finish_reason or event.error:
            yield event

    def _emit(self, sequence: Sequence, token: int, entry: TokenEntry | None) -> Event:
        answer = sequence.answer
        ended = token in self.tokenizer.eos_ids
        text, entries = ("", ()) if ended else answer.take(token, entry)
        reason = self._finish_reason(sequence, ended=ended or answer.stopped)
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

    def _begin(self, request: GenerationRequest, index: int) -> None:
        sequence = Sequence.begin(request, index, self.tokenizer)
        self._choices.setdefault(request.id, []).append(sequence)
        self.scheduler.add(sequence)

    def _end(self, sequence: Sequence) -> None:
        self.scheduler.remove(sequence)
        choices = self._choices[sequence.request.id]
        choices.remove(sequence)
        if not choices:
            del self._choices[sequence.request.id]

    def _fail(self, sequence: Sequence, error: Exception) -> Event:
        self._end(sequence)
        return Event(id=sequence.request.id, index=sequence.index, error=type(error).__name__)
