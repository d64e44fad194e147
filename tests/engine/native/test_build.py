"""Compiling the kernels: once, by one process, and with a reason where it fails."""

import logging
import subprocess
import sys

import pytest

from minikin.engine.native import build
from minikin.engine.native.build import expects_kernels, load_library

PLAIN = build.SETS[0]
LOAD = f"""
from minikin.engine.native.build import load_library
print(load_library({PLAIN!r}).instructions().decode())
"""


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Put a shell script in gcc's place, or nothing; the cache is empty."""
    real = build.shutil.which("gcc")
    if real is None:
        pytest.skip("no gcc here")
    monkeypatch.setenv("MINIKIN_CACHE", str(tmp_path / "cache"))

    def become(script):
        (tmp_path / "bin").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":" if script else None)
        if script is not None:
            (tmp_path / "bin" / "gcc").write_text(f"#!/bin/sh\n{script.format(real=real)}\n")
            (tmp_path / "bin" / "gcc").chmod(0o755)

    return become


@pytest.fixture
def reason(caplog):
    """Why no kernels are found, as the log says it; nothing is left behind."""

    def reason():
        with caplog.at_level(logging.WARNING):
            assert load_library(PLAIN) is None
        [line] = [record.getMessage() for record in caplog.records]
        assert not compiled()
        return line

    return reason


def compiled():
    """What would be loaded as kernels from a user's cache."""
    return list((build.cache_folder() / "kernels").glob("*.so"))


def test_kernels_are_expected_where_they_can_be_made_or_are(compiler, monkeypatch):
    compiler("exit 1")
    assert expects_kernels()
    monkeypatch.setenv("PATH", "")
    assert not expects_kernels()
    kernels = build.compiled_file("AMX")
    kernels.parent.mkdir(parents=True)
    kernels.touch()
    assert expects_kernels()


def test_processes_that_start_together_compile_once(compiler, tmp_path):
    compiler(f'echo compiled >> "{tmp_path}/calls"\nexec {{real}} "$@"')
    command = [sys.executable, "-c", LOAD]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [child.communicate()[0] for child in started] == [f"{PLAIN}\n"] * 4
    assert (tmp_path / "calls").read_text() == "compiled\n"
    assert len(compiled()) == 1


def test_a_process_that_dies_while_it_compiles_blocks_no_other(compiler, tmp_path):
    dying = f'[ -e "{tmp_path}/died" ] || {{{{ touch "{tmp_path}/died"; kill -9 $PPID; exit; }}}}\n'
    compiler(dying + 'exec {real} "$@"')
    command = [sys.executable, "-c", LOAD]
    assert subprocess.run(command).returncode == -9
    assert subprocess.run(command, stdout=subprocess.PIPE).stdout.decode() == f"{PLAIN}\n"


def test_kernels_of_the_cache_need_no_compiler(compiler, monkeypatch):
    assert load_library(PLAIN)
    compiler(None)
    assert load_library(PLAIN)


def test_clang_compiles_where_gcc_is_not(compiler, tmp_path, monkeypatch):
    compiler(None)
    (tmp_path / "bin" / "clang").symlink_to("/bin/false")
    assert expects_kernels()
    with pytest.raises(subprocess.CalledProcessError) as raised:
        build.compile_kernels(PLAIN)
    assert raised.value.cmd[0] == str(tmp_path / "bin" / "clang")


def test_without_a_compiler_the_log_says_so(compiler, reason):
    compiler(None)
    assert reason() == "gcc or clang not found: PyTorch has to compute (several times slower)"


def test_on_other_systems_the_log_says_so(compiler, reason, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert reason() == (
        "The native kernels need Linux or macOS: PyTorch has to compute (several times slower)"
    )


def test_the_log_has_the_compilers_first_error(compiler, reason):
    compiler('echo "In file included" >&2; echo "x.h:3: error: no such thing" >&2; exit 1')
    assert reason() == (
        "gcc could not compile the native kernels (x.h:3: error: no such thing): "
        "PyTorch has to compute (several times slower)"
    )


def test_a_compiler_that_dies_without_a_word_is_named(compiler, reason):
    compiler("kill -9 $$")
    assert "died with <Signals.SIGKILL: 9>" in reason()


def test_a_compiler_that_never_ends_is_ended(compiler, reason, monkeypatch):
    monkeypatch.setattr(build, "COMPILE_SECONDS", 0.1)
    compiler("exec sleep 600")
    assert reason().startswith(
        "gcc did not compile the native kernels within 0.1 s: PyTorch has to compute"
    )


def test_a_cache_that_cannot_be_written_is_named(compiler, reason, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert "Not a directory" in reason()
