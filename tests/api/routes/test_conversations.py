import httpx
import openai
import pytest

from tests.fakes import ScriptedEngine
from tests.openai_clients import client_of

KEYS = ("key-of-ada-0123456789", "key-of-bob-0123456789")


def said(text, role="user", **more):
    return {"role": role, "content": text, **more}


def post(server, path, body):
    return httpx.post(f"{server.url}/v1/conversations{path}", json=body)


def test_a_conversation_is_created_updated_and_deleted(serve):
    client = client_of(serve())
    made = client.conversations.create(metadata={"a": "1"})
    assert (made.object, made.metadata, made.id[:5]) == ("conversation", {"a": "1"}, "conv_")
    assert client.conversations.retrieve(made.id) == made
    assert client.conversations.update(made.id, metadata={"b": "2"}).metadata == {"b": "2"}
    gone = client.conversations.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "conversation.deleted", True)
    message = f"Conversation with id '{made.id}' not found."
    for attempt in (client.conversations.retrieve, client.conversations.delete):
        with pytest.raises(openai.NotFoundError, match=message) as fault:
            attempt(made.id)
        assert (fault.value.param, fault.value.code) == (None, None)
    assert client.conversations.create().metadata == {}


def test_items_get_an_id_a_status_and_parts(serve):
    client = client_of(serve())
    made = client.conversations.create(items=[said("one")])
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    added = client.conversations.items.create(made.id, items=[said("two", "assistant"), call])
    assert (added.object, added.has_more) == ("list", False)
    assert (added.first_id, added.last_id) == (added.data[0].id, added.data[1].id)
    assert [item.status for item in added.data] == ["completed", "completed"]
    assert added.data[0].content[0].text == "two"
    listed = list(client.conversations.items.list(made.id, order="asc"))
    assert [item.type for item in listed] == ["message", "message", "function_call"]
    assert listed[0].content[0].type == "input_text"
    assert [i.id for i in client.conversations.items.list(made.id)] == [i.id for i in listed][::-1]
    page = client.conversations.items.list(made.id, order="asc", limit=1, after=listed[0].id)
    assert ([item.id for item in page.data], page.has_more) == ([listed[1].id], True)
    one = client.conversations.items.retrieve(listed[1].id, conversation_id=made.id)
    assert one == listed[1]
    left = client.conversations.items.delete(listed[1].id, conversation_id=made.id)
    assert left.id == made.id
    with pytest.raises(openai.NotFoundError, match=f"Item with id '{listed[1].id}' not found."):
        client.conversations.items.retrieve(listed[1].id, conversation_id=made.id)


def test_a_response_reads_a_conversation_and_appends_to_it(serve):
    engine = ScriptedEngine()
    client = client_of(serve(engine))
    made = client.conversations.create(items=[said("My name is Ada.")])
    asked = client.responses.create(model="tiny", input="And who?", conversation=made.id)
    assert asked.conversation.id == made.id
    prompt = bytes(token for token in engine.requests[0].prompt if token < 256)
    assert b"My name is Ada." in prompt
    items = list(client.conversations.items.list(made.id, order="asc"))
    texts = [item.content[0].text for item in items]
    assert texts == ["My name is Ada.", "And who?", "Hello there!"]
    assert items[2].id == asked.output[0].id


def test_an_item_can_be_taken_over_by_its_id(serve):
    client = client_of(serve())
    answer = client.responses.create(model="tiny", input="Hi")
    reference = {"type": "item_reference", "id": answer.output[0].id}
    made = client.conversations.create(items=[reference])
    items = list(client.conversations.items.list(made.id))
    assert [(item.id, item.content[0].text) for item in items] == [
        (answer.output[0].id, "Hello there!")
    ]
    with pytest.raises(openai.NotFoundError, match="Item with id 'msg_x' not found") as fault:
        client.conversations.create(items=[{"type": "item_reference", "id": "msg_x"}])
    assert fault.value.param == "items"


def test_another_key_finds_neither_a_conversation_nor_its_items(serve):
    server = serve(api_keys=KEYS)
    ada, bob = (client_of(server, key) for key in KEYS)
    made = ada.conversations.create(items=[said("secret")])
    item = next(iter(ada.conversations.items.list(made.id))).id
    for attempt in (
        lambda: bob.conversations.retrieve(made.id),
        lambda: bob.conversations.update(made.id, metadata={}),
        lambda: bob.conversations.delete(made.id),
        lambda: bob.conversations.items.list(made.id),
        lambda: bob.conversations.items.create(made.id, items=[said("x")]),
        lambda: bob.conversations.items.retrieve(item, conversation_id=made.id),
        lambda: bob.conversations.items.delete(item, conversation_id=made.id),
        lambda: bob.conversations.create(items=[{"type": "item_reference", "id": item}]),
        lambda: bob.responses.create(model="tiny", input="x", conversation=made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            attempt()
    assert len(list(ada.conversations.items.list(made.id))) == 1


PICTURE = {"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}
TWICE = [said("a", id="msg_1"), said("b", id="msg_1")]


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        ("", [], None, None),
        ("", {"zzz": 1}, "zzz", "unknown_parameter"),
        ("", {"items": [said("x")] * 21}, "items", "array_above_max_length"),
        ("", {"items": [{"role": "robot", "content": ""}]}, "items[0]", "invalid_value"),
        ("", {"items": [said("x"), {"role": "user"}]}, "items[1].content", None),
        ("", {"items": [PICTURE]}, "items[0].content[0].type", None),
        ("", {"items": TWICE}, "items", None),
        ("", {"items": [said("x", id="fc_1")]}, "items[0].id", "invalid_value"),
        ("", {"items": [{"type": "reasoning", "id": 5}]}, "items[0].id", "invalid_type"),
        ("", {"items": [{"type": "reasoning", "id": "x" * 65}]}, "items[0].id", None),
        ("", {"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
        ("/conv_x", {}, "metadata", "missing_required_parameter"),
        ("/conv_x/items", {}, "items", "missing_required_parameter"),
        ("/conv_x/items", {"items": []}, "items", "empty_array"),
        ("/conv_x/items?include=x", {"items": [said("x")]}, "include[0]", "invalid_value"),
    ],
)
def test_a_bad_body_is_an_error(shared_server, path, body, param, code):
    fault = post(shared_server, path, body)
    assert fault.status_code == 400, fault.text
    error = fault.json()["error"]
    assert error["param"] == param
    assert code in (None, error["code"])


def test_an_item_is_in_a_conversation_once(serve):
    client = client_of(serve())
    made = client.conversations.create(items=[said("a", id="msg_1")])
    with pytest.raises(openai.BadRequestError, match="Duplicate item found with id msg_1"):
        client.conversations.items.create(made.id, items=[said("b", id="msg_1")])


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "order=up", "page=2", "include=x"])
def test_a_bad_query_is_an_error(shared_server, query):
    url = f"{shared_server.url}/v1/conversations/conv_x/items?{query}"
    assert httpx.get(url).status_code == 400


@pytest.mark.parametrize("name", ["x", "..%2f..%2fetc%2fpasswd", "%00", "a" * 4000])
def test_names_that_are_not_ids_are_not_found(shared_server, name):
    for path in (name, f"{name}/items", f"conv_x/items/{name}"):
        missing = httpx.get(f"{shared_server.url}/v1/conversations/{path}")
        assert missing.status_code == 404
        assert len(missing.text) < 500
