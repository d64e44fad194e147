import asyncio
import subprocess
import sys
import time

import pytest

from minikin.errors import InvalidRequest, NotFound
from minikin.store import conversations
from minikin.store.kept import Conversation, Page
from minikin.store.store import Store

NOW = int(time.time())


@pytest.fixture
async def store(location):
    opened = Store(location)
    yield opened
    await opened.close()


def conversation(name="conv_a", owner="ada", **metadata):
    return Conversation(id=name, owner=owner, created_at=NOW, metadata=metadata)


def items(*names):
    return [{"id": name, "type": "message"} for name in names]


async def ids(store, name="conv_a", page=None):
    if page:
        return [entry.id for entry in await store.conversations.page("ada", name, page)]
    return [item["id"] for item in await store.conversations.items("ada", name)]


async def test_a_conversation_keeps_its_items_in_order(store):
    await store.conversations.add(conversation(a="1"), items("msg_1"))
    await store.conversations.append("ada", "conv_a", items("msg_3", "msg_2"))
    assert await ids(store) == ["msg_1", "msg_3", "msg_2"]
    assert await ids(store, page=Page(limit=1)) == ["msg_2", "msg_3"]
    assert await ids(store, page=Page(limit=9, order="asc", after="msg_1")) == ["msg_3", "msg_2"]
    assert (await store.conversations.item("ada", "conv_a", "msg_3"))["id"] == "msg_3"
    await store.conversations.set_metadata("ada", "conv_a", {"b": "2"})
    assert await store.conversations.get("ada", "conv_a") == conversation(b="2")


async def test_another_owner_finds_nothing(store):
    await store.conversations.add(conversation(), items("msg_1"))
    for attempt in (
        store.conversations.get("bob", "conv_a"),
        store.conversations.items("bob", "conv_a"),
        store.conversations.page("bob", "conv_a", Page()),
        store.conversations.item("bob", "conv_a", "msg_1"),
        store.conversations.remove_item("bob", "conv_a", "msg_1"),
        store.conversations.append("bob", "conv_a", items("msg_2")),
        store.conversations.set_metadata("bob", "conv_a", {}),
        store.conversations.delete("bob", "conv_a"),
    ):
        with pytest.raises(NotFound, match="Conversation with id 'conv_a' not found"):
            await attempt
    assert await ids(store) == ["msg_1"]


async def test_an_item_is_once_in_a_conversation_but_can_be_in_two(store):
    await store.conversations.add(conversation(), items("msg_1"))
    with pytest.raises(InvalidRequest, match="Duplicate item found with id msg_1"):
        await store.conversations.append("ada", "conv_a", items("msg_2", "msg_1"))
    assert await ids(store) == ["msg_1"]
    await store.conversations.add(conversation("conv_b"), items("msg_1"))
    await store.conversations.remove_item("ada", "conv_a", "msg_1")
    assert (await ids(store), await ids(store, "conv_b")) == ([], ["msg_1"])
    with pytest.raises(NotFound, match="Item with id 'msg_1' not found"):
        await store.conversations.item("ada", "conv_a", "msg_1")


async def test_a_conversation_has_a_most(store, monkeypatch):
    monkeypatch.setattr(conversations, "MAX_ITEMS", 2)
    await store.conversations.add(conversation(), items("msg_1"))
    with pytest.raises(InvalidRequest, match="at most 2 items"):
        await store.conversations.append("ada", "conv_a", items("msg_2", "msg_3"))


async def test_a_deleted_conversation_leaves_items_that_expire(store, monkeypatch):
    await store.conversations.add(conversation(), items("msg_1", "msg_2"))
    await store.conversations.add(conversation("conv_b"), items("msg_2"))
    monkeypatch.setattr(conversations, "KEPT_SECONDS", -1)
    await store.conversations.delete("ada", "conv_a")
    await store.sweep()
    assert set(await store.items.get("ada", ["msg_1", "msg_2"])) == {"msg_2"}


async def test_the_oldest_make_room_with_their_items(store, monkeypatch):
    monkeypatch.setattr(conversations, "MAX_CONVERSATIONS", 1)
    await store.conversations.add(conversation(), items("msg_1"))
    await store.conversations.add(conversation("conv_b"))
    with pytest.raises(NotFound):
        await store.conversations.get("ada", "conv_a")


OTHER = """
import asyncio, sys
from minikin.store.store import Store

async def main():
    uses = Store(sys.argv[1]).conversations
    for name in sys.argv[2:]:
        try:
            async with uses.use("ada", name):
                print("free", flush=True)
                if name == sys.argv[-1]:
                    await asyncio.sleep(600)
        except Exception as error:
            print(error.code, flush=True)

asyncio.run(main())
"""


async def locked(store, name, owner="ada"):
    with pytest.raises(InvalidRequest) as refused:
        async with store.conversations.use(owner, name):
            pass
    return refused.value.code == "conversation_locked"


async def test_one_response_at_a_time_uses_a_conversation(store):
    await store.conversations.add(conversation())
    async with store.conversations.use("ada", "conv_a"):
        assert await locked(store, "conv_a")
        for free in (("bob", "conv_a"), ("ada", "conv_b")):
            async with store.conversations.use(*free):
                pass
    async with store.conversations.use("ada", "conv_a"):
        pass


async def test_other_servers_of_the_database_see_the_use_until_they_or_it_end(store, location):
    await store.conversations.add(conversation())
    command = [sys.executable, "-c", OTHER, location, "conv_a", "conv_b", "conv_c"]
    async with store.conversations.use("ada", "conv_a"):
        other = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        lines = [(await other.stdout.readline()).decode().strip() for _ in range(3)]
        assert lines == ["conversation_locked", "free", "free"]
        assert await locked(store, "conv_c")
        other.kill()
        await other.wait()

    async def free():
        try:
            async with store.conversations.use("ada", "conv_c"):
                return True
        except InvalidRequest:
            return False

    while not await free():  # PostgreSQL notices the end of a client soon
        await asyncio.sleep(0.05)
