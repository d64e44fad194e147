"""What processors have, as Linux and macOS say it, and which kernels that chooses."""

import platform
import sys

import pytest

from minikin.engine.native import build, features
from minikin.engine.native.features import of_macos, processor_features
from minikin.engine.native.variants import ON_MACOS, PLAIN, SETS_OF
from tests.macs import INTEL, M1, M3

MACS = {
    "M1": (M1, "aarch64", "NEON"),
    "M3": (M3, "aarch64", "NEON i8mm"),
    "Intel": (INTEL, "x86_64", "AVX2"),
    "Rosetta": (M3, "x86_64", PLAIN),
}
"""What sysctl prints, the kind of the process, and the best kernels."""


def values(text):
    return dict(line.split(": ", 1) for line in text.splitlines())


@pytest.fixture(params=MACS)
def mac(request, monkeypatch):
    """This machine as a Mac. Returns its kind and its best kernels."""
    text, kind, best = MACS[request.param]
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(features.machine, "sysctl", lambda: values(text))
    for module in (features, build):
        monkeypatch.setattr(module, "MACHINE", kind)
    monkeypatch.setattr(build, "SETS", SETS_OF[kind])
    return kind, best


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_linux_names_the_features_of_this_processor():
    expected = {"x86_64": "sse2", "aarch64": "asimd"}.get(platform.machine())
    assert expected is None or expected in processor_features()


def test_macos_has_other_names_for_them():
    assert of_macos(values(M1), "aarch64") == {"asimd", "asimddp"}
    assert of_macos(values(M3), "aarch64") == {"asimd", "asimddp", "bf16", "i8mm"}
    intel = of_macos(values(INTEL), "x86_64")
    assert {"avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe", "sse4.2"} <= intel
    assert not {name for name in intel if name.startswith("avx512")}


def test_a_mac_gets_the_kernels_for_its_processor(mac, tmp_path, monkeypatch):
    kind, best = mac
    monkeypatch.setattr(build, "PREBUILT", tmp_path)
    monkeypatch.setenv("MINIKIN_CACHE", str(tmp_path / "cache"))
    most = SETS_OF[kind][-1]
    for variant in ON_MACOS[kind]:
        (tmp_path / variant.file).touch()
    [chosen] = [one for one in ON_MACOS[kind] if one.instructions == best]
    assert build.ready_file(most) == tmp_path / chosen.file
    assert build.ready_file(PLAIN) == tmp_path / ON_MACOS[kind][-1].file


def test_a_mac_compiles_the_kernels_for_its_processor_with_clang(mac, tmp_path, monkeypatch):
    kind, best = mac
    script = f'echo "$*" > "{tmp_path}/said"\nwhile [ "$1" != -o ]; do shift; done\n: > "$2"\n'
    (tmp_path / "clang").write_text(f"#!/bin/sh\n{script}")
    (tmp_path / "clang").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("MINIKIN_CACHE", str(tmp_path / "cache"))
    build.compile_kernels(SETS_OF[kind][-1])
    [chosen] = [one for one in ON_MACOS[kind] if one.instructions == best]
    said = (tmp_path / "said").read_text().split()
    assert set(chosen.processor) <= set(said)
    assert "-march=native" not in said
