from pathlib import Path

from minikin.api.reference import compatibility

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"


def test_the_page_says_what_the_rules_say():
    fresh = PAGE.read_text() == compatibility()
    assert fresh, "run: python -m minikin.api.reference > docs/compatibility.md"
