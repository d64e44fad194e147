"""The folder that stores downloaded models.

    models/NAME/          a complete, checked model: its files and `model.json`
    partial/NAME/         a download in progress. Its parts survive a failure, so that it can
                          resume. The complete, checked files are in `model/` there
    locks/NAME.lock       locked while NAME is downloaded or deleted

A model's folder is created with one rename, after everything in it is checked and on disk.
Therefore everything in `models/` is complete, even if a download was killed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from minikin.errors import DownloadError, SetupError
from minikin.hub.progress import Progress
from minikin.hub.source import slug

_RECORD = "model.json"


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `model.json`: facts of the model beside it."""

    name: str
    source: str
    """The source, as a user writes it."""
    file: str
    """What to load: one of the files beside this one, or "." for the folder."""
    size: int
    """Bytes of all files."""
    sha256: str | None = None
    """The digest of the file, if the user or Minikin named one. It was checked."""


class CachedModel(msgspec.Struct, frozen=True):
    """A complete model on this machine."""

    record: ModelRecord
    path: Path
    """The file or folder to load."""


class ModelCache:
    """The models in `folder`. The folder is created when it is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.models_folder = self.folder / "models"

    def find(self, name: str) -> CachedModel | None:
        """The complete model with this name. Needs no network and no writable folder."""
        if slug(name) != name:
            return None
        folder = self.models_folder / name
        try:
            record = msgspec.json.decode((folder / _RECORD).read_bytes(), type=ModelRecord)
            whole = (folder / record.file).exists() and _size(folder) == record.size
        except (OSError, ValueError, msgspec.MsgspecError):
            return None
        return CachedModel(record, folder / record.file) if whole else None

    def models(self) -> list[CachedModel]:
        """All complete models, sorted by name."""
        return [model for name in _names(self.models_folder) if (model := self.find(name))]

    def parts(self) -> list[str]:
        """Names of models whose download is incomplete or in progress."""
        return _names(self.folder / "partial")

    @contextmanager
    def filling(self, name: str, progress: Progress) -> Iterator[Path]:
        """The folder to download `name` into, locked by this process.

        It still contains the parts of an earlier, incomplete download. End with `commit`. An
        OSError becomes a DownloadError: the folder is not writable, or its disk is full.
        """
        work = self.folder / "partial" / name
        try:
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
            with self._locked(name, progress):
                shutil.rmtree(work / "model", ignore_errors=True)
                (work / "model").mkdir(parents=True)
                try:
                    yield work
                finally:
                    shutil.rmtree(work / "model", ignore_errors=True)
                    if not any(_files(work)):  # nothing to resume from
                        shutil.rmtree(work, ignore_errors=True)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full(self.folder) from error
            raise DownloadError(
                f"Cannot use the cache folder {self.folder} ({error}). Set another one with "
                "--cache or MINIKIN_CACHE."
            ) from error

    def commit(
        self, work: Path, file: str, *, source: str, sha256: str | None = None
    ) -> CachedModel:
        """Make the content of `work/model` a complete model that loads `file`.

        `work` comes from `filling`. This is the last call in its block.
        """
        ready, target = work / "model", self.models_folder / work.name
        record = ModelRecord(
            name=work.name, source=source, file=file, size=_size(ready), sha256=sha256
        )
        (ready / _RECORD).write_bytes(msgspec.json.encode(record))
        for path in (*ready.iterdir(), ready):
            _sync(path)
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(ready, target)
        _sync(target.parent)
        shutil.rmtree(work, ignore_errors=True)
        return CachedModel(record, target / file)

    def remove(self, name: str, progress: Progress) -> int:
        """Delete the model with this name and its parts. Returns the freed bytes.

        Raises SetupError if there is nothing to delete.
        """
        folders = (self.models_folder / name, self.folder / "partial" / name)
        if slug(name) != name or not any(folder.is_dir() for folder in folders):
            raise SetupError(f"There is no model '{name}' here. `minikin models` lists the models.")
        with self.filling(name, progress):
            freed = sum(path.stat().st_size for folder in folders for path in _files(folder))
            for folder in folders:
                if folder.is_dir():
                    shutil.rmtree(folder)
        return freed

    @contextmanager
    def _locked(self, name: str, progress: Progress) -> Iterator[None]:
        lock = FileLock(self.folder / "locks" / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.note(f"Waiting for another minikin process that downloads {name}.")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def check_space(folder: Path, need: int) -> None:
    """Raise DownloadError if the disk of `folder` has fewer than `need` free bytes."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise disk_full(folder, need)


def disk_full(folder: Path, need: int | None = None) -> DownloadError:
    """The error for a disk of `folder` that has no room for `need` more bytes."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    wanted = f"{need / 1e6:,.0f} MB are needed, " if need else ""
    return DownloadError(
        f"The disk of {folder} is full: {wanted}{free / 1e6:,.0f} MB are free. Free some space, or "
        "set a folder on another disk with --cache or MINIKIN_CACHE."
    )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _size(folder: Path) -> int:
    """Bytes of a model's files, without the record."""
    return sum(path.stat().st_size for path in _files(folder) if path.name != _RECORD)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _sync(path: Path) -> None:
    """Flush `path` to disk before anything depends on it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
