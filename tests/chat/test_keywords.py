from __future__ import annotations

import ast
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikin.chat.call_formats import LFM2, OLMO
from minikin.chat.keywords import KeywordReader, are_keywords, written
from minikin.chat.tool_calls import Arguments, CallBegun, Content
from tests.chat.test_tool_calls import read

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
ARGUMENTS = st.dictionaries(st.from_regex(r"[a-z_]\w{0,5}", fullmatch=True), VALUES, max_size=3)


def as_json(text, size=1000):
    """The JSON of the arguments in `text`, and what is left of it."""
    reader, made = KeywordReader(), ""
    for at in range(0, len(text), size):
        made += reader.feed(text[at : at + size])
        if reader.complete:
            return json.loads(made), reader.rest + text[at + size :]
    raise AssertionError(made)


@given(ARGUMENTS)
def test_what_is_written_is_read(arguments):
    assert are_keywords(arguments)
    for size in (1, 3, 1000):
        assert as_json(f"{written(arguments, str)})]", size) == (arguments, ")]")


@given(ARGUMENTS)
def test_pythons_own_spelling_is_read(arguments):
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    for size in (1, 1000):
        assert as_json(f"{text})", size) == (arguments, ")")


@pytest.mark.parametrize(
    "value",
    [
        r"'it\'s'", r"'\x41\u00e9\U0001F600\0\a'", r"'C:\\dir \d'", '"""a "quoted" line\n"""',
        "''''''", "'''it''s'''", '""', "(1, 2)", "[1, 2,]", "{'a': 1,}",
        "{'a': {'b': [None, True]}}", "()", "{1: 'x'}", "-1.5e3", "[[], {}]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.filterwarnings("ignore:.*invalid escape:SyntaxWarning")
@pytest.mark.filterwarnings("ignore:.*invalid escape:DeprecationWarning")
def test_literals_of_python_become_json(value, size):
    expected = json.loads(json.dumps(ast.literal_eval(value)))
    assert as_json(f"a={value}, b=null)", size) == ({"a": expected, "b": None}, ")")


@pytest.mark.parametrize(
    ("text", "expected", "rest"),
    [
        ("a=word)", {"a": "word"}, ")"),
        ("a=, b=1)", {"a": None, "b": 1}, ")"),
        ("a={1, 2})", {"a": {"1": None, "2": None}}, ")"),
        ("a={'x': , 'y':})", {"a": {"x": None, "y": None}}, ")"),
        ("a=[,])", {"a": []}, ")"),
        ("a=[, 1,, 2])", {"a": [1, 2]}, ")"),
        ("a=date(2020, 1))", {"a": "date"}, "(2020, 1))"),
        ("a='x' 'y')", {"a": "x"}, "'y')"),
        ("a=[1 2])", {"a": [1]}, "2])"),
        ("a={[1]: 2})", {"a": {}}, "[1]: 2})"),
        ("a={'b': 1: 2})", {"a": {"b": 1}}, ": 2})"),
        ("a=1, 2)", {"a": 1}, "2)"),
        (r"a='\xZZ \u12 \U99999999')", {"a": r"\xZZ \u12 \U99999999"}, ")"),
        (f"a={'9' * 300})", {"a": int("9" * 256)}, f"{'9' * 44})"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_python_does_not_allow_ends_the_arguments(text, expected, rest, size):
    assert as_json(text, size) == (expected, rest)


@given(st.text(alphabet="abTrue=,:()[]{}'\"\\x0u 1.-\nß"), st.integers(1, 5))
def test_any_text_is_read_and_makes_json(text, size):
    reader, whole = KeywordReader(), KeywordReader()
    made = "".join(reader.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert whole.feed(text) == made
    assert whole.rest == reader.rest
    if reader.complete:
        assert isinstance(json.loads(made), dict)


def test_half_a_pair_stays_an_escape():
    assert KeywordReader().feed(r"a='\ud83d\ude00')") == r'{"a": "\ud83d\ude00"}'


def test_strings_are_streamed():
    reader = KeywordReader()
    assert reader.feed("a='one") == '{"a": "one'
    assert reader.feed(" two\\") == " two"
    assert reader.feed("n', b=[1") == '\\n", "b": ['
    assert reader.feed("2, ") == "12"


@pytest.mark.parametrize("begin", ["a='", "a=[", "a=", "a='\\", "a=[{'x':"])
def test_a_megabyte_takes_linear_time(begin):
    reader = KeywordReader()
    start = time.process_time()
    for piece in [begin, *["ab,(["] * 100_000]:
        if not reader.complete:
            reader.feed(piece)
    assert time.process_time() - start < 20


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_names_that_are_not_pythons_go_as_json(size):
    call = [{"name": "f", "arguments": {"a b": 1, "$c": "x"}}]
    for form in (LFM2, OLMO):
        expected = [CallBegun("f"), Arguments('{"a b": 1, "$c": "x"}')]
        assert read(form.write(call), size, form) == expected


@pytest.mark.parametrize("text", ["f(", "f('x')]", "f(a"])
def test_a_call_without_names_is_content(text):
    text = f"<|tool_call_start|>[{text}"
    assert read(text, 3, LFM2) == [Content(text)]
