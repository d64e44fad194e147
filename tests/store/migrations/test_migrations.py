import sqlite3
import sys

import msgspec
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from minikin.store import migrations
from minikin.store.database import HEAD, Database
from minikin.store.kept import Filter, Page
from minikin.store.store import Store
from minikin.store.tables import metadata

BEFORE_REVISIONS = """
CREATE TABLE IF NOT EXISTS completions (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    body BLOB NOT NULL,
    messages BLOB NOT NULL,
    metadata TEXT NOT NULL
)
"""
"""The schema of Minikin before its database had revisions."""


def _differences(connection):
    return compare_metadata(MigrationContext.configure(connection), metadata)


async def test_the_revisions_make_the_tables_that_the_code_uses(location):
    opened = Database(location)
    async with opened.write() as db:
        differences = await db.run_sync(_differences)
    assert differences == []
    await opened.close()


def test_the_newest_revision_is_the_one_that_the_code_names():
    folder = migrations.__path__[0]
    assert ScriptDirectory(folder, version_locations=[folder]).get_heads() == [HEAD]


async def test_a_database_of_the_first_schema_keeps_every_completion(tmp_path):
    path = tmp_path / "completions.sqlite3"
    with sqlite3.connect(path) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.execute(BEFORE_REVISIONS)
        for at in range(3):
            values = (f"c{at}", "ada", "m", b'{"id":"c"}', b'[{"role":"user"}]', f'{{"n":"{at}"}}')
            old.execute(
                "INSERT INTO completions (id, owner, model, body, messages, metadata) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                values,
            )
    old.close()
    store = Store(str(path))
    found, _ = await store.completions.find("ada", Page(order="asc"), Filter())
    assert [stored.id for stored in found] == ["c0", "c1", "c2"]
    one = await store.completions.get("ada", "c1")
    assert one
    assert msgspec.json.decode(one.answer) == {"id": "c", "metadata": {"n": "1"}}
    assert (one.model, one.messages) == ("m", [{"role": "user"}])
    assert await store.responses.get("ada", "none") is None
    await store.close()


async def test_a_current_database_opens_without_alembic(tmp_path, monkeypatch):
    location = str(tmp_path / "store.sqlite3")
    for _ in range(2):
        opened = Database(location)
        async with opened.read():
            pass
        await opened.close()
        monkeypatch.setitem(sys.modules, "alembic.config", None)
