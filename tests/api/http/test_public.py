import pytest

from minikin.api.http.public import is_public


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("/catalog/style.css", True),
        ("/catalog/choose.js", True),
        ("/catalog/badges/stop-verified.svg", True),
        ("/catalog/evidence/minikin/mine/verified.svg", False),
        ("/catalog/index.html", False),
        ("/catalog/feed.xml", False),
    ],
)
def test_files_of_the_catalog_need_a_key_if_they_have_data(path, public):
    asked = {"type": "http", "method": "GET", "path": path, "headers": []}
    assert is_public(asked, with_catalog=False) is public
    assert is_public(asked, with_catalog=True)


@pytest.mark.parametrize("path", ["/catalogue", "/api/v1/models", "/v1/models", "/metrics", "/v1"])
def test_a_public_catalog_opens_nothing_else(path):
    asked = {"type": "http", "method": "GET", "path": path, "headers": []}
    assert not is_public(asked, with_catalog=True)


@pytest.mark.parametrize("path", ["/catalog", "/catalog/models/x", "/catalog/api.json"])
@pytest.mark.parametrize(("method", "public"), [("GET", True), ("HEAD", True), ("POST", False)])
def test_a_public_catalog_is_only_read(path, method, public):
    asked = {"type": "http", "method": method, "path": path, "headers": []}
    assert is_public(asked, with_catalog=True) is public
