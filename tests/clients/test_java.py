"""Java's own HttpClient, which offers an upgrade to HTTP/2 with every request."""

from __future__ import annotations

import shutil

import pytest

from tests.clients.jobs import PROGRAMS, chat_in_both_ways

pytestmark = pytest.mark.model


def test_the_default_client_gets_an_answer_and_a_stream(base_url):
    java = shutil.which("java") or pytest.skip("Java is not installed")
    chat_in_both_ways(base_url, [java, PROGRAMS / "Chat.java"])
