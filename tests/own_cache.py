"""A cache of a test's own, without what takes a minute to make."""

from __future__ import annotations

from pathlib import Path

from minikin.config import cache_folder


def own_cache(folder: Path) -> Path:
    """Make `folder` an empty cache, but for the kernels and the catalog's index of the user."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("kernels", "catalog"):
        made = cache_folder() / name
        made.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(made)
    return folder
