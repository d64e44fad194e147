from minikin.api.reference import compatibility
from tests.real_model import ROOT

PAGE = ROOT / "docs" / "compatibility.md"


def test_the_page_says_what_the_rules_say():
    fresh = PAGE.read_text() == compatibility()
    assert fresh, "run: python -m minikin.api.reference > docs/compatibility.md"
