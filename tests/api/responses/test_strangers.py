import pytest

from minikin.api.responses.parameters import PARAMETERS
from minikin.api.responses.strangers import check_names, nearest
from minikin.errors import InvalidRequest

KNOWN = {"model", *(parameter.name for parameter in PARAMETERS)}


@pytest.mark.parametrize(
    ("name", "guesses"),
    [
        ("strem", ["stream", "store"]),
        ("stop", ["store"]),
        ("toolz", ["tools"]),
        ("zzz", []),
        ("max_tokens", []),
        ("x" * 100_000, []),
    ],
)
def test_names_within_two_edits_are_offered(name, guesses):
    assert nearest(name, KNOWN) == guesses


def test_a_name_that_the_body_has_is_not_offered():
    with pytest.raises(InvalidRequest) as raised:
        check_names(["stop", "store"], KNOWN)
    assert raised.value.message == "Unknown parameter: 'stop'."


def test_a_moved_field_names_its_new_place():
    with pytest.raises(InvalidRequest) as raised:
        check_names(["response_format"], KNOWN)
    assert "has moved to 'text.format'" in raised.value.message
    assert (raised.value.param, raised.value.code) == (None, "unsupported_parameter")
