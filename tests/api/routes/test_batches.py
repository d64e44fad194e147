import asyncio
import contextlib
import json
import sqlite3
import time

import httpx
import openai
import pytest

from minikin.api.batches import batch_run, runner
from minikin.errors import EngineFailure, Overloaded, Quarantined
from minikin.store.database import check_database
from minikin.store.files import Files
from tests.fakes import ScriptedEngine
from tests.openai_clients import client_of
from tests.patience import until

CHAT = "/v1/chat/completions"
KEYS = """
    id object endpoint model errors input_file_id completion_window status output_file_id
    error_file_id created_at in_progress_at expires_at finalizing_at completed_at failed_at
    expired_at cancelling_at cancelled_at request_counts usage metadata
"""


def line(name="a", text="Hi", url=CHAT, **body):
    asked = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": name, "method": "POST", "url": url, "body": asked}


def jsonl(*lines):
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines
    )


def begin(client, *lines, **options):
    file = client.files.create(file=("in.jsonl", jsonl(*lines)), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", **options
    )


def ended(client, batch, *, status="completed"):
    found = []

    def over():
        found[:] = [client.batches.retrieve(batch.id)]
        return found[0].status in ("completed", "failed", "expired", "cancelled")

    until(over)
    assert found[0].status == status, found[0]
    return found[0]


def results(client, file_id):
    if file_id is None:
        return {}
    lines = client.files.content(file_id).text.splitlines()
    read = [json.loads(each) for each in lines]
    named = {each["custom_id"]: each for each in read}
    assert len(named) == len(read)
    return named


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


@pytest.mark.parametrize(
    ("change", "message", "param", "code"),
    [
        (
            {"input_file_id": None},
            "Missing required parameter: 'input_file_id'.",
            "input_file_id",
            "missing_required_parameter",
        ),
        (
            {"endpoint": "/v1/embeddings"},
            None,
            "endpoint",
            "invalid_value",
        ),
        (
            {"completion_window": "48h"},
            "Invalid value: '48h'. Value must be '24h'.",
            "completion_window",
            "invalid_value",
        ),
        ({"metadata": {"a": 1}}, None, "metadata.a", "invalid_type"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 1}},
            None,
            "output_expires_after.seconds",
            "integer_below_min_value",
        ),
        ({"zzz": 1}, "Unknown parameter: 'zzz'.", "zzz", "unknown_parameter"),
    ],
)
def test_a_bad_body_is_an_error(shared_server, change, message, param, code):
    body = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h", **change}
    body = {name: value for name, value in body.items() if value is not None}
    fault = httpx.post(f"{shared_server.url}/v1/batches", json=body)
    assert fault.status_code == 400
    error = fault.json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert message in (None, error["message"])


def test_the_input_must_be_a_file_of_the_right_purpose_and_owner(serve):
    keys = ("key-of-ada-0123456789", "key-of-bob-0123456789")
    server = serve(api_keys=keys)
    ada, bob = (client_of(server, key) for key in keys)
    file = ada.files.create(file=("a.jsonl", b""), purpose="batch")
    for client, file_id in ((ada, "file-x"), (bob, file.id)):
        with pytest.raises(openai.NotFoundError) as fault:
            client.batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h")
        assert fault.value.param == "input_file_id"
    other = ada.files.create(file=("a.jsonl", b""), purpose="evals")
    with pytest.raises(openai.BadRequestError, match="must be 'batch'"):
        ada.batches.create(input_file_id=other.id, endpoint=CHAT, completion_window="24h")


def test_another_key_does_not_find_a_batch(serve):
    keys = ("key-of-ada-0123456789", "key-of-bob-0123456789")
    server = serve(api_keys=keys)
    ada, bob = (client_of(server, key) for key in keys)
    made = begin(ada, line())
    for attempt in (bob.batches.retrieve, bob.batches.cancel):
        message = f"No batch found with id '{made.id}'"
        with pytest.raises(openai.NotFoundError, match=message):
            attempt(made.id)
    assert list(bob.batches.list()) == []
    output = ended(ada, made).output_file_id
    with pytest.raises(openai.NotFoundError):
        bob.files.content(output)
    assert ada.files.content(output).content


def test_batches_are_listed_in_pages(serve):
    client = client_of(serve())
    ids = [begin(client, line()).id for _ in range(3)]
    assert [batch.id for batch in client.batches.list(limit=2)] == ids[::-1]
    page = client.batches.list(limit=1, after=ids[2])
    assert [batch.id for batch in page.data] == [ids[1]]
    assert page.has_more


class Held(ScriptedEngine):
    """Answers requests with `fast` in them at once, and the others when the test says so."""

    def __init__(self):
        super().__init__()
        self.running = 0
        self.most = 0
        self.let_go = False

    async def generate(self, request):
        text = bytes(t for t in request.prompt if t < 256)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            while b"fast" not in text and not self.let_go:
                await asyncio.sleep(0.01)
        finally:
            self.running -= 1
        async for event in super().generate(request):
            yield event


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


def test_lines_run_in_the_background_and_a_share_at_a_time(serve, monkeypatch):
    monkeypatch.setattr(runner, "MAX_RUNNING", 4)
    engine = Held()
    server = serve(engine, max_queued=1)
    client = client_of(server)
    made = begin(client, *(line(str(i)) for i in range(10)))
    until(lambda: engine.running == 4)
    answer = client.chat.completions.create(**line(text="fast")["body"])
    assert answer.choices[0].message.content == "Hello there!"
    engine.let_go = True
    assert ended(client, made).request_counts.completed == 10
    assert [request.gives_way for request in engine.requests] == [False] + [True] * 10
    assert engine.most <= 5


def test_batches_take_turns(serve, monkeypatch):
    monkeypatch.setattr(runner, "MAX_RUNNING", 2)
    engine = Held()
    client = client_of(serve(engine))
    long = begin(client, *(line(str(i)) for i in range(200)))
    until(lambda: engine.running == 2)
    short = begin(client, line("fast", "fast"))
    engine.let_go = True
    ended(client, short)
    assert client.batches.retrieve(long.id).status == "in_progress"
    ended(client, long)


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


def test_an_owner_has_a_most_of_batches(serve, monkeypatch):
    monkeypatch.setattr("minikin.store.batches.MAX_UNENDED", 1)
    engine = Held()
    client = client_of(serve(engine))
    made = begin(client, line())
    with pytest.raises(openai.BadRequestError, match="have not ended"):
        begin(client, line())
    engine.let_go = True
    ended(client, made)
    begin(client, line())


def test_a_stopped_server_goes_on_where_it_was(serve, tmp_path):
    place = {"database": str(tmp_path / "kept.sqlite3")}
    engine = Held()
    first = serve(engine, **place)
    made = begin(client_of(first), line("a", "fast"), line("b"), line("c"))
    until(lambda: client_of(first).batches.retrieve(made.id).request_counts.completed == 1)
    first.stop()
    second = serve(**place)
    batch = ended(client_of(second), made)
    assert set(results(client_of(second), batch.output_file_id)) == {"a", "b", "c"}
    assert len(second.engine.requests) == 2, "the finished line did not run again"


def test_one_server_of_a_database_runs_its_batches(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.05)
    place = {"database": str(tmp_path / "kept.sqlite3")}
    first, second = serve(**place), serve(**place)
    ended(client_of(first), begin(client_of(first), line("a")))
    made = begin(client_of(second), line("b"))
    ended(client_of(second), made)
    assert {len(server.engine.requests) for server in (first, second)} == {0, 2}


def test_a_database_of_a_newer_minikin_stops_batches_but_not_answers(serve, tmp_path, caplog):
    path = tmp_path / "kept.sqlite3"
    serve(database=str(path)).stop()
    check_database(str(path))
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    client = client_of(serve(database=str(path)))
    answer = client.chat.completions.create(**line()["body"])
    assert answer.choices[0].message.content == "Hello there!"
    until(lambda: "Batches do not run" in caplog.text)
    with pytest.raises(openai.InternalServerError, match="9999 of a newer Minikin"):
        client.batches.retrieve("batch_x")


def test_a_batch_runs_on_either_database(serve, location, tmp_path):
    place = {"database": location, "files": str(tmp_path / "files")}
    client = client_of(serve(**place))
    batch = ended(client, begin(client, *(line(f"\0{i}é") for i in range(120)), line("x", n=0)))
    assert len(results(client, batch.output_file_id)) == 120
    assert list(results(client, batch.error_file_id)) == ["x"]
    assert time.time() - batch.created_at < 3600


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
