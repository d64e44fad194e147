"""The kernels and the wheel for macOS, compiled here by clang with macOS's headers. Nothing runs.

clang is that of Zig, which also links for macOS. `make test-macos` installs it.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from minikin.engine.native.build import load_library
from minikin.engine.native.kernels import Kernels
from minikin.engine.native.variants import ON_MACOS, command
from minikin.memory import RUSAGE_INFO_V0, RusageInfo
from tests import mach_o
from tests.real_model import ROOT

pytestmark = [
    pytest.mark.macos,
    pytest.mark.skipif(
        not all(map(find_spec, ("ziglang", "hatchling"))), reason="needs ziglang and hatchling"
    ),
]

KINDS = {"aarch64": "arm64", "x86_64": "x86_64"}
"""What Zig and macOS call them."""
CLANG = """#!{python}
import os, re, sys
kinds = {kinds!r}
words, given = ["-Werror"], sys.argv[1:]
while given:
    word = given.pop(0)
    if word == "-arch":
        kind = {{arch: kind for kind, arch in kinds.items()}}[given.pop(0)]
        words += ["-target", kind + "-macos.11.0"]
    elif word.startswith("-mmacosx-version-min="):
        assert word.endswith("=11.0")
    elif match := re.fullmatch(r"-march=armv8(?:\\.2)?-a(.*)", word):
        words.append("-mcpu=generic+v8" + ("_2a" if ".2" in word else "a") + match[1])
    elif word.startswith("-march="):
        words.append("-mcpu=" + word.removeprefix("-march=").replace("-", "_"))
    else:
        words.append(word)
os.execv(sys.executable, [sys.executable, "-m", "ziglang", "cc", *words])
"""
"""Apple's clang, as far as the kernels need it: Zig has other names for targets and processors."""
BUILD = """
import sys
from hatchling.builders.wheel import WheelBuilder
sys.platform = "darwin"
print(*WheelBuilder(sys.argv[1]).build(directory=sys.argv[2]))
"""
OF_THE_SYSTEM = re.compile(
    r"pthread_\w+|sched_yield|(__)?bzero|(__)?mem(cpy|set|move)(_chk)?|memset_pattern16"
    r"|dyld_stub_binder|(exp|exp2|log|log1p|ceil|rint|tanh|erf|sqrt|pow)f?"
)
"""What the kernels may need of macOS."""


@pytest.fixture(scope="module")
def clang(tmp_path_factory) -> Path:
    """A folder with a program that stands in for Apple's clang."""
    folder = tmp_path_factory.mktemp("clang")
    (folder / "clang").write_text(CLANG.format(python=sys.executable, kinds=KINDS))
    (folder / "clang").chmod(0o755)
    (folder / "xcode-select").symlink_to(shutil.which("true") or "")
    return folder


@pytest.fixture(scope="module", params=KINDS)
def wheel(request, clang, tmp_path_factory) -> tuple[str, Path]:
    """A kind of Mac, and its wheel. This machine plays the Mac: its name, and its clang."""
    context, built = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "build_kernels.py", "README.md", "LICENSE", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, context / name)
    env = os.environ | {"PATH": f"{clang}:{os.environ['PATH']}"}
    env["MINIKIN_WHEEL_MACHINE"] = request.param
    subprocess.run([sys.executable, "-c", BUILD, context, built], check=True, env=env)
    [file] = built.glob("*.whl")
    return request.param, file


def test_a_mac_builds_a_wheel_with_all_its_kernels(wheel, tmp_path):
    kind, file = wheel
    assert file.name.endswith(f"-py3-none-macosx_11_0_{KINDS[kind]}.whl")
    with zipfile.ZipFile(file) as archive:
        found = [name for name in archive.namelist() if "/prebuilt/" in name]
        archive.extractall(tmp_path, found)
    assert [Path(name).name for name in found] == [one.file for one in ON_MACOS[kind]]
    for name, variant in zip(found, ON_MACOS[kind], strict=True):
        library = mach_o.read(tmp_path / name)
        assert library.cpu == KINDS[kind]
        assert called() <= library.exported
        assert [name for name in library.needed if not OF_THE_SYSTEM.fullmatch(name)] == []
        assert variant.instructions.encode() + b"\0" in (tmp_path / name).read_bytes()


def called() -> set[str]:
    """The functions that Python calls, by those that it looks up in the library of this machine."""
    real = load_library()
    assert real is not None
    names = set()

    class Recorded:
        def __getattr__(self, name):
            names.add(name)
            return getattr(real, name)

    Kernels(Recorded(), threads=1)  # pyright: ignore[reportArgumentType]
    return names


@pytest.mark.parametrize("kind", KINDS)
def test_python_knows_the_structs_and_functions_of_macos(kind, clang, tmp_path):
    """Those of `memory.py`."""
    numbers = {
        "RUSAGE_INFO_V0": RUSAGE_INFO_V0,
        "sizeof(struct rusage_info_v0)": ctypes.sizeof(RusageInfo),
    }
    for name, *_ in RusageInfo._fields_:
        numbers[f"offsetof(struct rusage_info_v0, {name})"] = getattr(RusageInfo, name).offset
    headers = ("libproc.h", "malloc/malloc.h", "stddef.h", "sys/resource.h")
    lines = [
        *(f"#include <{header}>" for header in headers),
        *(f'_Static_assert({name} == {number}, "");' for name, number in numbers.items()),
        "int (*usage)(int, int, rusage_info_t *) = proc_pid_rusage;",
        "size_t (*relieve)(malloc_zone_t *, size_t) = malloc_zone_pressure_relief;",
    ]
    source, target = tmp_path / "known.c", tmp_path / "known.so"
    source.write_text("\n".join([*lines, ""]))
    flags = ("-arch", KINDS[kind], "-mmacosx-version-min=11.0", "-shared", "-Werror")
    subprocess.run(command(str(clang / "clang"), flags, source, target), check=True)
    needed = {"proc_pid_rusage", "malloc_zone_pressure_relief"}
    assert needed <= mach_o.read(target).needed
