"""OpenTelemetry traces: one span for each answer, with the GenAI conventions.

Only if OTEL_EXPORTER_OTLP_ENDPOINT is set, as for every program with OpenTelemetry. The packages
come with `pip install 'minikin[otel]'`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from minikin.api.serving.metrics import Progress
from minikin.engine.messages import GenerationRequest
from minikin.errors import SetupError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing:
    """The traces of one server. Without a provider there are none."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("minikin") if provider else None

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[None]:
        """A block whose spans belong to the trace that the client began (W3C `traceparent`)."""
        if self._tracer is None:
            yield
            return
        from opentelemetry import context, propagate

        token = context.attach(propagate.extract(headers))
        try:
            yield
        finally:
            context.detach(token)

    def answer(self, model: str, request: GenerationRequest, progress: Progress) -> Any:
        """A block that makes an answer: a span named `chat` and the model."""
        if self._tracer is None:
            return nullcontext()
        return self._span(model, request, progress)

    def stop(self) -> None:
        """Send what is left."""
        if self._provider:
            self._provider.shutdown()

    @contextmanager
    def _span(self, model: str, request: GenerationRequest, progress: Progress) -> Iterator[None]:
        from opentelemetry.trace import SpanKind

        assert self._tracer is not None
        attributes = _asked(model, request)
        with self._tracer.start_as_current_span(
            f"chat {model}", kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                raise
            finally:
                span.set_attribute("gen_ai.usage.output_tokens", progress.generated)
                span.set_attribute("gen_ai.response.finish_reasons", progress.reasons)


def tracing() -> Tracing:
    """The traces that the environment asks for. Raises SetupError without the packages."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SetupError(
            f"{_ENDPOINTS[0]} is set, but the packages for traces are missing: "
            "pip install 'minikin[otel]'"
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME", "minikin")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _asked(model: str, request: GenerationRequest) -> dict[str, Any]:
    """What the request says, in the names of the GenAI conventions. No text of it."""
    params = request.params
    given = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "minikin",
        "gen_ai.request.model": model,
        "gen_ai.response.id": request.id,
        "gen_ai.request.max_tokens": params.max_tokens,
        "gen_ai.request.temperature": params.temperature,
        "gen_ai.request.top_p": params.top_p,
        "gen_ai.request.seed": params.seed,
        "gen_ai.request.choice.count": request.n,
        "gen_ai.usage.input_tokens": len(request.prompt),
    }
    return {name: value for name, value in given.items() if value is not None}
