from pathlib import Path

from minikin.api.access.key import digest, read_file

from .conftest import Minikin


def test_a_new_key_is_printed_once_with_a_line_for_the_file(minikin: Minikin, tmp_path: Path):
    run = minikin("key", "new", "ci", "--requests", "60", "--concurrent", "8", "--admin")
    assert run.returncode == 0
    key, line = (text.strip() for text in run.stdout.splitlines() if text.startswith("  "))
    (tmp_path / "keys").write_text(f"{line}\n")
    (read,) = read_file(tmp_path / "keys")
    assert read.digest == digest(key)
    assert (read.name, read.limits.requests, read.limits.concurrent) == ("ci", 60, 8)
    assert read.is_admin
    assert run.stdout.count(key) == 1


def test_a_name_that_the_file_cannot_have_is_an_error(minikin: Minikin):
    assert minikin("key", "new", "two words").returncode == 1
