"""Two servers of one database: each work has one runner, and only the runner stores its results."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from minikin.errors import StoreFailure
from minikin.store.kept import BatchLine, Page, StoredBatch, StoredFile, StoredResponse
from minikin.store.store import Store

NOW = int(time.time())
QUEUED = StoredResponse(
    id="resp_a",
    owner="ada",
    created_at=NOW,
    expires_at=NOW + 3600,
    body={"status": "queued"},
    context=[],
    request={"body": {}},
)
BATCH = StoredBatch(id="batch_a", owner="ada", body={"status": "in_progress"})


def ended(text):
    return replace(QUEUED, body={"status": "completed", "text": text}, request=None)


@pytest.fixture
async def stores(location, tmp_path):
    opened = [Store(location, str(tmp_path / "files")) for _ in range(2)]
    yield opened
    for store in opened:
        await store.close()


async def taken(store):
    found = [await store.responses.take_over(name) for name in await store.responses.others()]
    return [response.id for each in found for response in each]


async def test_a_server_of_a_new_database_keeps_its_responses(stores):
    first, second = stores
    await first.responses.put(QUEUED)
    assert await taken(second) == []
    assert await first.responses.put(ended("first"), has_run=True)


async def test_a_response_of_an_ended_server_is_taken_over_once(stores):
    first, second = stores
    await first.responses.put(QUEUED)
    await first.runner.close()
    assert await taken(second) == ["resp_a"]
    assert await taken(second) == []
    await first.runner.appear()
    assert await taken(first) == []


async def test_a_server_that_lost_its_lock_stores_no_second_answer(stores):
    first, second = stores
    await first.responses.put(QUEUED)
    await first.runner.close()  # as when its connection is cut
    await taken(second)
    assert not await first.responses.put(ended("first"), has_run=True)
    assert (await second.responses.get("ada", "resp_a")).body == {"status": "queued"}
    assert await second.responses.put(ended("second"), has_run=True)
    assert not await first.responses.put(ended("first"), has_run=True)
    assert (await first.responses.get("ada", "resp_a")).body["text"] == "second"


async def test_a_server_that_lost_its_lock_changes_no_batch(stores):
    first, second = stores
    await first.batches.add(BATCH)
    await first.batches.add_lines("batch_a", [BatchLine(line=1, request=b"{}")])
    await second.batches.take_over()
    assert await second.batches.mine() == []
    await first.runner.close()
    await second.batches.take_over()
    assert [batch.id for batch in await second.batches.mine()] == ["batch_a"]
    assert await first.batches.mine() == []
    file = StoredFile(
        id="file_a", owner="ada", purpose="batch_output", filename="a", bytes=1, created_at=NOW,
        expires_at=None,
    )  # fmt: skip
    for late in (
        first.batches.clear_lines("batch_a"),
        first.batches.add_lines("batch_a", [BatchLine(line=2, request=b"{}")]),
        first.batches.finish_line("batch_a", 1, "completed", {"by": "first"}),
        first.batches.advance("batch_a", lambda body: body | {"status": "finalizing"}),
        first.batches.end("batch_a", {"status": "completed"}, [file]),
    ):
        with pytest.raises(StoreFailure):
            await late
    assert (await second.batches.get("ada", "batch_a")).body["status"] == "in_progress"
    assert await second.batches.pending("batch_a") == [1]
    assert await second.files.find("ada", Page()) == []
    await second.batches.finish_line("batch_a", 1, "completed", {"by": "second"})
    await second.batches.end("batch_a", {"status": "completed"})
    with pytest.raises(StoreFailure):
        await first.batches.end("batch_a", {"status": "failed"})


async def test_work_of_a_version_without_runners_is_taken_over(stores):
    first, second = stores
    await first.responses.put(QUEUED)
    await first.batches.add(BATCH)
    async with first.database.write() as db:
        for table in ("responses", "batches"):
            await db.exec_driver_sql(f"UPDATE {table} SET runner = NULL")
    await second.batches.take_over()
    assert await taken(second) == ["resp_a"]
    assert [batch.id for batch in await second.batches.mine()] == ["batch_a"]


async def test_a_server_that_ends_leaves_no_file_of_its_lock(tmp_path):
    store = Store(str(tmp_path / "store.sqlite3"))
    await store.responses.put(QUEUED)
    assert list(tmp_path.glob("*.lock"))
    await store.close()
    assert not list(tmp_path.glob("*.lock"))
