"""The C headers: each stands alone, and one of them chooses the instruction set."""

import platform
import shutil
import subprocess

import pytest

from minikin.engine.native.build import SOURCE
from minikin.engine.native.variants import SETS

HEADERS = sorted(SOURCE.parent.glob("*.h"))
CHOICE = SOURCE.with_name("instruction_set.h")
FLAGS = dict(
    zip(
        SETS,
        (
            (),
            ("-mavx2", "-mfma", "-mf16c"),
            ("-march=sapphirerapids", "-mno-amx-bf16"),
            ("-march=sapphirerapids",),
        ),
        strict=True,
    )
)
"""What gcc needs to compile for a processor that has each set, and none above it."""
OF_X86 = ("avx2", "avx512", "amx")

here_only = pytest.mark.skipif(
    platform.machine() != "x86_64" or not shutil.which("gcc"), reason="no gcc for x86 here"
)


@here_only
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(flags, marks=pytest.mark.thorough if at < len(FLAGS) - 1 else ())
        for at, flags in enumerate(FLAGS.values())
    ],
    ids=FLAGS,
)
@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_a_header_compiles_alone_for_any_processor(header, flags):
    silent = ("-Wall", "-Werror", "-Wno-unused-function", "-Wno-unused-variable", "-Wno-psabi")
    subprocess.run(["gcc", "-fsyntax-only", "-x", "c", *silent, *flags, header], check=True)


@here_only
@pytest.mark.parametrize("most", SETS)
@pytest.mark.parametrize("had", SETS)
def test_the_set_is_the_best_that_the_processor_has_and_the_caller_allows(had, most):
    define = f"-DMOST={SETS.index(most)}"
    command = ["gcc", "-E", "-dM", *FLAGS[had], define, "-x", "c", CHOICE]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    [chosen] = [line for line in macros.splitlines() if line.startswith("#define INSTRUCTIONS ")]
    assert chosen == f'#define INSTRUCTIONS "{min(had, most, key=SETS.index)}"'


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_only_headers_of_x86_name_its_instructions(header):
    if not any(word in header.name for word in OF_X86):
        text = header.read_text()
        assert "immintrin" not in text
        assert "_mm" not in text
        assert "__AVX" not in text or header == CHOICE
        assert "__AMX" not in text or header == CHOICE


@pytest.mark.parametrize(
    "compiler",
    [
        ("gcc", "-march=x86-64"),
        ("clang",),
        ("clang", "--target=aarch64-linux-gnu"),
        ("aarch64-linux-gnu-gcc",),
    ],
    ids=" ".join,
)
def test_the_plain_kernels_compile_for_other_processors(compiler, tmp_path):
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]} here")
    plain = ("-DMOST=0", "-Wall", "-Werror", "-Wno-psabi", "-pthread", "-fPIC")
    command = [*compiler, *plain, "-c", "-o", tmp_path / "kernels.o", SOURCE]
    done = subprocess.run(command, capture_output=True, text=True)
    if "file not found" in done.stderr:
        pytest.skip("no C library for that processor here")
    assert done.returncode == 0, done.stderr
