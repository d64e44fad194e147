import contextlib
import time

import pytest

from minikin.errors import NotFound, SetupError, StoreFailure
from minikin.store.contents import CHUNK, Contents
from minikin.store.kept import Page, StoredFile
from minikin.store.store import Store


@pytest.fixture
async def store(location, tmp_path):
    opened = Store(location, str(tmp_path / "files"))
    yield opened
    await opened.close()


def file(name, *, lives=None, **more):
    now = int(time.time())
    expires_at = None if lives is None else now + lives
    facts = {"owner": "ada", "purpose": "batch", "filename": "a\0é.jsonl", "bytes": 1, **more}
    return StoredFile(id=name, created_at=now, expires_at=expires_at, **facts)


async def contents(store, name):
    return b"".join([chunk async for chunk in store.files.content(name)])


async def test_a_draft_becomes_a_file(store, tmp_path):
    data = b"x" * (CHUNK * 2 + 1)
    async with store.files.draft("ada", "file-a") as writer:
        for start in range(0, len(data), 100_000):
            await writer.write(data[start : start + 100_000])
    assert writer.size == len(data)
    assert await store.files.find("ada", Page()) == []
    with pytest.raises(NotFound):
        await store.files.get("ada", "file-a")
    made = file("file-a")
    await store.files.publish(made)
    assert await store.files.get("ada", "file-a") == made
    assert await contents(store, "file-a") == data
    assert (tmp_path / "files").stat().st_mode & 0o077 == 0


async def test_a_draft_that_fails_leaves_nothing(store, tmp_path):
    with contextlib.suppress(ZeroDivisionError):
        async with store.files.draft("ada", "file-a") as writer:
            await writer.write(b"x" * CHUNK * 2)
            raise ZeroDivisionError
    assert list((tmp_path / "files").iterdir()) == []


async def test_what_a_killed_server_left_goes_with_the_sweep(store, tmp_path, monkeypatch):
    async with store.files.draft("ada", "file-draft"):
        pass
    for name, lives in (("file-old", -1), ("file-new", 60)):
        async with store.files.draft("ada", name):
            pass
        await store.files.publish(file(name, lives=lives))
    await store.sweep()
    names = {path.name for path in (tmp_path / "files").iterdir()}
    assert names == {"file-draft", "file-new"}
    tomorrow = time.time() + 24 * 3600 + 1
    monkeypatch.setattr("minikin.store.files.time.time", lambda: tomorrow)
    await store.sweep()
    assert list((tmp_path / "files").iterdir()) == []


async def test_contents_can_be_in_any_place_that_fsspec_reaches(tmp_path):
    store = Store(str(tmp_path / "store.sqlite3"), "memory://minikin-test")
    async with store.files.draft("ada", "file-a") as writer:
        await writer.write(b"x")
    assert await contents(store, "file-a") == b"x"
    await store.files.discard("file-a")
    with pytest.raises(StoreFailure):
        await contents(store, "file-a")
    await store.close()


@pytest.mark.parametrize("location", ["nothing://x", "{tmp}/file/below"])
def test_a_place_that_cannot_be_used_is_an_error(tmp_path, location):
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="--files"):
        Contents(location.format(tmp=tmp_path)).check()
