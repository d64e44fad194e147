import time

import pytest
from msgspec.structs import replace

from minikin.errors import InvalidRequest, NotFound
from minikin.store import responses
from minikin.store.kept import KEPT_SECONDS, Conversation, StoredResponse
from minikin.store.store import Store

NOW = int(time.time())


@pytest.fixture
async def store(location):
    opened = Store(location)
    yield opened
    await opened.close()


def response(name, owner="ada", *, lives=KEPT_SECONDS, **more):
    return StoredResponse(
        id=name,
        owner=owner,
        created_at=NOW,
        expires_at=int(time.time()) + lives,
        body={"id": name, "status": "completed"},
        context=[{"id": "msg_1", "text": "\0é"}],
        **more,
    )


def item(name, text="x"):
    return {"id": name, "type": "message", "text": text}


async def test_a_response_comes_back_as_it_was_to_its_owner_alone(store):
    made = response("resp_a")
    await store.responses.put(made, [item("msg_1"), item("msg_2")])
    assert await store.responses.get("ada", "resp_a") == made
    assert await store.responses.get("bob", "resp_a") is None
    assert await store.items.get("ada", ["msg_1", "msg_9"]) == {"msg_1": item("msg_1")}
    assert await store.items.get("bob", ["msg_1"]) == {}


async def test_a_response_that_ends_replaces_what_was_queued(store):
    await store.responses.put(response("resp_a", request={"model": "m"}))
    await store.responses.put(response("resp_b"))
    assert await store.responses.runners(["resp_a", "resp_b"]) == {"resp_a": store.runner.name}
    ended = replace(response("resp_a"), body={"status": "failed"})
    await store.responses.put(ended, [item("msg_1")])
    assert await store.responses.runners(["resp_a", "resp_b"]) == {}
    assert await store.responses.get("ada", "resp_a") == ended


async def test_what_has_expired_is_gone(store):
    await store.responses.put(response("resp_a", lives=-1), [item("msg_1")])
    assert await store.responses.get("ada", "resp_a") is None
    assert await store.items.get("ada", ["msg_1"]) == {}
    await store.sweep()
    await store.responses.put(response("resp_a"), [item("msg_1", "new")])
    assert await store.items.get("ada", ["msg_1"]) == {"msg_1": item("msg_1", "new")}


async def test_deleting_a_response_deletes_its_items(store):
    await store.responses.put(response("resp_a"), [item("msg_1")])
    assert not await store.responses.delete("bob", "resp_a")
    assert await store.responses.delete("ada", "resp_a")
    assert not await store.responses.delete("ada", "resp_a")
    assert await store.items.get("ada", ["msg_1"]) == {}


async def test_items_of_a_conversation_outlive_their_response(store):
    await store.conversations.add(
        Conversation(id="conv_a", owner="ada", created_at=NOW, metadata={}), [item("msg_0")]
    )
    made = response("resp_a", lives=-1)
    await store.responses.put(made, [item("msg_1"), item("msg_2")], conversation="conv_a")
    await store.sweep()
    await store.responses.delete("ada", "resp_a")
    kept = [each["id"] for each in await store.conversations.items("ada", "conv_a")]
    assert kept == ["msg_0", "msg_1", "msg_2"]


async def test_a_response_is_not_stored_if_its_conversation_refuses_the_items(store):
    with pytest.raises(NotFound, match="conv_a"):
        await store.responses.put(response("resp_a"), [item("msg_1")], conversation="conv_a")
    assert await store.responses.get("ada", "resp_a") is None
    conversation = Conversation(id="conv_a", owner="ada", created_at=NOW, metadata={})
    await store.conversations.add(conversation, [item("msg_1")])
    with pytest.raises(InvalidRequest, match="msg_1"):
        await store.responses.put(response("resp_a"), [item("msg_1")], conversation="conv_a")
    assert await store.responses.get("ada", "resp_a") is None


async def test_an_id_that_the_owner_used_before_keeps_its_first_item(store):
    await store.responses.put(response("resp_a"), [item("msg_1", "first")])
    await store.responses.put(response("resp_b"), [item("msg_1", "second")])
    await store.responses.put(response("resp_c", "bob"), [item("msg_1", "third")])
    assert await store.items.get("ada", ["msg_1"]) == {"msg_1": item("msg_1", "first")}
    assert await store.items.get("bob", ["msg_1"]) == {"msg_1": item("msg_1", "third")}


async def test_the_oldest_make_room(store, monkeypatch):
    monkeypatch.setattr(responses, "MAX_RESPONSES", 2)
    for name in "abc":
        await store.responses.put(response(name))
    assert await store.responses.get("ada", "a") is None
    assert await store.responses.get("ada", "b")
