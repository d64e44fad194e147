import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikin.api.responses import custom_tools
from minikin.api.responses.custom_tools import InputReader

WHOLE = st.text(st.characters(exclude_categories=["Cs"]))


def read(pieces):
    reader = InputReader()
    return "".join(map(reader.feed, pieces))


@given(text=WHOLE, ascii_only=st.booleans(), size=st.integers(1, 7))
def test_a_text_comes_out_as_it_was_whatever_the_pieces(text, ascii_only, size):
    written = json.dumps({"input": text}, ensure_ascii=ascii_only)
    assert read(written[at : at + size] for at in range(0, len(written), size)) == text
    assert read([custom_tools.arguments(text)]) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('{"input": "a', "a"),
        ('{"input": "a\\', "a"),
        ('{"input": "a\\ud83d', "a"),
        ('{"input": "\\ud83dx"}', "\ufffdx"),
        ('{"inp', ""),
    ],
)
def test_what_is_not_complete_is_held_back(written, text):
    assert read([written]) == text
    assert read(written) == text


def test_a_raw_text_has_no_escapes_and_no_end():
    reader = InputReader(raw=True)
    pieces = ('{"in', 'put": "say("', "\\n", '") "}}')
    assert "".join(map(reader.feed, pieces)) == 'say("\\n") "}}'


def test_a_regular_expression_holds_for_the_whole_text():
    tool = {"format": {"type": "grammar", "syntax": "regex", "definition": "a|b"}}
    assert custom_tools.parameters(tool)["properties"]["input"]["pattern"] == "^(?:a|b)$"
