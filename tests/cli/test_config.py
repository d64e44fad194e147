from __future__ import annotations

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
