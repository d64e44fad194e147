from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from minikin import __version__
from minikin.cli.options import SERVER_DEFAULTS

from .conftest import Minikin

COMMANDS = (
    "serve", "chat", "run", "ps", "batch", "pull", "models", "rm", "config", "completion",
    "cluster",
)  # fmt: skip


def test_the_help_lists_every_command(minikin: Minikin):
    run = minikin("--help")
    assert run.returncode == 0
    for name in COMMANDS:
        assert name in run.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_an_example(minikin: Minikin, name: str):
    shown = minikin(name, "--help").stdout
    assert "Example" in shown
    assert shown.partition("Example")[2].count(f"minikin {name}") >= 1


@pytest.mark.parametrize("words", ["", "serve", "probe", "catalog", "catalog build"])
def test_the_help_shows_no_value_beside_a_switch(minikin: Minikin, words: str):
    shown = minikin(*words.split(), "--help").stdout
    assert "--help" in shown
    assert "<bool>" not in shown


def test_the_help_of_serve_groups_its_options(minikin: Minikin):
    shown = minikin("serve", "--help").stdout
    topics = ("Models", "Network", "Keys", "Answers", "Memory and speed", "Storage", "Logs")
    places = [shown.index(f"─ {topic} ─") for topic in topics]
    assert places == sorted(places)
    assert places[1] < shown.index("--port  ") < places[2]


def test_the_help_of_the_chat_names_the_servers_default_port(minikin: Minikin):
    assert f"port {SERVER_DEFAULTS['port']} " in minikin("chat", "--help").stdout


def test_without_a_command_the_help_is_shown(minikin: Minikin):
    assert "serve" in minikin().stdout


def test_version(minikin: Minikin):
    assert minikin("--version").stdout == f"minikin {__version__}\n"
    assert version("minikin") == __version__, "the installed package has another version"


def test_help_loads_nothing_heavy(env: dict[str, str]):
    script = (
        "import sys\nfrom minikin.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'httpx', 'fastapi', 'tokenizers', 'pydantic', 'transformers'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    run = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
