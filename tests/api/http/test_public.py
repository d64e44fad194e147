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
    assert is_public({"type": "http", "method": "GET", "path": path, "headers": []}) is public
