import httpx
import openai
import pytest

from tests.api.batches.batch_client import CHAT, Held, begin, ended, line
from tests.openai_clients import client_of


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
