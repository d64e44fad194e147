"""What Prometheus reads: counts and times of answers, and the state of the engines.

Names that mean the same as vLLM's are vLLM's, prefix included: gateways that choose a server by its
load, and dashboards for vLLM, read these names. Names of our own begin with `minikin_`. The labels
have few values: the names of the server's models, the reasons why answers end, and HTTP statuses.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from minikin.api.serving.model_pool import ModelPool
from minikin.engine.messages import ChoiceUsage, EngineStats, Event, GenerationRequest
from minikin.memory import bytes_of

METRICS_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The media type of `Metrics.text`."""

_MODEL = ("model_name",)
_FIRST = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
          80.0, 160.0, 640.0)  # fmt: skip
_NEXT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0,
         2.5, 5.0, 10.0, 20.0, 40.0, 80.0)  # fmt: skip
_WHOLE = (0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0,
          120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0)  # fmt: skip
"""Upper limits in seconds: those of vLLM, with smaller ones for small models."""
_LAG = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0,
        5.0, 10.0)  # fmt: skip

disable_created_metrics()  # a second line for each counter, with the time of its first increment


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self, models: ModelPool, in_flight: Callable[[], int]) -> None:
        own = self._registry = CollectorRegistry()
        self.running: dict[str, Progress] = {}
        """The requests that an engine has, by id, in the order of their start."""
        own.register(_State(models, in_flight))
        self._errors = Counter("minikin_errors", "Answers with a status of 400 or more.",
                               ("status",), registry=own)  # fmt: skip
        self._prompt = Counter("vllm:prompt_tokens", "Tokens of prompts.", _MODEL, registry=own)
        self._generated = Counter("vllm:generation_tokens", "Tokens of answers.", _MODEL,
                                  registry=own)  # fmt: skip
        self._queries = Counter("vllm:prefix_cache_queries", "Tokens looked up in the cache.",
                                _MODEL, registry=own)  # fmt: skip
        self._hits = Counter("vllm:prefix_cache_hits", "Tokens found in the cache.", _MODEL,
                             registry=own)  # fmt: skip
        self._restored = Counter("minikin_prefix_store_hits", "Those of them found on disk.",
                                 _MODEL, registry=own)  # fmt: skip
        self._ended = Counter("vllm:request_success", "Ended answers, by their reason.",
                              ("model_name", "finished_reason"), registry=own)  # fmt: skip
        self._first = Histogram("vllm:time_to_first_token_seconds", "Until the first token.",
                                _MODEL, registry=own, buckets=_FIRST)  # fmt: skip
        self._next = Histogram("vllm:inter_token_latency_seconds", "From token to token.",
                               _MODEL, registry=own, buckets=_NEXT)  # fmt: skip
        self._whole = Histogram("vllm:e2e_request_latency_seconds", "Until the last token.",
                                _MODEL, registry=own, buckets=_WHOLE)  # fmt: skip
        self.lag = Histogram("minikin_event_loop_lag_seconds", "How late timers run because the "
                             "process computes.", registry=own, buckets=_LAG)  # fmt: skip

    def text(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self._registry)

    def numbers(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """The same without the buckets of times: name -> labels and value, for each value."""
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for sample in (sample for metric in self._registry.collect() for sample in metric.samples):
            if not sample.name.endswith("_bucket"):
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def answered(self, status: int) -> None:
        """Count the status of an answer."""
        if status >= 400:
            self._errors.labels(str(status)).inc()

    @contextmanager
    def answer(self, model: str, request: GenerationRequest, begun: float) -> Iterator[Progress]:
        """A block that makes the answers to `request`, which came at the time `begun`."""
        progress = self.running[request.id] = Progress(self, model, request, begun)
        try:
            yield progress
        finally:
            del self.running[request.id]
            self._ended_as(model, "error" if progress.failed else "abort", progress.unfinished)

    def _ended_as(self, model: str, reason: str, count: int = 1) -> None:
        if count:
            self._ended.labels(model, reason).inc(count)


class Progress:
    """Counts the events of one request. Requests that give way wait for others, so their times
    say nothing about the server."""

    def __init__(
        self, metrics: Metrics, model: str, request: GenerationRequest, begun: float
    ) -> None:
        self._metrics = metrics
        self.model = model
        """The model's id."""
        self.request = request
        self.begun = begun
        """A time of time.perf_counter()."""
        self._counted: dict[int, int] = {}
        """Choice -> its tokens so far."""
        self._seen_at: dict[int, float] = {}
        """Choice -> the time of its last event."""
        self.unfinished = request.n
        """Choices without an end."""
        self.reasons: list[str] = []
        """Why choices ended."""
        self.failed = False
        self._first = metrics._first.labels(model)
        self._next = metrics._next.labels(model)
        self._generated = metrics._generated.labels(model)

    @property
    def tokens(self) -> int:
        """Tokens of all its answers so far."""
        return sum(self._counted.values())

    def add(self, event: Event) -> None:
        """Count an event. The engine makes it from one step, with one or more tokens."""
        if not self.request.gives_way and not event.prompt_logprobs:
            self._measure(event)
        if not self._counted:
            self._metrics._prompt.labels(self.model).inc(len(self.request.prompt))
        before = self._counted.get(event.index, 0)
        tokens = before + len(event.token_ends)
        if event.usage and event.finish_reason:
            tokens = max(tokens, event.usage.completion_tokens)
            self._end(event.finish_reason, event.usage)
        self._counted[event.index] = tokens
        self._generated.inc(tokens - before)

    @property
    def generated(self) -> int:
        """The tokens of all choices so far."""
        return sum(self._counted.values())

    def _measure(self, event: Event) -> None:
        now = time.perf_counter()
        if event.index in self._seen_at:
            self._next.observe(now - self._seen_at[event.index])
        elif not self._seen_at:
            self._first.observe(now - self.begun)
        self._seen_at[event.index] = now
        if event.finish_reason and self.unfinished == 1:
            self._metrics._whole.labels(self.model).observe(now - self.begun)

    def _end(self, reason: str, usage: ChoiceUsage) -> None:
        self.unfinished -= 1
        self.reasons.append(reason)
        self._metrics._ended_as(self.model, reason)
        self._metrics._queries.labels(self.model).inc(len(self.request.prompt))
        self._metrics._hits.labels(self.model).inc(usage.cached_tokens)
        self._metrics._restored.labels(self.model).inc(usage.restored_tokens)


class _State(Collector):
    """What is true at the moment of reading. Nothing has to be counted for it."""

    def __init__(self, models: ModelPool, in_flight: Callable[[], int]) -> None:
        self._models = models
        self._in_flight = in_flight

    def collect(self) -> Iterator[Metric]:
        """The metrics of the engines and of the server."""
        yield GaugeMetricFamily(
            "minikin_requests_in_flight", "Requests that have a place.", self._in_flight()
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Resident memory of the server.",
            bytes_of(os.getpid()),
        )  # fmt: skip
        loaded = GaugeMetricFamily("minikin_model_loaded", "Whether it is loaded.", labels=_MODEL)
        restarts = CounterMetricFamily(
            "minikin_engine_restarts", "Restarts of the engine since it was loaded.", labels=_MODEL
        )
        running = GaugeMetricFamily(
            "vllm:num_requests_running", "Answers that are computed.", labels=_MODEL
        )
        waiting = GaugeMetricFamily(
            "vllm:num_requests_waiting", "Answers that wait for the engine.", labels=_MODEL
        )
        used = GaugeMetricFamily(
            "vllm:kv_cache_usage_perc", "Used part of the cache, 0 to 1.", labels=_MODEL
        )
        memory = GaugeMetricFamily(
            "minikin_engine_memory_bytes", "Resident memory of the engine.", labels=_MODEL
        )
        for name, model in self._models.loaded.items():
            stats = model.engine.stats if model else EngineStats()
            loaded.add_metric([name], model is not None and model.engine.is_ready)
            restarts.add_metric([name], model.engine.restarts if model else 0)
            running.add_metric([name], stats.running)
            waiting.add_metric([name], stats.waiting)
            used.add_metric([name], stats.cache_used)
            memory.add_metric([name], bytes_of(model.engine.pid or 0) if model else 0)
        yield from (loaded, restarts, running, waiting, used, memory)
