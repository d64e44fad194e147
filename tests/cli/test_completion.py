from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minikin.cli.completion import completion
from tests.real_model import ROOT

from .conftest import Minikin


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_for_the_command(minikin: Minikin, shell: str):
    shown = minikin("completion", shell).stdout
    assert "_MINIKIN_COMPLETE" in shown
    assert shell in shown


@pytest.fixture
def on_path(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment with a program `minikin` on the path."""
    program = tmp_path / "minikin"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom minikin.cli import main\n"
        "sys.argv[0] = 'minikin'\nmain()\n"
    )
    program.chmod(0o755)
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    return env


def test_the_examples_write_the_scripts_into_an_empty_home(on_path: dict[str, str], tmp_path: Path):
    commands = re.findall(r"^ *`((?:mkdir|minikin) .*)`$", completion.__doc__ or "", re.MULTILINE)
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shown = [block for block in blocks if "minikin completion" in block]
    home = tmp_path / "home"
    for number, script in enumerate([*shown, "\n".join(commands)]):
        own = home / str(number)
        own.mkdir(parents=True)
        env = on_path | {"HOME": str(own)}
        run = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, env=env)
        assert run.returncode == 0, run.stderr
    scripts = [file for file in home.rglob("*") if file.is_file()]
    assert len(scripts) == 4
    assert all("_MINIKIN_COMPLETE" in file.read_text() for file in scripts)


def test_bash_completes_commands_and_options(minikin: Minikin, on_path: dict[str, str]):
    bash = shutil.which("bash") or pytest.skip("bash is not installed")
    script = minikin("completion", "bash").stdout + (
        "\nCOMP_WORDS=(minikin serve --allowed-h); COMP_CWORD=2\n"
        '_minikin_completion minikin\necho "${COMPREPLY[@]}"\n'
    )
    run = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=on_path)
    assert run.stdout.split() == ["--allowed-host"], run.stderr
