"""The facts of installed packages, checked once and kept in the cache folder.

To read and check them takes over a second, and they change only with their package or this one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec

from minikin.catalog.facts.files import write_whole
from minikin.catalog.facts.snapshot import Snapshot
from minikin.config import cache_folder

_CODE = (Path(__file__).parent, Path(__file__).parents[1] / "facts")


def kept(source: str, *depends: str, make: Callable[[], Snapshot]) -> Snapshot:
    """What `make` returned for this source, as long as the texts it `depends` on are the same.

    A file that is missing or damaged is made again. If it cannot be written, nothing is kept.
    """
    mark = blake2b("\n".join((*depends, _code())).encode(), digest_size=10).hexdigest()
    path = cache_folder() / "catalog" / f"{source}-{mark}.msgpack"
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.MsgspecError):
        made = make()
        _keep(made, path, source)
        return made


def _keep(made: Snapshot, path: Path, source: str) -> None:
    """Write the file at once, and remove those of other versions."""
    with suppress(OSError):
        write_whole(path, msgspec.msgpack.encode(made))
        for file in set(path.parent.glob(f"{source}-*.msgpack")) - {path}:
            file.unlink(missing_ok=True)


@cache
def _code() -> str:
    """A digest of the code and tables that read the sources."""
    files = sorted(file for folder in _CODE for file in folder.iterdir() if file.is_file())
    return blake2b(b"".join(file.read_bytes() for file in files), digest_size=10).hexdigest()
