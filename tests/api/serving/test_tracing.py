import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from minikin.api.serving import service as module
from minikin.api.serving.tracing import Tracing
from minikin.errors import EngineFailure
from tests.fakes import ScriptedEngine
from tests.patience import until
from tests.raw_http import HI

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def spans(monkeypatch):
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(module, "tracing", lambda: Tracing(provider))
    return memory.get_finished_spans


def ask(server, **more):
    return httpx.post(
        f"{server.url}/v1/chat/completions",
        json={**HI, **more},
        headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
        timeout=60,
    )


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_a_span_in_the_trace_of_its_client(serve, spans, stream):
    answer = ask(serve(), stream=stream, max_tokens=3, temperature=0.5, seed=7)
    assert answer.status_code == 200
    until(spans)
    [span] = spans()
    assert span.name == "chat tiny"
    assert f"{span.context.trace_id:032x}" == TRACE
    said = dict(span.attributes)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.max_tokens"] == 3
    assert said["gen_ai.request.temperature"] == 0.5
    assert said["gen_ai.request.seed"] == 7
    assert said["gen_ai.usage.input_tokens"] > 0
    assert said["gen_ai.usage.output_tokens"] == 3
    assert said["gen_ai.response.finish_reasons"] == ("length",)
    assert not any("Hi" in str(value) for value in said.values())


def test_a_failed_answer_names_its_error(serve, spans):
    ask(serve(ScriptedEngine(fail_after=1, failure=EngineFailure("It failed."))))
    until(spans)
    [span] = spans()
    assert span.attributes["error.type"] == "EngineFailure"
    assert not span.status.is_ok
