"""Responses with `store: true`: returned, deleted, continued and referred to, by their owner."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.fakes import ScriptedEngine
from tests.patience import PATIENCE

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CALL = ['<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>']


class Client:
    """A client with a key of its own."""

    def __init__(self, server, key="any"):
        self.server = server
        headers = {"authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=PATIENCE)

    def create(self, text="Hi", status=200, **fields):
        body = {"model": "gpt-4.1-mini", "input": text, **fields}
        got = self.http.post("/responses", json=body)
        assert got.status_code == status, got.text
        return got.json() if status == 200 else got.json()["error"]

    def get(self, path, status=200, method="GET"):
        got = self.http.request(method, f"/responses/{path}")
        assert got.status_code == status, got.text
        return got.json()

    def prompt(self):
        """The text of the latest prompt."""
        ids = self.server.engine.requests[-1].prompt
        return bytes(token for token in ids if token < 256).decode()


@pytest.fixture
def client(serve):
    made = Client(serve())
    with made.http:
        yield made


@pytest.fixture
def clients(serve):
    """Two clients with different keys, of one server."""
    server = serve(api_keys=("one", "two"))
    ada, bob = Client(server, "one"), Client(server, "two")
    with ada.http, bob.http:
        yield ada, bob


def test_a_response_comes_back_as_it_was(client):
    made = client.create(metadata={"a": "b"})
    again = client.get(made["id"])
    assert again == made
    assert list(again) == list(made)
    assert client.get(f"{made['id']}?stream=false&include[]=message.output_text.logprobs") == made


def test_a_streamed_response_is_stored_before_its_last_event(client):
    body = {"model": "gpt-4.1-mini", "input": "Hi", "stream": True}
    with client.http.stream("POST", "/responses", json=body) as answer:
        identifier = None
        for line in answer.iter_lines():
            identifier = identifier or re.search(r"resp_[0-9a-f]{50}", line)
            if line == "event: response.completed":
                break
        assert client.get(identifier[0])["status"] == "completed"


def test_nothing_is_stored_without_store(client):
    made = client.create(store=False)
    assert made["store"] is False
    error = client.get(made["id"], 404)["error"]
    assert error["message"] == f"Response with id '{made['id']}' not found."
    assert (error["param"], error["code"]) == (None, None)
    error = client.create(previous_response_id=made["id"], status=400)
    assert error["message"] == f"Previous response with id '{made['id']}' not found."
    assert error["code"] == "previous_response_not_found"


def test_a_deleted_response_is_gone(client):
    made = client.create()
    gone = {"id": made["id"], "object": "response", "deleted": True}
    assert client.get(made["id"], method="DELETE") == gone
    client.get(made["id"], 404)
    client.get(made["id"], 404, method="DELETE")
    client.create(previous_response_id=made["id"], status=400)


def test_a_response_continues_another_with_its_whole_context(client):
    first = client.create("One?", instructions="Secret.")
    second = client.create("Two?", previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    prompt = client.prompt()
    assert prompt.index("One?") < prompt.index("Hello there!") < prompt.index("Two?")
    assert "Secret." not in prompt
    client.get(first["id"], method="DELETE")
    client.create("Three?", previous_response_id=second["id"])
    assert "One?" in client.prompt()


def test_a_response_is_continued_many_times(client):
    root = client.create("Root?")
    for branch in ("Left?", "Right?"):
        client.create(branch, previous_response_id=root["id"])
    assert "Left?" not in client.prompt()


def test_an_output_alone_answers_a_call_of_the_parent(serve):
    client = Client(serve(ScriptedEngine(tokens=CALL)))
    with client.http:
        made = client.create(tools=[TOOL])
        (call,) = made["output"]
        error = client.create("And?", previous_response_id=made["id"], status=400)
        assert error["message"] == f"No tool output found for function call {call['call_id']}."
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
        client.create([output], previous_response_id=made["id"])
        assert client.prompt().index("tool_call") < client.prompt().index("42")


def test_an_empty_input_continues_a_response(client):
    made = client.create()
    client.create([], previous_response_id=made["id"])
    assert client.create([], status=400)["code"] == "missing_required_parameter"


def test_a_context_is_counted_without_new_items(client):
    made = client.create("One?")
    body = {"model": "gpt-4.1-mini", "previous_response_id": made["id"]}
    counted = client.http.post("/responses/input_tokens", json=body).json()["input_tokens"]
    assert counted > made["usage"]["input_tokens"]
    assert counted == client.create([], previous_response_id=made["id"])["usage"]["input_tokens"]
    assert client.http.post("/responses/input_tokens", json={"model": "gpt-4.1-mini"}).is_error


def test_items_are_referred_to_by_their_ids(client):
    made = client.create("One?")
    reference = {"type": "item_reference", "id": made["output"][0]["id"]}
    client.create([{"role": "user", "content": "Mine"}, reference])
    assert client.prompt().index("Mine") < client.prompt().index("Hello there!")


@pytest.mark.parametrize("store", [True, False])
def test_an_unknown_item_is_not_found(client, store):
    reference = {"type": "item_reference", "id": "msg_x"}
    error = client.create([reference], status=404, store=store)
    assert error["message"].startswith("Item with id 'msg_x' not found.")
    assert ("not persisted" in error["message"]) != store
    assert (error["param"], error["code"]) == ("input", None)


def test_input_items_are_the_whole_context_newest_first(client):
    first = client.create("One?")
    second = client.create("Two?", previous_response_id=first["id"])
    listed = client.get(f"{second['id']}/input_items")
    assert [item["content"][0]["text"] for item in listed["data"]] == [
        "Two?", "Hello there!", "One?",
    ]  # fmt: skip
    newest = listed["data"][0]
    assert newest["id"].startswith("msg_")
    assert newest == {
        "id": newest["id"], "type": "message", "status": "completed", "role": "user",
        "content": [{"type": "input_text", "text": "Two?"}],
    }  # fmt: skip
    page = client.get(f"{second['id']}/input_items?limit=1&order=asc&after={listed['last_id']}")
    assert page["data"][0]["id"] == first["output"][0]["id"]
    assert page["has_more"] is True


def test_another_key_finds_nothing(clients):
    ada, bob = clients
    made = ada.create()
    for path in (made["id"], f"{made['id']}/input_items"):
        bob.get(path, 404)
    bob.get(made["id"], 404, method="DELETE")
    bob.get(f"{made['id']}/cancel", 404, method="POST")
    bob.create(previous_response_id=made["id"], status=400)
    bob.create([{"type": "item_reference", "id": made["output"][0]["id"]}], status=404)
    assert ada.get(made["id"]) == made


def test_a_response_without_background_cannot_be_cancelled(client):
    made = client.create()
    error = client.get(f"{made['id']}/cancel", 400, method="POST")["error"]
    assert error["message"] == "Cannot cancel a synchronous response."


def test_a_conversation_grows_by_input_and_output(client):
    made = client.http.post("/conversations", json={})
    conversation = made.json()["id"]
    first = client.create("One?", conversation=conversation)
    assert first["conversation"] == {"id": conversation}
    assert first["previous_response_id"] is None
    client.create("Two?", conversation={"id": conversation})
    assert client.prompt().index("One?") < client.prompt().index("Hello there!")
    client.create("Three?", conversation=conversation, store=False)
    listed = client.http.get(f"/conversations/{conversation}/items").json()["data"]
    assert len(listed) == 4


def test_one_response_at_a_time_uses_a_conversation(serve):
    client = Client(serve(ScriptedEngine(tokens=["a", "b"], pause=0.2)))
    body = {"model": "gpt-4.1-mini", "input": "Hi", "stream": True}
    with client.http:
        body["conversation"] = client.http.post("/conversations", json={}).json()["id"]
        for _ in range(2):
            with client.http.stream("POST", "/responses", json=body) as answer:
                assert answer.status_code == 200
                for line in answer.iter_lines():
                    if line == "event: response.created":
                        busy = client.create(conversation=body["conversation"], status=400)
                        assert busy["code"] == "conversation_locked"
                    if line == "event: response.completed":
                        break
            # the client has seen the last event, so the conversation is free


@pytest.mark.parametrize("query", ["zzz=1", "stream=maybe", "starting_after=x", "include=zzz"])
def test_a_wrong_query_is_rejected(client, query):
    made = client.create()
    client.get(f"{made['id']}?{query}", 400)


def test_compaction_is_not_served(client):
    error = client.get("compact", 404, method="POST")["error"]
    assert error["message"] == "Invalid URL (POST /v1/responses/compact)"
