import httpx
import openai
import pytest
from msgspec.structs import replace

from tests.fakes import settings
from tests.openai_clients import client_of

ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_stored_answer_comes_back_as_it_was_and_survives_a_restart(serve, tmp_path):
    database = tmp_path / "new" / "kept.sqlite3"
    made = client_of(serve(database=str(database))).chat.completions.create(
        **ASK, store=True, metadata={"run": "1"}, seed=4, temperature=0.5, user="me"
    )
    assert made.metadata == {"run": "1"}
    assert database.stat().st_mode & 0o077 == 0, "conversations are for their owner's eyes"
    kept = client_of(serve(database=str(database))).chat.completions.retrieve(made.id)
    assert kept.choices == made.choices
    assert (kept.usage, kept.metadata, kept.created) == (made.usage, made.metadata, made.created)
    extra = kept.model_extra or {}
    assert (extra["seed"], extra["temperature"], extra["top_p"]) == (4, 0.5, 1.0)
    assert extra["input_user"] == "me"
    assert extra["request_id"].startswith("req_")


def test_a_stored_answer_shows_the_models_defaults_that_it_was_sampled_with(serve):
    model = replace(settings().models[0], known_sampling={"temperature": 0.2, "top_p": 0.9})
    client = client_of(serve(models=(model,)))
    made = client.chat.completions.create(**ASK, store=True, top_p=0.5)
    extra = client.chat.completions.retrieve(made.id).model_extra or {}
    assert (extra["temperature"], extra["top_p"]) == (0.2, 0.5)


def test_a_streamed_answer_is_stored_before_it_ends(serve):
    client = client_of(serve())
    chunks = list(client.chat.completions.create(**ASK, store=True, stream=True))
    kept = client.chat.completions.retrieve(chunks[0].id)
    assert kept.choices[0].message.content == "Hello there!"
    assert kept.metadata == {}


def test_an_answer_without_store_is_not_stored(serve, tmp_path):
    server = serve(database=str(tmp_path / "kept.sqlite3"))
    made = client_of(server).chat.completions.create(**ASK, store=False)
    assert made.metadata is None
    assert not (tmp_path / "kept.sqlite3").exists()
    with pytest.raises(openai.NotFoundError):
        client_of(server).chat.completions.retrieve(made.id)


def test_lists_come_in_pages_both_ways_and_filtered(serve):
    client = client_of(serve())
    ids = [
        client.chat.completions.create(**ASK, store=True, metadata={"odd": str(i % 2)}).id
        for i in range(5)
    ]
    assert [kept.id for kept in client.chat.completions.list()] == ids
    assert [kept.id for kept in client.chat.completions.list(limit=2)] == ids
    assert [kept.id for kept in client.chat.completions.list(order="desc", limit=2)] == ids[::-1]
    page = client.chat.completions.list(limit=2, after=ids[1])
    assert [kept.id for kept in page.data] == ids[2:4]
    assert page.has_more
    odd = client.chat.completions.list(metadata={"odd": "1"})
    assert [kept.id for kept in odd] == ids[1::2]
    assert list(client.chat.completions.list(model="tiny")) == []
    assert list(client.chat.completions.list(metadata={"odd": "1", "even": "1"})) == []


def test_metadata_can_be_replaced_and_answers_forgotten(serve):
    client = client_of(serve())
    made = client.chat.completions.create(**ASK, store=True, metadata={"a": "1"})
    assert client.chat.completions.update(made.id, metadata={"b": "2"}).metadata == {"b": "2"}
    assert client.chat.completions.retrieve(made.id).metadata == {"b": "2"}
    gone = client.chat.completions.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "chat.completion.deleted")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.update(made.id, metadata={})


def test_the_messages_of_an_answer_are_listed(serve):
    client = client_of(serve())
    parts = [{"type": "text", "text": "b"}]
    messages = [
        {"role": "system", "content": "a", "name": "x"},
        {"role": "user", "content": parts},
        {"role": "user", "content": "c"},
    ]
    made = client.chat.completions.create(model="tiny", messages=messages, store=True)
    found = list(client.chat.completions.messages.list(made.id, limit=2))
    assert [message.id for message in found] == [f"{made.id}-{i}" for i in range(3)]
    assert [message.content for message in found] == ["a", None, "c"]
    assert found[1].content_parts[0].text == "b"
    backwards = client.chat.completions.messages.list(made.id, order="desc")
    assert [message.content for message in backwards] == ["c", None, "a"]


def test_another_key_does_not_find_stored_completions(serve):
    server = serve(api_keys=("key-of-ada-0123456789", "key-of-bob-0123456789"))
    ada, bob = (
        client_of(server, "key-of-ada-0123456789"),
        client_of(server, "key-of-bob-0123456789"),
    )
    made = ada.chat.completions.create(**ASK, store=True)
    assert [kept.id for kept in ada.chat.completions.list()] == [made.id]
    assert list(bob.chat.completions.list()) == []
    for attempt in (bob.chat.completions.retrieve, bob.chat.completions.delete):
        with pytest.raises(openai.NotFoundError):
            attempt(made.id)
    assert ada.chat.completions.retrieve(made.id).id == made.id


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=101", "limit", "integer_above_max_value"),
        ("limit=x", "limit", "invalid_type"),
        ("order=up", "order", "invalid_value"),
        ("page=2", "page", "unknown_parameter"),
        (f"metadata[a]={'x' * 513}", "metadata.a", "string_above_max_length"),
    ],
)
def test_a_bad_query_is_an_error(shared_server, query, param, code):
    fault = httpx.get(f"{shared_server.url}/v1/chat/completions?{query}")
    assert fault.status_code == 400
    assert (fault.json()["error"]["param"], fault.json()["error"]["code"]) == (param, code)


@pytest.mark.parametrize("name", ["x", "..%2f..%2fetc%2fpasswd", "%00", "' OR '1'='1", "a" * 4000])
def test_names_that_are_not_ids_are_not_found(shared_server, name):
    missing = httpx.get(f"{shared_server.url}/v1/chat/completions/{name}")
    assert missing.status_code == 404
    assert len(missing.text) < 500


@pytest.mark.parametrize("body", [{}, {"metadata": 1}, {"metadata": {"a": 1}}, {"x": 1}, []])
def test_a_bad_update_is_an_error(shared_server, body):
    url = f"{shared_server.url}/v1/chat/completions/any"
    assert httpx.post(url, json=body).status_code == 400
