"""What is kept of the sources, and when it is made again."""

from __future__ import annotations

import pytest

from minikin.catalog.facts.snapshot import Entry, Snapshot
from minikin.catalog.sources import index


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIKIN_CACHE", str(tmp_path))
    return tmp_path / "catalog"


class Maker:
    def __init__(self):
        self.count = 0

    def __call__(self) -> Snapshot:
        self.count += 1
        entry = Entry("offering", "a/b", {"context": 5, "authors": ["x"], "price_input": 0.5})
        return Snapshot("s", str(self.count), "2026-01-01", [entry], ["dropped"])


def test_a_source_is_made_once(folder):
    make = Maker()
    first, second = (index.kept("s", "1.0", make=make) for _ in range(2))
    assert make.count == 1
    assert first == second == Maker()()


def test_another_version_is_made_again_and_the_old_one_is_removed(folder):
    make = Maker()
    for version in ("1.0", "1.1"):
        index.kept("s", version, make=make)
    assert make.count == 2
    assert len(list(folder.iterdir())) == 1


def test_a_damaged_file_is_made_again(folder):
    make = Maker()
    index.kept("s", "1.0", make=make)
    [file] = folder.iterdir()
    file.write_bytes(b"\x81")
    assert index.kept("s", "1.0", make=make).version == "2"
    assert index.kept("s", "1.0", make=make).version == "2"


def test_without_a_place_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIKIN_CACHE", str(tmp_path / "file"))
    make = Maker()
    assert index.kept("s", "1.0", make=make).version == "1"
    assert index.kept("s", "1.0", make=make).version == "2"
