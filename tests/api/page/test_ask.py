"""What a browser without a key gets in place of a page that needs one."""

from __future__ import annotations

import httpx
import pytest

KEY = "mk-0123456789abcdef"
BROWSER = {"accept": "text/html"}


@pytest.fixture
def server(serve):
    return serve(api_keys=(KEY,))


def test_a_browser_gets_a_page_that_asks_and_a_program_an_error(server):
    page = httpx.get(f"{server.url}/openapi.json", headers=BROWSER)
    assert page.status_code == 401
    assert "page/open.js" in page.text
    error = httpx.get(f"{server.url}/openapi.json")
    assert (error.status_code, error.json()["error"]["type"]) == (401, "invalid_request_error")


def test_its_files_are_found_from_every_folder(server):
    page = httpx.get(f"{server.url}/catalog/models/x.html", headers=BROWSER)
    assert 'src="../../page/open.js"' in page.text
    assert 'href="../../page/theme.css"' in page.text


def test_with_a_key_the_page_itself_comes(server):
    headers = BROWSER | {"authorization": f"Bearer {KEY}"}
    answer = httpx.get(f"{server.url}/openapi.json", headers=headers)
    assert answer.status_code == 200
    assert "paths" in answer.json()


def test_a_post_gets_the_error(server):
    assert httpx.post(f"{server.url}/v1/models", headers=BROWSER).json()["error"]
