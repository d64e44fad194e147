"""The page in a real browser, on a server with a real model: one program for each of its panes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.browser import Programs, installed_browser
from tests.client_packages import node, node_modules
from tests.real_model import default_model, real_server

pytestmark = [pytest.mark.model, pytest.mark.browser]
KEY = "mk-0123456789abcdef"


@pytest.fixture(scope="module")
def url():
    default_model()
    with real_server() as server:
        yield server.url


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a program with a server's URL. Returns what it prints."""
    browser = installed_browser() or pytest.skip("Chromium is not installed")
    return Programs(tmp_path_factory.mktemp("programs"), browser).run


@pytest.mark.parametrize(
    "pane", ["chat", "markdown", "heat", "tools", "schema", "compare", "docs", "access"]
)
def test_a_pane_works(run, url, pane):
    run(pane, url)


@pytest.mark.parametrize(
    "paths",
    [("catalog",), pytest.param((), marks=pytest.mark.thorough)],
    ids=["the catalog", "every page"],
)
def test_other_pages_are_for_everyone(run, url, paths):
    run("pages", url, *paths)


def test_the_dashboard_works(run):
    with real_server() as server:  # of its own: it unloads the model
        run("dashboard", server.url)


def test_the_key_is_asked_for_once(run):
    with real_server("--api-key", KEY) as server:
        run("key", server.url, KEY)
        run("locked", server.url, KEY)


def test_the_code_of_a_request_gives_its_answer(run, url, tmp_path):
    shown = json.loads(run("code", url))
    (tmp_path / "node_modules").symlink_to(node_modules())
    (tmp_path / "chat.mjs").write_text(shown["Node"])
    (tmp_path / "chat.py").write_text(shown["Python"])
    env = {**os.environ, "OPENAI_API_KEY": "any"}
    for command in (
        [node(), tmp_path / "chat.mjs"],
        [sys.executable, tmp_path / "chat.py"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=240)
        assert done.stdout.split() == shown["answer"].split(), done.stderr
    curl = shutil.which("curl") or pytest.skip("curl is not installed")
    script = shown["curl"].replace("curl", f"{curl} --no-progress-meter", 1)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=env)
    events = [line[6:] for line in done.stdout.splitlines() if line.startswith("data: {")]
    deltas = [c["delta"] for e in events for c in json.loads(e)["choices"]]
    assert "".join(d.get("content") or "" for d in deltas).split() == shown["answer"].split()
