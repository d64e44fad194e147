import asyncio
import contextlib
import socket
import sqlite3
import stat

import pytest
import sqlalchemy as sa

from minikin.errors import SetupError, StoreFailure
from minikin.store.database import Database, check_database, url_of
from minikin.store.tables import completions
from tests.store.rows import completion


async def count(database):
    async with database.read() as db:
        return await db.scalar(sa.select(sa.func.count()).select_from(completions))


async def test_a_transaction_is_kept_whole_or_not_at_all(location):
    database = Database(location)
    async with database.write() as db:
        await db.execute(sa.insert(completions), completion("a"))
    with contextlib.suppress(ZeroDivisionError):
        async with database.write() as db:
            await db.execute(sa.insert(completions), completion("b"))
            raise ZeroDivisionError
    assert await count(database) == 1
    await database.close()


async def test_many_writers_at_a_time_all_succeed(location):
    databases = [Database(location) for _ in range(2)]

    async def add(at):
        async with databases[at % 2].write() as db:
            await db.execute(sa.insert(completions), completion(str(at)))

    await asyncio.gather(*map(add, range(40)))
    assert await count(databases[0]) == 40
    for database in databases:
        await database.close()


async def test_a_failure_names_no_details_to_the_client(location):
    database = Database(location)
    with pytest.raises(StoreFailure) as failure:
        async with database.write() as db:
            await db.execute(sa.text("SELECT * FROM secrets"))
    assert "secrets" in failure.value.reason
    assert "secrets" not in failure.value.message
    await database.close()


async def test_a_file_is_for_its_owner_alone(tmp_path):
    database = Database(str(tmp_path / "new" / "store.sqlite3"))
    async with database.write():
        pass
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (database.path, database.path.parent)]
    assert modes == [0o600, 0o700]
    await database.close()


def test_a_database_of_a_newer_minikin_is_not_touched(tmp_path):
    path = tmp_path / "store.sqlite3"
    check_database(str(path))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    with pytest.raises(SetupError, match="9999 of a newer Minikin"):
        check_database(str(path))


@pytest.mark.parametrize("location", ["mysql://a/b", "postgresql://a:x/y"])
def test_what_is_neither_a_file_nor_a_server_is_an_error(location):
    with pytest.raises(SetupError, match="--database"):
        url_of(location)


def test_an_error_shows_the_url_without_the_password():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SetupError) as error:
        check_database(f"postgresql://me:secret@127.0.0.1:{port}/x")
    assert f" postgresql://me:***@127.0.0.1:{port}/x:" in error.value.message


def test_a_server_of_postgresql_takes_the_options_of_libpq():
    assert dict(url_of("postgres://a/b?sslmode=require").query) == {"ssl": "require"}
