import msgspec
import pytest
from msgspec import Raw

from minikin.store import completions, database
from minikin.store.kept import Filter, Page, StoredCompletion
from minikin.store.store import Store


@pytest.fixture
async def store(location):
    opened = Store(location)
    yield opened
    await opened.close()


def stored(name, owner="ada", model="m", **metadata):
    body = Raw(msgspec.json.encode({"id": name}))
    return StoredCompletion(
        id=name, owner=owner, model=model, body=body, messages=[], metadata=metadata
    )


async def names(store, owner="ada", *, model=None, metadata=None, **page):
    only = Filter(model=model, metadata=metadata or {})
    found, _ = await store.completions.find(owner, Page(**page), only)
    return "".join(each.id for each in found)


async def test_pages_in_both_orders_with_one_more(store):
    for name in "abcde":
        await store.completions.add(stored(name))
    assert await names(store, order="asc", limit=2) == "abc"
    assert await names(store, order="desc", limit=2) == "edc"
    assert await names(store, order="asc", limit=2, after="b") == "cde"
    assert await names(store, order="desc", limit=9, after="b") == "a"
    assert await names(store, after="unknown") == ""


async def test_a_page_of_large_completions_ends_early_and_the_next_goes_on(store, monkeypatch):
    monkeypatch.setattr(database, "PAGE_BYTES", 1_000_000)
    for name in "abcd":
        large = stored(name, x="y")
        body = Raw(msgspec.json.encode({"id": name, "text": name * 400_000}))
        await store.completions.add(msgspec.structs.replace(large, body=body))
    found, page = await store.completions.find("ada", Page(order="asc"), Filter())
    assert page.limit == 2
    assert [each.id for each in found] == ["a", "b", "c"], "one more: there is more"
    shown = msgspec.json.decode(found[0].answer)
    assert shown == {"id": "a", "text": "a" * 400_000, "metadata": {"x": "y"}}
    found, page = await store.completions.find("ada", Page(order="asc", after="b"), Filter())
    assert [each.id for each in found] == ["c", "d"]
    monkeypatch.setattr(database, "PAGE_BYTES", 1)
    found, page = await store.completions.find("ada", Page(order="asc"), Filter())
    assert (len(found), page.limit) == (2, 1), "an entry that is larger than a page is shown"


async def test_an_owner_sees_nothing_of_another(store):
    await store.completions.add(stored("a"))
    await store.completions.add(stored("b", owner="bob"))
    assert await names(store, "bob") == "b"
    assert await names(store, "bob", after="a") == ""
    assert await store.completions.get("bob", "a") is None
    assert not await store.completions.delete("bob", "a")
    await store.completions.set_metadata("bob", "a", {"x": "y"})
    kept = await store.completions.get("ada", "a")
    assert kept
    assert kept.metadata == {}


TRICKY = ['"', "\\", ',"a":"1"', '{"a":"1"}', 'x","a":"1', 'x,"a', "\0", "%", "_", "'", "é", "A"]


@pytest.mark.parametrize("text", TRICKY)
async def test_the_filter_finds_exactly_the_pairs_of_the_metadata(store, text):
    await store.completions.add(stored("k", **{text: "1"}))
    await store.completions.add(stored("v", **{"a": text}))
    await store.completions.add(stored("p", **{"0": "0", "a": "1", "z": "2"}))
    assert await names(store, metadata={text: "1"}) == "k"
    assert await names(store, metadata={"a": text}) == "v"
    assert await names(store, metadata={"a": "1", "z": "2"}) == "p"
    assert await names(store, metadata={"a": "2"}) == ""


async def test_a_strange_id_or_model_is_not_found(store):
    await store.completions.add(stored("a"))
    for strange in ("", "\0", "a\0", "\ud800", "é" * 5000, "' OR 1=1 --"):
        assert await store.completions.get("ada", strange) is None
        assert await names(store, model=strange) == ""
        assert await names(store, after=strange) == ""


async def test_the_oldest_make_room(store, monkeypatch):
    monkeypatch.setattr(completions, "MAX_STORED", 2)
    for name in "abc":
        await store.completions.add(stored(name))
    assert await names(store, order="asc") == "bc"
