"""One database behind SQLAlchemy: an SQLite file, or a PostgreSQL server.

It opens on first use, so that a server that stores nothing writes nothing, and then it has the
newest version of the tables (`migrations/`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Raw
from platformdirs import user_data_path
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from minikin.errors import SetupError, StoreFailure
from minikin.store.group_commit import GroupCommit
from minikin.store.kept import Page
from minikin.store.tables import Json, JsonText

log = logging.getLogger(__name__)

Row = TypeVar("Row", bound=msgspec.Struct)
_T = TypeVar("_T")
decode = msgspec.json.decode

HEAD = "0004"
"""The newest revision in `migrations/`."""
LARGE = 65_536
"""Bytes of JSON. Less is decoded in about a millisecond."""
PAGE_BYTES = 16 * 1024 * 1024
"""A page of a list ends early if its entries are larger. The next page continues there."""
WAIT_SECONDS = 20
"""How long to wait for a turn to write, for a connection, or for an answer of PostgreSQL."""
_BUSY_SECONDS = 10
"""How long a statement waits for another process that locks the SQLite file."""
_LOCK = 0x6D696E696B696E
"""The advisory lock of PostgreSQL for two servers that migrate at the same time."""
_DRIVER = "Install the driver of PostgreSQL: pip install 'minikin[postgresql]'."


def url_of(location: str | None) -> sa.URL:
    """The URL of a PostgreSQL server or an SQLite file. None: the file in the user's data folder.

    Raises SetupError if `location` is neither.
    """
    if not location:
        location = str(user_data_path("minikin") / "completions.sqlite3")
    scheme, separator, _ = location.partition("://")
    if not separator:
        return sa.URL.create("sqlite+aiosqlite", database=location)
    if scheme not in ("postgresql", "postgres"):
        raise SetupError(
            f"--database {scheme}://... is not supported. Name a file, or a server with "
            "postgresql://."
        )
    try:
        url = sa.make_url(location).set(drivername="postgresql+asyncpg")
    except (ArgumentError, ValueError):
        raise SetupError("The URL of --database is not valid.") from None
    query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(query=query)


def check_database(location: str) -> None:
    """Open the database, or create it. Raises SetupError if it cannot be used."""

    async def check() -> None:
        database = Database(location)
        try:
            async with database.write():
                pass
        finally:
            await database.close()

    try:
        asyncio.run(check())
    except StoreFailure as failure:
        url = url_of(location).set(drivername="postgresql")
        shown = url.render_as_string() if "://" in location else location
        raise SetupError(
            f"Cannot use the database {shown}: {failure.reason}. Set another one with --database."
        ) from failure


class Database:
    """The connections. Statements of one block run on one of them, none on the event loop."""

    def __init__(self, location: str | None = None) -> None:
        self.url = url_of(location)
        self.is_file = self.url.get_backend_name() == "sqlite"
        self._engine: AsyncEngine | None = None
        self._opening: asyncio.Task[AsyncEngine] | None = None
        self._writing = asyncio.Lock() if self.is_file else None
        """SQLite has one writer at a time. Others wait here, not in a loop over its lock."""
        self.group_commit = GroupCommit(self.write)
        """For the writes at the end of answers, which often end together."""

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path(self.url.database or "")

    @property
    def files(self) -> str:
        """The folder for the contents of files, unless the user names one: beside the SQLite file.

        The data folder for a server of PostgreSQL.
        """
        if not self.is_file:
            return str(user_data_path("minikin") / "files")
        return str(self.path.with_suffix(".files").absolute())

    @property
    def exists(self) -> bool:
        """Whether something may be stored in it. A server of PostgreSQL may always have data."""
        return not self.is_file or self.path.exists()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for queries. Raises StoreFailure."""
        with failures():
            engine = await self._open()
            async with engine.connect() as connection:
                yield connection

    async def select(self, kind: type[Row], query: sa.Select[Any]) -> list[Row]:
        """What the query finds, as structs of this kind. Raises StoreFailure.

        A field of the type Raw has the JSON as it is stored. Much other JSON is decoded in another
        thread, row by row, so that the event loop can run.
        """
        raw = {field.name for field in msgspec.structs.fields(kind) if field.type is Raw}
        stored = [(column.name, _reader(column, raw)) for column in query.selected_columns]
        async with self.read() as connection:
            found = (await connection.execute(as_stored(query))).all()

        def decoded() -> list[Row]:
            return [kind(**_values(kind, stored, row)) for row in found]

        return await _beside(decoded, sum(map(_size, found)))

    async def values(self, query: sa.Select[Any]) -> list[Any]:
        """The JSON values that the query finds. Raises StoreFailure."""
        async with self.read() as connection:
            found = (await connection.scalars(as_stored(query))).all()
        return await _beside(lambda: [decode(value) for value in found], sum(map(len, found)))

    async def fitting(self, page: Page, sizes: sa.Select[Any]) -> Page:
        """The beginning of a page that has at most PAGE_BYTES, but at least one entry.

        `sizes` finds the bytes of its entries. Raises StoreFailure.
        """
        async with self.read() as connection:
            found = (await connection.scalars(sizes)).all()
        totals = list(itertools.accumulate(found[: page.limit]))
        fit = sum(total <= PAGE_BYTES for total in totals)
        return msgspec.structs.replace(page, limit=max(1, fit)) if fit < len(totals) else page

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, which is committed at the end. Raises StoreFailure."""
        with failures():
            engine = await self._open()
            async with self._turn(), engine.connect() as connection:
                await connection.execution_options(writes=True)
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The turn of one writer. Raises StoreFailure if the others take too long."""
        if self._writing is None:
            yield
            return
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._writing.acquire()
        except TimeoutError:
            raise StoreFailure("other writes take too long") from None
        try:
            yield
        finally:
            self._writing.release()

    async def connect(self) -> AsyncConnection:
        """A connection of its own. The caller closes it."""
        engine = await self._open()
        return await engine.connect()

    async def close(self) -> None:
        """Close the connections."""
        await self.group_commit.close()
        if self._opening and not self._opening.done():
            await asyncio.wait([self._opening])
        if self._engine:
            await self._engine.dispose()
            self._engine = None

    async def _open(self) -> AsyncEngine:
        """The engine. The first caller opens it, and others wait for the same attempt."""
        if self._engine:
            return self._engine
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._newest())
            self._opening.add_done_callback(_see)
        return await asyncio.shield(self._opening)

    async def _newest(self) -> AsyncEngine:
        engine = await asyncio.to_thread(self._create)
        try:
            await _migrate(engine)
        except BaseException:
            await engine.dispose()
            raise
        self._engine = engine
        return engine

    def _create(self) -> AsyncEngine:
        if self.is_file:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
            engine = create_async_engine(
                self.url, connect_args={"isolation_level": None, "timeout": _BUSY_SECONDS}
            )
            event.listen(engine.sync_engine, "connect", _prepare)
            event.listen(engine.sync_engine, "begin", _begin)
            return engine
        try:
            return create_async_engine(
                self.url,
                pool_pre_ping=True,
                pool_timeout=WAIT_SECONDS,
                connect_args={"timeout": WAIT_SECONDS, "command_timeout": WAIT_SECONDS},
            )
        except ModuleNotFoundError as error:
            raise SetupError(_DRIVER) from error


def _see(opening: asyncio.Task[AsyncEngine]) -> None:
    """Look at its error, because all who wait can have left."""
    if not opening.cancelled():
        opening.exception()


def as_stored(query: sa.Select[Any]) -> sa.Select[Any]:
    """The query, but for JSON as text or bytes."""
    columns = [
        sa.type_coerce(column, column.type.impl_instance).label(column.name)
        if isinstance(column.type, Json | JsonText)
        else column
        for column in query.selected_columns
    ]
    return query.with_only_columns(*columns, maintain_column_froms=True)


async def _beside(work: Callable[[], _T], size: int) -> _T:
    """The result of `work` on `size` bytes of JSON."""
    return work() if size < LARGE else await asyncio.to_thread(work)


def _values(
    kind: type[msgspec.Struct],
    stored: list[tuple[str, Callable[[Any], Any] | None]],
    row: sa.Row[Any],
) -> dict[str, Any]:
    """The fields of a struct from a row of `as_stored`."""
    return {
        name: read(value) if value is not None and read else value
        for (name, read), value in zip(stored, row, strict=True)
        if name in kind.__struct_fields__
    }


def _reader(column: Any, raw: set[str]) -> Callable[[Any], Any] | None:
    """What makes a field of a stored value. None: it is the field."""
    if not isinstance(column.type, Json | JsonText):
        return None
    return Raw if column.name in raw else decode


def _size(row: sa.Row[Any]) -> int:
    return sum(len(value) for value in row if isinstance(value, bytes | str))


class failures:  # noqa: N801, a context manager that reads like a function
    """Turns the errors of the database into StoreFailure, with the details in the log."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SQLAlchemyError | OSError):
            reason = _reason(error)
            log.error("The database failed: %s", reason)
            raise StoreFailure(reason) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, DBAPIError):
        return str(error.orig).partition("\n")[0]
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _prepare(connection: Any, record: object) -> None:
    """Set up a new connection. In WAL mode, readers and the writer do not wait for each other."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    """Start a transaction that writes with the lock for writing, so that it cannot fail later."""
    if connection.get_execution_options().get("writes"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _migrate(engine: AsyncEngine) -> None:
    """Bring the tables to the newest revision. Raises SetupError if they are newer than that."""
    async with engine.connect() as connection:
        await connection.execution_options(writes=True)
        async with connection.begin():
            if engine.dialect.name == "postgresql":
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    revision = None
    if sa.inspect(connection).has_table("alembic_version"):
        revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if revision == HEAD:
        return
    if revision is not None and revision > HEAD:
        raise SetupError(
            f"The database has the version {revision} of a newer Minikin, and this one knows "
            f"versions up to {HEAD}. Update Minikin, or set another database with --database."
        )
    # Alembic takes a tenth of a second to import, and most starts do not need it.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    folder = str(Path(__file__).with_name("migrations"))
    script = ScriptDirectory(folder, version_locations=[folder])
    context = EnvironmentContext(
        Config(), script, fn=lambda at, _: script._upgrade_revs(HEAD, at), destination_rev=HEAD
    )
    with context:
        context.configure(connection=connection)
        context.run_migrations()
