"""Files of numbers in a private folder: what is read back, and what is not."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minikin.engine import prefix_files
from minikin.engine.prefix_files import ABANDONED_SECONDS, KEPT_SHARE, PrefixFiles
from minikin.errors import SetupError

NUMBERS = np.arange(1000, dtype=np.uint16)
SIZE = 2 * len(NUMBERS) + 40
"""Bytes of a file, with its head."""
NOW = 1_800_000_000_000_000_000


def files_in(folder: Path, most: int = 10**6) -> PrefixFiles:
    return PrefixFiles(folder, most, len(NUMBERS))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "prefixes"


@pytest.fixture
def files(folder):
    return files_in(folder)


def read(files: PrefixFiles, name: str) -> np.ndarray | None:
    room = np.zeros_like(NUMBERS)
    return room if files.read(name, room) else None


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_numbers_come_back_under_their_name(files, folder):
    files.write("a", NUMBERS, NOW)
    files.write("b", NUMBERS + 1, NOW)
    assert np.array_equal(read(files, "a"), NUMBERS)
    assert np.array_equal(read(files_in(folder), "b"), NUMBERS + 1)
    assert read(files, "c") is None
    assert names(folder) == {"a.prefix", "b.prefix"}


def test_only_the_user_can_read_them(files, folder):
    before = os.umask(0)
    files.write("a", NUMBERS, NOW)
    os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "a.prefix").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o777])
def test_a_folder_that_others_can_open_is_refused(folder, mode):
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(SetupError, match="chmod 700"):
        files_in(folder)
    folder.chmod(0o700)
    files_in(folder)


def test_a_folder_of_another_user_is_refused(folder, monkeypatch):
    folder.mkdir(0o700, parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(SetupError, match="Other users"):
        files_in(folder)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="Cannot use --prefix-store"):
        files_in(tmp_path / "file" / "prefixes")


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files_in(Path("~/prefixes")).folder == tmp_path / "prefixes"


def rewrite(change):
    def damage(file: Path) -> None:
        file.write_bytes(change(file.read_bytes()))

    return damage


def flip(at: int):
    def change(whole: bytes) -> bytes:
        at_ = at % len(whole)
        return whole[:at_] + bytes([whole[at_] ^ 1]) + whole[at_ + 1 :]

    return rewrite(change)


def replace_with(make):
    def damage(file: Path) -> None:
        file.unlink()
        make(file)

    return damage


def signed(numbers: np.ndarray):
    """A file whose digest fits, with these numbers."""
    return rewrite(lambda whole: whole[:8] + prefix_files._digest("a", numbers) + numbers.tobytes())


DAMAGE = {
    "no bytes": rewrite(lambda whole: b""),
    "half of it": rewrite(lambda whole: whole[: len(whole) // 2]),
    "one byte less": rewrite(lambda whole: whole[:-1]),
    "one byte more": rewrite(lambda whole: whole + b"1"),
    "far too long": lambda file: os.truncate(file, 1 << 40),
    "zeros": rewrite(lambda whole: bytes(len(whole))),
    "a bit of the magic": flip(0),
    "a bit of the digest": flip(20),
    "the first bit of the numbers": flip(40),
    "the last bit": flip(-1),
    "text": rewrite(lambda whole: b"pickle" * 1000),
    "infinity": signed(np.full_like(NUMBERS, 0x7F80)),
    "not a number": signed(np.full_like(NUMBERS, 0xFFC0)),
    "a link": replace_with(lambda file: file.symlink_to("/dev/zero")),
    "a link to nothing": replace_with(lambda file: file.symlink_to("nothing")),
    "a pipe": replace_with(os.mkfifo),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_removed_and_can_be_written_again(files, folder, caplog, damage):
    files.write("a", NUMBERS, NOW)
    DAMAGE[damage](folder / "a.prefix")
    assert read(files, "a") is None
    assert "cannot use" in caplog.text
    assert names(folder) == set()
    files.write("a", NUMBERS, NOW)
    assert np.array_equal(read(files, "a"), NUMBERS)


def test_a_folder_in_place_of_a_file_stays(files, folder, caplog):
    (folder / "a.prefix").mkdir()
    assert read(files, "a") is None
    assert names(folder) == {"a.prefix"}


def test_a_file_with_the_name_of_another_is_removed(files, folder):
    files.write("a", NUMBERS, NOW)
    shutil.copy(folder / "a.prefix", folder / "b.prefix")
    assert read(files, "b") is None
    assert names(folder) == {"a.prefix"}


def test_the_file_of_a_model_of_other_sizes_is_removed(files, folder):
    files.write("a", NUMBERS, NOW)
    other = PrefixFiles(folder, 10**6, len(NUMBERS) // 2)
    assert not other.read("a", np.zeros(len(NUMBERS) // 2, np.uint16))
    assert names(folder) == set()


def test_a_use_is_recorded(files, folder):
    assert not files.touch("a", NOW)
    files.write("a", NUMBERS, NOW)
    assert (folder / "a.prefix").stat().st_mtime_ns == NOW
    assert files.touch("a", NOW + 5)
    assert (folder / "a.prefix").stat().st_mtime_ns == NOW + 5


def test_the_least_recently_used_files_leave(folder):
    files = files_in(folder, 10 * SIZE)
    for at in range(10):
        files.write(f"{at}", NUMBERS, NOW + at)
    files.touch("0", NOW + 100)
    assert len(names(folder)) == 10
    files.write("new", NUMBERS, NOW + 50)
    kept = names(folder)
    assert {"0.prefix", "new.prefix", "9.prefix"} <= kept
    assert "1.prefix" not in kept
    assert len(kept) <= KEPT_SHARE * 10


def test_many_files_stay_below_the_limit(folder):
    files = files_in(folder, 100 * SIZE)
    for at in range(400):
        files.write(f"{at}", NUMBERS, NOW + at)
        assert len(names(folder)) <= 100
    assert "399.prefix" in names(folder)


def test_the_limit_holds_for_servers_that_share_a_folder(folder, monkeypatch):
    monkeypatch.setattr(prefix_files, "LOOK_AFTER", 4)
    several = [files_in(folder, 40 * SIZE) for _ in range(3)]
    for at in range(300):
        several[at % 3].write(f"{at}", NUMBERS, NOW + at)
        assert len(names(folder)) <= 40 + 2 * 4


def test_files_of_others_are_left_alone(folder):
    files = files_in(folder, 2 * SIZE)
    (folder / "notes.txt").write_bytes(b"x" * 10 * SIZE)
    for at in range(5):
        files.write(f"{at}", NUMBERS, NOW + at)
    assert names(folder) == {"notes.txt", "4.prefix"}


def test_a_limit_below_one_file_stores_nothing(folder):
    files = files_in(folder, SIZE - 1)
    with pytest.raises(OSError, match="smaller than one file"):
        files.write("a", NUMBERS, NOW)
    assert names(folder) == set()


class FullFile:
    """A file on a full disk."""

    def __init__(self, descriptor, mode):
        self.file = os.fdopen(descriptor, mode)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_no_part_of_a_file(files, folder, monkeypatch):
    monkeypatch.setattr(prefix_files, "open", FullFile, raising=False)
    with pytest.raises(OSError, match="No space left"):
        files.write("a", NUMBERS, NOW)
    assert names(folder) == set()


def test_some_of_the_disk_stays_free(files, folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(OSError, match="less than 1 GB"):
        files.write("a", NUMBERS, NOW)
    assert names(folder) == set()


WRITE = """
import os, sys, time
from pathlib import Path
import numpy as np
from minikin.engine.prefix_files import PrefixFiles
def wait(*_):
    print("written", flush=True)
    time.sleep(600)
os.replace = wait
numbers = np.arange(1000, dtype=np.uint16)
PrefixFiles(Path(sys.argv[1]), 10**6, 1000).write("a", numbers, time.time_ns())
"""


def test_a_process_that_is_killed_as_it_writes_leaves_nothing_that_is_read(files, folder):
    writing = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert writing.stdout is not None
    assert writing.stdout.readline() == "written\n"
    writing.kill()
    writing.communicate()
    [left] = folder.iterdir()
    assert left.suffix == ".part"
    assert read(files, "a") is None
    files.write("a", NUMBERS, NOW)
    assert np.array_equal(read(files, "a"), NUMBERS)
    assert left.exists(), "its writer could be alive"
    old = time.time() - ABANDONED_SECONDS - 60
    os.utime(left, (old, old))
    files_in(folder).write("b", NUMBERS, NOW)
    assert names(folder) == {"a.prefix", "b.prefix"}


def test_a_folder_that_only_can_be_read_still_gives_what_it_has(files, folder, caplog):
    caplog.set_level(logging.WARNING)
    files.write("a", NUMBERS, NOW)
    folder.chmod(0o500)
    try:
        assert np.array_equal(read(files_in(folder), "a"), NUMBERS)
    finally:
        folder.chmod(0o700)
    assert caplog.text == ""
