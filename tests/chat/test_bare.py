from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikin.chat.bare import BareReader, written
from minikin.chat.call_formats import GEMMA
from minikin.chat.tool_calls import Arguments, CallBegun, Content
from tests.chat.test_tool_calls import read

QUOTE = '<|"|>'
TEXTS = st.text().filter(lambda text: QUOTE not in text)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def as_json(text, size=1000):
    """The JSON of the arguments in `text`, and what is left of it."""
    reader, made = BareReader(), ""
    for at in range(0, len(text), size):
        made += reader.feed(text[at : at + size])
        if reader.complete:
            return json.loads(made), reader.rest + text[at + size :]
    raise AssertionError(made)


@given(st.dictionaries(TEXTS, VALUES, max_size=3))
def test_what_is_written_is_read(arguments):
    for size in (1, 3, 1000):
        assert as_json(f"{written(arguments, str)}<x", size) == (arguments, "<x")


@given(st.dictionaries(st.text(), VALUES, max_size=3))
def test_json_is_read_too(arguments):
    for size in (1, 1000):
        assert as_json(json.dumps(arguments) + "<x", size) == (arguments, "<x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("{a:1}", {"a": 1}),
        (f"{{a:{QUOTE}x \\ \\n 'y' \"z\" <|{QUOTE},b:[true,null,-1.5]}}",
         {"a": "x \\ \\n 'y' \"z\" <|", "b": [True, None, -1.5]}),
        (f"{{ a-b : {{c:{QUOTE}{QUOTE}}} , d:[] }}", {"a-b": {"c": ""}, "d": []}),
        ("{a:word}", {"a": "word"}),
        ("{a:<b}", {"a": "<b"}),
        ("{a:", {"a": None}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_objects_with_bare_names_become_json(text, value, size):
    reader, made = BareReader(), ""
    for at in range(0, len(text), size):
        made += reader.feed(text[at : at + size])
    if not reader.complete:
        made += reader.feed("}")
    assert json.loads(made) == value


def test_calls_are_read_as_they_arrive():
    text = (
        f"Hm.<|tool_call>call:f{{a:{QUOTE}x{QUOTE}}}<tool_call|><|tool_call>call:g{{}}<tool_call|>"
    )
    expected = [Content("Hm."), CallBegun("f"), Arguments('{"a": "x"}'), CallBegun("g")]
    for size in (1, 5, 1000):
        assert read(text, size, GEMMA) == [*expected, Arguments("{}")]


def test_a_call_that_is_not_one_is_text():
    text = "<|tool_call>call:f(a=1)"
    assert read(text, 1, GEMMA) == [Content(text)]


def test_a_long_text_takes_linear_time():
    started = time.process_time()
    reader = BareReader()
    reader.feed(f"{{a:{QUOTE}")
    for _ in range(20_000):
        reader.feed('word <|"| ')
    assert time.process_time() - started < 4
