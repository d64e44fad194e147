"""One precedence of command line, environment, file and default, for every option."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from .conftest import Minikin


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> Path:
    """The configuration file that the commands of a test read."""
    path = tmp_path / "chosen.toml"
    env["MINIKIN_CONFIG"] = str(path)
    return path


def test_the_environment_has_priority_over_the_file(
    minikin: Minikin, file: Path, env: dict[str, str]
):
    file.write_text("[serve]\nport = 8123\nmax-queued = 7\nextensions = true\n")
    env["MINIKIN_SERVE_PORT"] = "8124"
    run = minikin("config", "serve")
    held = tomllib.loads(run.stdout)["serve"]
    del held["cache"]  # of the tests
    assert held == {"port": 8124, "max-queued": 7, "extensions": True}
    assert "port = 8124" in run.stdout
    assert "# MINIKIN_SERVE_PORT" in run.stdout
    assert f"# {file}, max-queued" in run.stdout
    assert '# host = "127.0.0.1"' in run.stdout


def test_what_config_prints_is_a_file_for_it(minikin: Minikin, file: Path):
    file.write_text(
        'cache = "/tmp/models"\n[serve]\nallowed_host = ["a.lan", "b.lan"]\nlog-level = "error"\n'
        '[aliases]\nsmall = "smollm2-135m-instruct"\n'
    )
    first = minikin("config")
    file.write_text(first.stdout)
    again = minikin("config")
    assert tomllib.loads(again.stdout) == tomllib.loads(first.stdout)
    assert tomllib.loads(again.stdout)["serve"]["allowed-host"] == ["a.lan", "b.lan"]


def test_an_option_of_several_commands_may_stand_once(minikin: Minikin, file: Path):
    file.write_text('base-url = "http://box.lan:9/v1"\n')
    assert minikin("config", "chat").stdout.count("http://box.lan:9/v1") == 1
    assert "Cannot reach http://box.lan:9/v1" in minikin("ps").stderr.replace("\n", " ")


def test_keys_and_passwords_are_not_shown(minikin: Minikin, file: Path):
    file.write_text(
        '[serve]\napi-key = ["mk-secret"]\nadmin-key = "mk-secret"\ndatabase = "postgresql://me:secret@db.lan/minikin"\n'
    )
    shown = minikin("config").stdout
    assert "secret" not in shown
    assert '# api-key = "********"' in shown
    assert "me:********@db.lan" in shown
    assert tomllib.loads(shown)["serve"].keys() == {"cache"}, "stars are no value for a file"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serve]\nprot = 1\n", "prot. Did you mean port?"),
        ("[sevre]\nport = 1\n", "[sevre]. Did you mean [serve]?"),
        ("port = 1\n", "unknown key port"),
        ("cach = 1\n", "cach. Did you mean cache?"),
        ("[serve\n", "is not valid TOML"),
        ("[serve]\nport = [1, 2]\n", "one value, not a list"),
        ("[serve.port]\na = 1\n", "a table cannot be"),
        ("[serve]\nport = 0\n", "greater than or equal to 1"),
        ("[serve]\nport = 1.5\n", "valid integer"),
        ("[serve]\nextensions = 'maybe'\n", "valid boolean"),
        ("[aliases]\nsmall = 1\n", 'NAME = "MODEL"'),
        ("aliases = 1\n", 'NAME = "MODEL"'),
    ],
)
def test_a_fault_of_the_file_is_named(minikin: Minikin, file: Path, text: str, said: str):
    file.write_text(text)
    run = minikin("serve")
    shown = run.stderr.replace("\n", " ")
    assert run.returncode == 1
    assert str(file) in shown
    assert said in shown


def test_a_file_that_is_named_must_exist(minikin: Minikin, tmp_path: Path):
    run = minikin("--config", str(tmp_path / "none.toml"), "serve")
    assert run.returncode == 1
    assert "does not exist" in run.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MINIKIN_SERVE_PROT", "1", "Did you mean MINIKIN_SERVE_PORT?"),
        ("MINIKIN_SERVE_PORT", "many", "MINIKIN_SERVE_PORT: "),
    ],
)
def test_a_fault_of_the_environment_is_named(
    minikin: Minikin, env: dict[str, str], name: str, value: str, said: str
):
    env[name] = value
    run = minikin("serve")
    assert run.returncode == 1
    assert said in run.stderr.replace("\n", " ")


def test_other_variables_are_not_options(minikin: Minikin, env: dict[str, str]):
    env["MINIKIN_PORT"] = "tcp://10.0.0.1:8000"  # Kubernetes sets it for a service `minikin`
    env["MINIKIN_VERSION"] = "1.0"
    assert "[serve]" in minikin("config", "serve").stdout


def test_inner_commands_read_variables(minikin: Minikin, env: dict[str, str]):
    env["MINIKIN_PROBE_BASE_URL"] = "ftp://nowhere"
    env["MINIKIN_PROBE_MODEL"] = "m"
    assert "must start with http" in minikin("probe").stderr
