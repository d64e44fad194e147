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
    return lambda name, *arguments: programs.run(name, shared_server.url, *arguments)


def test_nothing_hostile_gets_into_the_page_however_it_is_split(run):
    run("hostile")


@pytest.mark.parametrize(
    ("texts", "seed"), [("40", "1"), pytest.param("200", "2", marks=pytest.mark.thorough)]
)
def test_text_that_grows_is_that_of_the_whole_text_and_costs_what_is_new(run, texts, seed):
    run("growing", texts, seed)


def test_a_task_in_a_task_is_not_counted(run):
    run("counted")
