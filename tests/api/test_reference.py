from minikin.api.reference import compatibility
from minikin.hub.known import DEFAULT_MODEL, KNOWN_MODELS
from tests.real_model import ROOT

PAGE = ROOT / "docs" / "compatibility.md"


def test_the_page_says_what_the_rules_say():
    fresh = PAGE.read_text() == compatibility()
    assert fresh, "run: python -m minikin.api.reference > docs/compatibility.md"


def test_the_defaults_of_the_default_model_are_those_of_its_record():
    sampling = KNOWN_MODELS[DEFAULT_MODEL].sampling
    said = f"temperature {sampling['temperature']} and `top_p` {sampling['top_p']}"
    assert said in compatibility()
