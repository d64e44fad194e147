from __future__ import annotations

import tomllib
from pathlib import Path

from .conftest import Minikin


def test_the_file_is_named_even_if_it_does_not_exist(minikin: Minikin, tmp_path):
    run = minikin("config", "ps")
    assert str(tmp_path) in run.stderr.replace("\n", "")
    assert "does not exist" in run.stderr
    assert "[ps]" in run.stdout
    assert "[serve]" not in run.stdout


def test_an_unknown_command_is_named_with_the_known_ones(minikin: Minikin):
    run = minikin("config", "sing")
    assert run.returncode == 1
    assert "no command sing" in run.stderr
    assert "serve" in run.stderr


def test_the_file_is_created_with_its_folder_and_never_overwritten(
    minikin: Minikin, env: dict[str, str], tmp_path: Path
):
    env["MINIKIN_SERVE_PORT"] = "8124"
    written = minikin("config", "--write")
    file = tmp_path / "config" / "minikin" / "config.toml"
    assert str(file) in written.stderr.replace("\n", "")
    assert "does not exist" not in written.stderr
    assert written.stdout == ""
    assert tomllib.loads(file.read_text())["serve"]["port"] == 8124
    before = file.read_text()
    again = minikin("config", "--write")
    assert again.returncode == 1
    assert "exists" in again.stderr
    assert file.read_text() == before
    del env["MINIKIN_SERVE_PORT"]
    assert f"port = 8124 {' ' * 19} # {file}, port" in minikin("config", "serve").stdout


def test_a_folder_that_cannot_be_written_is_named(minikin: Minikin, tmp_path: Path):
    (tmp_path / "config").symlink_to(tmp_path / "nothing")
    run = minikin("config", "--write")
    assert run.returncode == 1
    assert f"Cannot write {tmp_path}" in run.stderr.replace("\n", "")
