import asyncio

import httpx
import openai
import pytest

from minikin.api.batches import batch_run
from minikin.errors import EngineFailure, Overloaded, Quarantined
from minikin.store.files import Files
from tests.api.batches.batch_client import Held, begin, ended, jsonl, line, results
from tests.fakes import ScriptedEngine
from tests.openai_clients import client_of
from tests.patience import until

KEYS = """
    id object endpoint model errors input_file_id completion_window status output_file_id
    error_file_id created_at in_progress_at expires_at finalizing_at completed_at failed_at
    expired_at cancelling_at cancelled_at request_counts usage metadata
"""


def test_every_line_is_answered_as_its_route_answers_it(serve):
    server = serve()
    client = client_of(server)
    made = begin(
        client, *(line(f"r{i}") for i in range(50)), line("bad", temperature=9), metadata={"a": "b"}
    )
    assert list(httpx.get(f"{server.url}/v1/batches/{made.id}").json()) == KEYS.split()
    assert made.id.startswith("batch_")
    assert (made.status, made.metadata) == ("validating", {"a": "b"})
    assert made.expires_at == made.created_at + 86_400
    batch = ended(client, made)
    assert batch.request_counts.to_dict() == {"total": 51, "completed": 50, "failed": 1}
    assert batch.model == "gpt-4.1-mini-2025-04-14"
    assert batch.usage.output_tokens > 0
    assert batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens
    times = [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at]
    assert times == sorted(times)
    output = results(client, batch.output_file_id)
    assert set(output) == {f"r{i}" for i in range(50)}
    assert output["r3"]["error"] is None
    assert output["r3"]["id"].startswith("batch_req_")
    answer = output["r3"]["response"]
    assert (answer["status_code"], answer["request_id"][:4]) == (200, "req_")
    assert answer["body"]["choices"][0]["message"]["content"] == "Hello there!"
    refused = results(client, batch.error_file_id)["bad"]
    assert refused["error"] is None
    assert refused["response"]["status_code"] == 400
    assert refused["response"]["body"]["error"]["param"] == "temperature"
    file = client.files.retrieve(batch.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires_at == file.created_at + 30 * 24 * 3600


def test_a_batch_whose_every_line_is_refused_is_completed_without_output(serve):
    client = client_of(serve())
    after = {"anchor": "created_at", "seconds": 3600}
    lines = (line("a", n=0), line("b", stream=True), line("c", model=7))
    batch = ended(client, begin(client, *lines, output_expires_after=after))
    assert batch.output_file_id is None
    errors = results(client, batch.error_file_id)
    params = {name: each["response"]["body"]["error"]["param"] for name, each in errors.items()}
    assert params == {"a": "n", "b": "stream", "c": "model"}
    file = client.files.retrieve(batch.error_file_id)
    assert file.expires_at == file.created_at + 3600


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        ((), [("empty_file", None, None)]),
        ((b"", b"  "), [("empty_file", None, None)]),
        ((b"{", line(), b"\xff"), [("invalid_json_line", None, 1), ("invalid_json_line", None, 3)]),
        ((line(), b"", line()), [("duplicate_custom_id", "custom_id", 3)]),
        ((line(url="/v1/x"),), [("url_mismatch", "url", 1)]),
        ((line(), line("b", model="tiny")), [("model_mismatch", "body.model", 2)]),
        ((b"[]", b"7"), [(None, None, 1), (None, None, 2)]),
        (({},), [("missing_required_parameter", "custom_id", 1)]),
        (({**line(), "body": 1},), [("invalid_type", "body", 1)]),
        (({**line(), "method": "GET"},), [("invalid_value", "method", 1)]),
        (({**line(), "zzz": 1},), [("unknown_parameter", "zzz", 1)]),
        ((line(text="x" * 5 * 1024 * 1024), line("b")), [("line_too_long", None, 1)]),
        ((b"{",) * 120, [("invalid_json_line", None, at + 1) for at in range(100)]),
    ],
)
def test_bad_lines_fail_the_batch_before_any_line_runs(serve, lines, errors):
    server = serve()
    client = client_of(server)
    batch = ended(client, begin(client, *lines), status="failed")
    assert batch.request_counts.to_dict() == {"total": 0, "completed": 0, "failed": 0}
    assert batch.errors.object == "list"
    assert [(e.code, e.param, e.line) for e in batch.errors.data] == errors
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert server.engine.requests == []


def test_a_batch_has_a_most_of_lines(serve, monkeypatch):
    for module in ("minikin.api.request.batch_rules", "minikin.api.batches.batch_run"):
        monkeypatch.setattr(f"{module}.MAX_LINES", 2)
    client = client_of(serve())
    ended(client, begin(client, line("a"), line("b")))
    batch = ended(client, begin(client, *map(line, "abcd")), status="failed")
    assert [error.code for error in batch.errors.data] == ["too_many_tasks"]


def test_lines_can_be_responses_which_are_stored(serve):
    client = client_of(serve())
    asked = {"model": "gpt-4.1-mini", "input": "Hi"}
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/responses", "body": body}
        for name, body in {
            "a": asked,
            "b": {**asked, "background": True},
            "c": {**asked, "temperature": 9},
        }.items()
    ]
    file = client.files.create(file=("in.jsonl", jsonl(*lines)), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
    )
    batch = ended(client, made)
    answer = results(client, batch.output_file_id)["a"]["response"]["body"]
    assert client.responses.retrieve(answer["id"]).output_text == "Hello there!"
    assert batch.usage.output_tokens == answer["usage"]["output_tokens"] > 0
    refused = results(client, batch.error_file_id)
    params = {name: each["response"]["body"]["error"]["param"] for name, each in refused.items()}
    assert params == {"b": "background", "c": "temperature"}


def test_a_cancelled_batch_ends_with_what_is_done(serve):
    engine = Held()
    client = client_of(serve(engine))
    made = begin(client, line("a", "fast"), line("b"), line("c", "fast"), line("d"))
    until(lambda: client.batches.retrieve(made.id).request_counts.completed == 2)
    until(lambda: engine.running == 2)
    cancelled = client.batches.cancel(made.id)
    assert (cancelled.status, cancelled.cancelling_at is None) == ("cancelling", False)
    batch = ended(client, made, status="cancelled")
    assert engine.running == 0
    assert set(results(client, batch.output_file_id)) == {"a", "c"}
    assert batch.error_file_id is None
    assert batch.request_counts.to_dict() == {"total": 4, "completed": 2, "failed": 0}
    with pytest.raises(openai.BadRequestError, match="batch with status 'cancelled'"):
        client.batches.cancel(made.id)


def test_an_expired_batch_lists_what_did_not_run(serve, monkeypatch):
    monkeypatch.setattr("minikin.api.routes.batches.WINDOW_SECONDS", 10)
    client = client_of(serve(Held()))
    made = begin(client, line("a", "fast"), line("b"), line("c", n=0))
    batch = ended(client, made, status="expired")
    assert set(results(client, batch.output_file_id)) == {"a"}
    errors = results(client, batch.error_file_id)
    assert set(errors) == {"b", "c"}
    assert errors["b"]["response"] is None
    assert errors["b"]["error"]["code"] == "batch_expired"
    assert batch.expired_at


def test_the_input_file_may_go_once_its_lines_are_read(serve):
    engine = Held()
    client = client_of(serve(engine))
    made = begin(client, line("a"), line("b"))
    until(lambda: engine.running == 2)
    client.files.delete(made.input_file_id)
    engine.let_go = True
    assert ended(client, made).request_counts.completed == 2


class Failing(ScriptedEngine):
    """Fails with each of these errors in turn before it answers."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = list(errors)

    async def generate(self, request):
        if self.errors:
            raise self.errors.pop(0)
        async for event in super().generate(request):
            yield event


def test_a_line_runs_again_if_the_server_was_the_reason(serve, monkeypatch):
    monkeypatch.setattr(batch_run, "WAIT_SECONDS", 0.01)
    reasons = [Overloaded("loading")] * 9 + [EngineFailure("died"), EngineFailure("died")]
    client = client_of(serve(Failing(*reasons)))
    assert ended(client, begin(client, line())).request_counts.completed == 1


@pytest.mark.parametrize(
    ("errors", "code"),
    [([Quarantined()], "request_quarantined"), ([EngineFailure("died")] * 3, None)],
)
def test_a_line_that_fails_for_good_is_in_the_error_file(serve, monkeypatch, errors, code):
    monkeypatch.setattr(batch_run, "WAIT_SECONDS", 0.01)
    client = client_of(serve(Failing(*errors)))
    batch = ended(client, begin(client, line()))
    failed = results(client, batch.error_file_id)["a"]["response"]
    assert (failed["status_code"], failed["body"]["error"]["code"]) == (500, code)


def test_a_file_that_is_deleted_while_it_is_read_ends_its_batch(serve, monkeypatch, caplog):
    client = client_of(serve())
    real = Files.content

    def deleted(files, identifier):
        async def content():
            await asyncio.to_thread(client.files.delete, identifier)
            async for part in real(files, identifier):
                yield part

        return content()

    monkeypatch.setattr(Files, "content", deleted)
    failed = ended(client, begin(client, line()), status="failed")
    assert failed.errors.data[0].code == "invalid_input_file"
    assert "Traceback" not in caplog.text
