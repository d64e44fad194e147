"""What a browser and a program get at `/`, and the files of the page."""

from __future__ import annotations

import re

import httpx
import pytest

from minikin.api.page.files import STATIC

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PROGRAM = {"accept": "application/json"}
KEY = "mk-0123456789abcdef"
MOST_BYTES = 300_000


def test_a_browser_gets_the_page(shared_server):
    page = httpx.get(shared_server.url, headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "Accept" in page.headers["vary"]


@pytest.mark.parametrize("headers", [PROGRAM, {}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_program_gets_the_error_of_an_unknown_path(shared_server, method, headers):
    answer = httpx.request(method, f"{shared_server.url}/", headers=headers)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"Invalid URL ({method} /)"


@pytest.mark.parametrize("path", ["/docs", "/dashboard"])
def test_a_slash_at_the_end_leads_a_browser_to_the_page(serve, path):
    server = serve(api_keys=(KEY,), admin_keys=(f"{KEY}-admin",))
    page = httpx.get(f"{server.url}{path}/", headers=BROWSER, follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, path)
    assert page.history[0].headers["location"] == f"..{path}"
    assert httpx.get(f"{server.url}{path}/", headers=PROGRAM).status_code == 401


def test_a_browser_posts_nothing_to_the_page(shared_server):
    assert httpx.post(f"{shared_server.url}/", headers=BROWSER).status_code == 404


def test_the_page_and_its_files_need_no_key_and_nothing_else_does(serve):
    server = serve(api_keys=(KEY,))
    assert httpx.get(server.url, headers=BROWSER).status_code == 200
    assert httpx.get(f"{server.url}/page/main.js").status_code == 200
    assert httpx.get(server.url, headers=PROGRAM).status_code == 401
    assert httpx.post(server.url, headers=BROWSER).status_code == 401
    assert httpx.get(f"{server.url}/playground.json").status_code == 401
    assert httpx.get(f"{server.url}/page", headers=BROWSER).status_code == 401
    assert httpx.get(f"{server.url}/v1/models", headers=BROWSER).status_code == 401


def test_the_policy_allows_only_files_of_the_server(shared_server):
    policy = httpx.get(shared_server.url, headers=BROWSER).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'; trusted-types dompurify" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_has_no_inline_code_and_no_other_server(shared_server):
    page = httpx.get(shared_server.url, headers=BROWSER).text
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)


@pytest.mark.parametrize(
    "path", ["nothing.js", "../files.py", "%2e%2e/files.py", "/etc/passwd", "vendor", "", "%00"]
)
def test_other_paths_are_not_found(shared_server, path):
    answer = httpx.get(f"{shared_server.url}/page/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_file_that_a_browser_has_is_not_sent_again(shared_server):
    first = httpx.get(f"{shared_server.url}/page/main.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = httpx.get(
        f"{shared_server.url}/page/main.js", headers={"if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_every_file_that_a_file_names_is_there():
    for file in [*STATIC.glob("*.html"), *STATIC.glob("*.js")]:
        for name in re.findall(r'(?:from |import )"\./([^"]+)"|"page/([^"]+)"', file.read_text()):
            assert (STATIC / "".join(name)).is_file(), f"{file.name}: {name}"


def test_the_playground_is_light_and_libraries_have_their_licences():
    files = [file for file in STATIC.rglob("*") if file.suffix in (".html", ".css", ".js", ".svg")]
    loaded = [file for file in files if not file.name.startswith(("docs", "swagger-ui"))]
    assert sum(file.stat().st_size for file in loaded) < MOST_BYTES
    for library in (STATIC / "vendor").glob("*.js"):
        assert library.with_suffix(".LICENSE").is_file(), library.name
