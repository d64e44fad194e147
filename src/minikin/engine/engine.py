"""The core loop: schedule, run, sample, emit."""

from __future__ import annotations

import logging
from typing import NamedTuple

from minikin.engine.apart import forward_apart
from minikin.engine.batch import make_batch
from minikin.engine.block_pool import BlockPool
from minikin.engine.constraints import Constraints, Ready
from minikin.engine.emission import Emission, failure, failures, scored
from minikin.engine.flights import Flights
from minikin.engine.mask import Mask, MaskMaker
from minikin.engine.messages import EngineStats, Event, GenerationRequest
from minikin.engine.model.decoder import Cache, Decoder, Logits
from minikin.engine.prefix_store import PrefixStore
from minikin.engine.renewal import Renewals
from minikin.engine.sampler import Sampled, sample_spans
from minikin.engine.scheduler import Scheduler
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span
from minikin.engine.states import States
from minikin.tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)


class Computed(NamedTuple):
    """What a step found out."""

    prompts: list[Span]
    """Spans of prompts, without a next token."""
    ready: Ready
    sampled: list[list[Sampled]]
    """For each ready span."""


class Engine:
    """Runs all requests together, a step at a time."""

    def __init__(
        self,
        decoder: Decoder,
        cache: Cache,
        tokenizer: Tokenizer,
        *,
        context_length: int,
        max_running: int,
        prefill_chunk: int,
        masks: MaskMaker | None = None,
        cut_at_limit: bool = False,
        store: PrefixStore | None = None,
    ) -> None:
        self.decoder = decoder
        self.cache = cache
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.scheduler = Scheduler(
            BlockPool(cache.blocks),
            States(cache.rooms),
            context_length=context_length,
            max_running=max_running,
            prefill_chunk=prefill_chunk,
            apart=not decoder.native,
            store=store,
        )
        self._flights = Flights(decoder.launcher, self.scheduler, cache)
        self._renewals = Renewals()
        self._constraints = Constraints(masks, None if cut_at_limit else context_length)
        self._emission = Emission(tokenizer, context_length)
        self._choices: dict[str, list[Sequence]] = {}
        self._failures: list[Event] = []
        """The end events of requests that could not begin, for the next step."""

    @property
    def busy(self) -> bool:
        """Whether there is work."""
        return bool(self._choices or self._failures) or self._constraints.compiling > 0

    @property
    def stats(self) -> EngineStats:
        """What the engine does now."""
        scheduler, pool = self.scheduler, self.scheduler.pool
        return EngineStats(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting) + self._constraints.compiling,
            cache_used=1 - pool.available / pool.size,
        )

    def add(self, request: GenerationRequest) -> None:
        """Queue a request. Its other choices start after the first one computed the prompt."""
        if request.params.grammar is None:
            self._failures += self._begin(request, None)
        else:
            self._constraints.begin(request, request.params.grammar)

    def cancel(self, request_id: str) -> None:
        """Remove a request, if it is still here."""
        self._constraints.cancel(request_id)
        for sequence in self._choices.pop(request_id, ()):
            self.scheduler.remove(sequence)

    def finish(self, seconds: float) -> None:
        """Store prompts that wait for it, for up to this time. The engine does nothing after it."""
        if self.scheduler.store:
            self.scheduler.store.finish(seconds)

    def check_integrity(self) -> None:
        """Raise CacheFault if the records of the cache are wrong. Call it when idle."""
        self.scheduler.check_integrity()

    def renew(self) -> bool:
        """Compute a block of a finished answer again as a prompt. Call it when idle.

        Returns whether there was one.
        """
        pool, states = self.scheduler.pool, self.scheduler.states
        span = self._renewals.begin(pool, states)
        if span is None:
            return False
        try:
            self._run([span])
            self.scheduler.computed([span])
            self._renewals.add(span.sequence)
        except (RuntimeError, FloatingPointError):
            log.exception("A finished answer cannot be computed as a prompt")
        finally:
            self._renewals.end(pool, states, span.sequence)
        return True

    def step(self) -> list[Event]:
        """Run one step, or start it if a device computes it alone. Returns events of one step."""
        events = self._begin_compiled()
        if self._flights.aloft:
            return events + self._land()
        spans = self.scheduler.schedule()
        if not spans:
            self._constraints.wait()
            return events
        if self._flights.begin(spans):
            return events
        try:
            computed = [self._compute(spans)]
        except Exception:
            log.exception("A step failed. Its %d sequences run one by one", len(spans))
            computed = [self._compute_alone(span) for span in spans]
        for each in computed:
            events += [self._fail(sequence, error) for sequence, error in each.ready.failed]
            spans = each.prompts + each.ready.spans
            self.scheduler.computed(spans)
            events += [event for span in spans for event in scored(span.sequence)]
            for span, tokens in zip(each.ready.spans, each.sampled, strict=True):
                events += self._emit(span, tokens)
        return events

    def _land(self) -> list[Event]:
        """Wait for the step that a device computes. Returns its events."""
        spans, tokens = self._flights.land()
        self.scheduler.computed(spans)
        pairs = zip(spans, tokens, strict=True)
        return [
            event for span, token in pairs for event in self._emit(span, [Sampled(token, None)])
        ]

    def _compute(self, spans: list[Span]) -> Computed:
        """The next tokens of these sequences. They change nothing yet, so this can be repeated."""
        sampling = [span for span in spans if span.samples]
        self._constraints.prepare(sampling)
        logits = self._run(spans)
        ready = self._constraints.allowed(sampling)
        if len(ready.spans) < len(sampling):
            logits = logits[ready.rows]
        sampled = self._sample(logits, ready)
        return Computed([span for span in spans if not span.samples], ready, sampled)

    def _compute_alone(self, span: Span) -> Computed:
        """The same for one sequence. If it fails, only this sequence ends."""
        try:
            return self._compute([span])
        except Exception as error:
            return Computed([], Ready(failed=[(span.sequence, error)]), [])

    def _begin_compiled(self) -> list[Event]:
        """Queue the requests with a compiled grammar. Returns the end events of failed ones."""
        events, self._failures = self._failures, []
        for request, mask in self._constraints.compiled():
            if isinstance(mask, BaseException):
                events += failures(request, mask)
            else:
                events += self._begin(request, mask)
        return events

    def _begin(self, request: GenerationRequest, mask: Mask | None) -> list[Event]:
        """Queue the first choice, or all that another engine began. See `_begun`."""
        if not request.resumed:
            return self._begun(request, 0, mask)
        left = [index for index, begun in enumerate(request.resumed) if not begun.ended]
        return [event for index in left for event in self._begun(request, index, mask)]

    def _begun(self, request: GenerationRequest, index: int, mask: Mask | None) -> list[Event]:
        """Queue a choice in a grammar. Returns end events if it cannot begin: of all if it is the
        first, which the others wait for."""
        try:
            fresh = mask.fresh() if mask else None
            sequence = Sequence.begin(request, index, self.tokenizer, fresh)
        except Exception as error:
            log.exception("Request %s cannot begin", request.id)
            ended = failures(request, error)
            return ended[index : index + 1] if index else ended
        self._choices.setdefault(request.id, []).append(sequence)
        self.scheduler.add(sequence)
        return []

    def _run(self, spans: list[Span]) -> Logits:
        if self.scheduler.apart:
            return forward_apart(spans, self._forward, self.decoder.chooser.join)
        return self._forward(spans)

    def _forward(self, spans: list[Span]) -> Logits:
        batch = make_batch(spans)
        hidden = self.decoder.hidden(batch, self.cache)
        for span, (start, stop) in zip(spans, batch.spans, strict=True):
            if span.sequence.scores:
                rows, spell = hidden[start:stop], self.tokenizer.token_bytes
                span.sequence.scores.add(span.start, rows, self.decoder, spell)
        return self.decoder.logits(hidden[batch.sampled_rows], batch.few_sampled)

    def _sample(self, logits: Logits, ready: Ready) -> list[list[Sampled]]:
        chooser, spell = self.decoder.chooser, self.tokenizer.token_bytes
        steer = self._constraints.steer
        return sample_spans(logits, ready.spans, ready.allowed, chooser, spell, steer)

    def _emit(self, span: Span, sampled: list[Sampled]) -> list[Event]:
        sequence, request = span.sequence, span.sequence.request
        events: list[Event] = []
        if not sequence.sampled and sequence.index == 0 and not request.resumed:
            for index in range(1, request.n):
                events += self._begun(request, index, sequence.mask)
        events += self._emission.accept(span, sampled)
        if events and events[-1].ends:
            self._end(sequence)
            if sequence.repeatable and not request.gives_way:
                self._renewals.add(sequence)
        return events

    def _fail(self, sequence: Sequence, error: Exception) -> Event:
        self._end(sequence)
        return failure(sequence, error)

    def _end(self, sequence: Sequence) -> None:
        self.scheduler.remove(sequence)
        choices = self._choices[sequence.request.id]
        choices.remove(sequence)
        if not choices:
            del self._choices[sequence.request.id]
