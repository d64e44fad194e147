"""The contents of files: in a folder, or in any location that fsspec reaches (S3, ...)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

from minikin.errors import SetupError, StoreFailure

log = logging.getLogger(__name__)

CHUNK = 1024 * 1024
"""Bytes that are read or written at a time."""
_T = TypeVar("_T")


class Writer:
    """A content that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._parts: list[bytes] = []
        self._pending = 0
        self.size = 0
        """Bytes so far."""

    async def write(self, data: bytes) -> None:
        """Append `data`. At most CHUNK bytes and the last `data` are in memory."""
        self._parts.append(data)
        self._pending += len(data)
        self.size += len(data)
        if self._pending >= CHUNK:
            await self.flush()

    async def flush(self) -> None:
        """Write what is still in memory."""
        data = b"".join(self._parts)
        self._parts, self._pending = [], 0
        await _run(lambda: self._file.write(data))


class Contents:
    """Contents by their names. All calls run in threads, and raise StoreFailure if they fail."""

    def __init__(self, location: str) -> None:
        self.location = location

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system and the folder in it. A local folder is for its owner alone."""
        import fsspec  # takes a while, and most servers store no file
        from fsspec.implementations.local import LocalFileSystem

        system, folder = fsspec.url_to_fs(self.location)
        if isinstance(system, LocalFileSystem):
            Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        return system, folder

    def check(self) -> None:
        """Raise SetupError if the location cannot be used."""
        try:
            system, folder = self._place
            system.exists(folder)
        except Exception as error:
            raise SetupError(
                f"Cannot keep files in {self.location}: {_reason(error)}. Set another place with "
                "--files."
            ) from error

    @asynccontextmanager
    async def create(self, name: str) -> AsyncIterator[Writer]:
        """A new content. If the block fails, a part of it can remain."""
        file = await _run(lambda: self._open(name, "wb"))
        try:
            writer = Writer(file)
            yield writer
            await writer.flush()
        finally:
            await _run(file.close)

    async def read(self, name: str) -> AsyncGenerator[bytes, None]:
        """The content, in chunks."""
        file = await _run(lambda: self._open(name, "rb"))
        try:
            while chunk := await _run(lambda: file.read(CHUNK)):
                yield chunk
        finally:
            await _run(file.close)

    async def delete(self, name: str) -> None:
        """Delete a content, if it exists."""

        def remove() -> None:
            system, folder = self._place
            path = f"{folder}/{name}"
            if system.exists(path):
                system.rm(path)

        await _run(remove)

    def _open(self, name: str, mode: str) -> Any:
        system, folder = self._place
        return system.open(f"{folder}/{name}", mode)


async def _run(work: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(work)
    except Exception as error:
        log.error("The contents of files failed: %s", _reason(error))
        raise StoreFailure(_reason(error)) from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
