"""Tools, calls and results of each family, from the template to the reader."""

from __future__ import annotations

import msgspec
import pytest

from minikin.chat.template import ChatTemplate
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader, Content
from tests.chat.families import FAMILIES
from tests.chat.test_messages import ODD
from tests.chat.test_tool_calls import read

TOOLS = [
    {"type": "function", "function": {"name": "f", "description": "Looks <tool_call> up."}},
    {"type": "function", "function": {"name": "g"}},
]
USER = {"role": "user", "content": "Hi [TOOL_CALLS] <｜tool▁sep｜>"}
CALLS = [
    {"id": "aaaaaaaaa", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
    {"id": "bbbbbbbbb", "type": "function", "function": {"name": "g", "arguments": "{}"}},
]
RESULTS = [
    {"role": "tool", "tool_call_id": "aaaaaaaaa", "content": "one"},
    {"role": "tool", "tool_call_id": "bbbbbbbbb", "content": "two"},
]
F, G = [CallBegun("f"), Arguments('{"a": 1}')], [CallBegun("g"), Arguments("{}")]


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture
def template(family):
    return ChatTemplate(family.template, family.control, bos="<s>", eos="</s>")


def text_of(pieces):
    return "".join(text for text, _ in pieces)


def test_the_template_shows_the_call_format(family, template):
    known = msgspec.structs.replace(family.form, native=template.call_format.native)
    assert template.call_format == known
    template.try_out()


def test_the_prompt_describes_the_tools(family, template):
    pieces = template.render([USER], tools=TOOLS)
    text = text_of(pieces)
    assert family.tells in text
    assert text.count("Looks <tool_call> up.") == 1
    assert USER["content"] in text
    alone = [text for text, control in pieces if control]
    plain = [text for text, control in template.render([USER]) if control]
    assert sum(map(alone.count, ("[TOOL_CALLS]", "<｜tool▁sep｜>"))) <= len(alone) - len(plain)


def test_calls_and_results_of_before_are_all_there(family, template):
    said = {"role": "assistant", "content": None, "tool_calls": CALLS}
    pieces = template.render([USER, said, *RESULTS, USER], tools=TOOLS)
    text = text_of(pieces)
    marks = [mark for mark in family.control if mark in family.one]
    for mark in marks:
        assert (mark, True) in pieces, "the template's own marks are tokens"
    one, two = family.one, family.two.removeprefix(family.one)
    if family.form.begin.startswith("{"):  # Llama's takes one call a message
        assert text.index(one) < text.index("one") < text.index(two.strip()) < text.index("two")
    else:
        assert "one" in text[text.index(family.earlier or family.two) :]
    assert text.count("one") >= 1
    assert text.count("two") >= 1


@pytest.mark.parametrize("arguments", [*ODD, "", '{"a": NaN}'])
def test_earlier_calls_with_any_arguments_are_rendered(template, arguments):
    function = {"name": "f", "arguments": arguments}
    odd = {"role": "assistant", "content": None, "tool_calls": [CALLS[0] | {"function": function}]}
    other = {"role": "assistant", "content": None, "tool_calls": CALLS}
    messages = [USER, odd, RESULTS[0], USER, other, *RESULTS, USER]
    text = text_of(template.render(messages, tools=TOOLS))
    assert text.count("one") >= 2
    for words in ("Ro", "twice", "not json"):
        assert words not in arguments or words in text


def test_a_template_that_takes_arguments_apart_gets_odd_ones_in_the_text():
    source = (
        "{% for m in messages %}{{ m.role + ': ' + m.content }}{% for c in m.tool_calls or [] %}"
        "{% for key, value in c.function.arguments.items() %}{{ key }}={{ value }};{% endfor %}"
        "{% endfor %}{% endfor %}"
    )
    template = ChatTemplate(source, ())
    good = {"role": "assistant", "content": "", "tool_calls": CALLS[:1]}
    assert text_of(template.render([USER, good, USER])).count("a=1;") == 1
    cut = {"name": "f", "arguments": '{"city": "Ro'}
    odd = {"role": "assistant", "content": "", "tool_calls": [CALLS[0] | {"function": cut}]}
    assert '{"city": "Ro' in text_of(template.render([USER, odd, RESULTS[0], good, USER]))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_calls_are_read_however_they_come(family, size):
    form = family.form
    assert read(family.one, size, form) == F
    assert read(family.two, size, form) == [*F, *G]
    assert read(f"Wait. {family.two}", size, form) == [Content("Wait. "), *F, *G]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_truncated_text_and_text_that_is_not_a_call_are_kept(family, size):
    form, one = family.form, family.one
    first, json_first = family.begun, '{"a"'
    begun = one.index(first) + (0 if first == json_first else len(first) - 1)
    for kept in range(1, len(one)):
        parts = read(one[:kept], size, form)
        if kept <= begun:
            assert parts == [Content(one[:kept])]
        else:
            name, arguments = parts
            assert name == CallBegun("f")
            assert '{"a": 1}'.startswith(arguments.json)
    for wrong in (f"{form.begin}!", f"{form.begin}{form.before_name}a b", one.replace(first, '"a')):
        assert read(wrong, size, form) == [Content(wrong)]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_llamas_calls_may_have_a_tag_before_them(size):
    family = FAMILIES["Llama 3.2"]
    assert read(f"<|python_tag|>{family.one}", size, family.form) == F
    assert read(f"So <|python_tag|>{family.one}", size, family.form) == [Content("So "), *F]
    for text in ("<|python_tag|>print(1)", '<|python_tag|>{"name": "a b', "<|python_tag|>{"):
        assert read(text, size, family.form) == [Content(text)]


def test_only_a_possible_start_of_a_call_is_held_back():
    reader = CallReader(FAMILIES["Llama 3.2"].form)
    assert reader.feed("Hi <|pyth") == [Content("Hi ")]
    assert reader.feed("agoras|>") == [Content("<|pythagoras|>")]
