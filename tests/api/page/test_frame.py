"""The header that every page has."""

from __future__ import annotations

import re

from minikin.api.page.frame import head, header


def test_the_links_lead_from_a_folder_to_the_root():
    links = re.findall(r'(?:href|src)="([^"]*)"', header("catalog", "../../") + head("../../"))
    assert links
    assert all(link.startswith("../../") for link in links)


def test_only_the_current_page_is_marked():
    assert re.findall(r'href="([^"]*)" aria-current="page"', header("")) == ["."]
    assert re.findall(r'href="([^"]*)" aria-current="page"', header("docs")) == ["docs"]
