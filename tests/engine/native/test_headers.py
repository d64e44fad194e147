"""The C headers: each stands alone, and one of them chooses the instruction set."""

import platform
import shutil
import subprocess

import pytest

from minikin.engine.native.build import SOURCE
from minikin.engine.native.variants import SETS_OF, VARIANTS
from tests.thorough import mostly_thorough

SETS = SETS_OF["x86_64"]
OF_X86 = ("avx2", "avx512", "amx")
OF_ARM = ("neon", "bfmmla")
ALL = sorted(SOURCE.parent.glob("*.h"))
PARTIAL = ("matmul_tiled.h", "add_rows.h")
"""They need what their set defines before."""
HEADERS = [header for header in ALL if header.name not in PARTIAL]
COMMON = [header for header in HEADERS if not any(word in header.name for word in OF_ARM)]
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
ARM_GCC = "aarch64-linux-gnu-gcc"
SILENT = ("-Wall", "-Werror", "-Wno-unused-function", "-Wno-unused-variable", "-Wno-psabi")

here_only = pytest.mark.skipif(
    platform.machine() != "x86_64" or not shutil.which("gcc"), reason="no gcc for x86 here"
)


@here_only
@pytest.mark.parametrize("flags", mostly_thorough(FLAGS.values(), FLAGS["AMX"]), ids=FLAGS)
@pytest.mark.parametrize("header", COMMON, ids=lambda header: header.name)
def test_a_header_compiles_alone_for_any_processor(header, flags):
    subprocess.run(["gcc", "-fsyntax-only", "-x", "c", *SILENT, *flags, header], check=True)


@pytest.mark.parametrize(
    "variant",
    mostly_thorough(VARIANTS["aarch64"][:2], VARIANTS["aarch64"][0]),
    ids=lambda v: v.instructions,
)
@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_a_header_compiles_alone_for_arm(header, variant):
    if not shutil.which(ARM_GCC):
        pytest.skip(f"no {ARM_GCC} here")
    if any(word in header.name for word in OF_X86):
        pytest.skip("a header of x86")
    if "bfmmla" in header.name and "i8mm" not in variant.instructions:
        pytest.skip("for processors with bf16")
    flags = (*SILENT, *variant.processor)
    subprocess.run([ARM_GCC, "-fsyntax-only", "-x", "c", *flags, header], check=True)


@here_only
@pytest.mark.parametrize("most", SETS)
@pytest.mark.parametrize("had", SETS)
def test_the_set_is_the_best_that_the_processor_has_and_the_caller_allows(had, most):
    define = f"-DMOST={SETS.index(most)}"
    command = ["gcc", "-E", "-dM", *FLAGS[had], define, "-x", "c", CHOICE]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    [chosen] = [line for line in macros.splitlines() if line.startswith("#define INSTRUCTIONS ")]
    assert chosen == f'#define INSTRUCTIONS "{min(had, most, key=SETS.index)}"'


@pytest.mark.parametrize("header", ALL, ids=lambda header: header.name)
def test_only_headers_of_a_processor_name_its_instructions(header):
    text = header.read_text()
    if not any(word in header.name for word in OF_ARM):
        assert "arm_neon" not in text
        assert "__ARM" not in text or header == CHOICE
    if not any(word in header.name for word in OF_X86):
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
        (ARM_GCC,),
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
