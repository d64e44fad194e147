from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from .conftest import Minikin


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_for_the_command(minikin: Minikin, shell: str):
    shown = minikin("completion", shell).stdout
    assert "_MINIKIN_COMPLETE" in shown
    assert shell in shown


def test_bash_completes_commands_and_options(minikin: Minikin, env: dict[str, str], tmp_path):
    bash = shutil.which("bash") or pytest.skip("bash is not installed")
    program = tmp_path / "minikin"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom minikin.cli import main\n"
        "sys.argv[0] = 'minikin'\nmain()\n"
    )
    program.chmod(0o755)
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    script = minikin("completion", "bash").stdout + (
        "\nCOMP_WORDS=(minikin serve --allowed-h); COMP_CWORD=2\n"
        '_minikin_completion minikin\necho "${COMPREPLY[@]}"\n'
    )
    run = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=env)
    assert run.stdout.split() == ["--allowed-host"], run.stderr
