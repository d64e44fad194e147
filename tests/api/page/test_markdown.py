"""What a real browser makes of a model's text, and how the tasks of a trace are counted."""

from __future__ import annotations

import pytest

from tests.browser import Programs, installed_browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def run(tmp_path_factory, shared_server):
    """Run a program with the URL of a server. Returns what it prints."""
    browser = installed_browser() or pytest.skip("Chromium is not installed")
    programs = Programs(tmp_path_factory.mktemp("programs"), browser)
    return lambda name: programs.run(name, shared_server.url)


def test_nothing_hostile_gets_into_the_page_however_it_is_split(run):
    run("hostile")


def test_a_task_in_a_task_is_not_counted(run):
    run("counted")
