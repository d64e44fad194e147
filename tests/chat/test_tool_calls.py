from __future__ import annotations

import json
import time

import pytest

from minikin.chat.call_formats import (
    ELEMENTS,
    GLM,
    GLM_IN_LINE,
    GRANITE,
    LFM2,
    LISTED,
    LLAMA,
    MINICPM,
    MINIMAX,
    MISTRAL,
    OLMO,
    SEED,
    TAGGED,
    TAGGED_IN_LINE,
    TOOLCALL,
    format_of,
)
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader, Content

ONE = '<tool_call>\n{"name": "f", "arguments": {"a": "}</tool_call>\\"{", "b": [{}]}}\n</tool_call>'
ARGUMENTS = '{"a": "}</tool_call>\\"{", "b": [{}]}'


def read(text, size=1000, form=TAGGED, **how):
    """What a reader makes of `text` in pieces, with neighbours joined."""
    reader = CallReader(form, **how)
    parts = [p for i in range(0, len(text), size) for p in reader.feed(text[i : i + size])]
    joined = []
    for part in [*parts, *reader.finish()]:
        if joined and isinstance(part, Content) and isinstance(joined[-1], Content):
            joined[-1] = Content(joined[-1].text + part.text)
        elif joined and isinstance(part, Arguments) and isinstance(joined[-1], Arguments):
            joined[-1] = Arguments(joined[-1].json + part.json)
        else:
            joined.append(part)
    return joined


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_content_and_calls_are_separated_for_every_chunk_size(size):
    call = [CallBegun("f"), Arguments(ARGUMENTS)]
    assert read(f"Wait <b>. {ONE}\n{ONE}", size) == [Content("Wait <b>. "), *call, *call]
    assert read(f"{ONE}and more", size) == [*call, Content("and more")]
    assert read('{"name": "g", "parameters": {}}', size, LLAMA) == [CallBegun("g"), Arguments("{}")]


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "text",
    ["", "no call", "a < b", "<tool_call", "<tool_call>no",
     '<tool_call>\n{"name": "a b", "arguments": {}}', "<tool_call>\n{" + "x" * 300,
     '<tool_call>\n{"name": "f"'],
)  # fmt: skip
def test_text_that_is_not_a_call_is_returned(text, size):
    assert read(text, size) == ([Content(text)] if text else [])


@pytest.mark.parametrize("kept", range(len('<tool_call>\n{"name": "f", "arguments": {'), len(ONE)))
def test_a_call_that_is_cut_off_keeps_what_there_is_of_its_arguments(kept):
    begun, arguments = read(ONE[:kept], 4)
    assert begun == CallBegun("f")
    assert ARGUMENTS.startswith(arguments.json)


def test_the_marks_of_a_truncated_second_call_are_not_content():
    first = read(ONE)
    for kept in range(1, len('\n<tool_call>\n{"name": "f", "argum')):
        assert read(f"{ONE}\n{ONE}"[: len(ONE) + kept], 3) == first


def test_arguments_are_streamed():
    reader = CallReader(TAGGED)
    reader.feed(ONE[:45])
    assert reader.feed('x": 1, "') == [Arguments('x": 1, "')]


def test_a_megabyte_takes_linear_time():
    call = '<tool_call>\n{"name": "f", "arguments": {"a": "' + "<tool_call>" * 90_000
    reader = CallReader(TAGGED)
    start = time.process_time()
    for i in range(0, len(call), 20):
        reader.feed(call[i : i + 20])
    assert time.process_time() - start < 5


def test_the_template_shows_the_format_of_calls():
    assert format_of("{{ messages }}") == TAGGED
    assert format_of("{{ tools }} <tool_call>").native
    assert not format_of("{{ tools }} <tool_call><function=f>").native
    for other in ("f<arg_key>", '<function name="f">', "<invoke", "{name}<parameter=a>"):
        assert not format_of(f"{{{{ tools }}}} <tool_call>{other}").native
    assert format_of('{{ tools }} <tool_call>\\n{"name": <arg_key>').native
    assert format_of('{{ tools }} <tool_call></tool_call> <tool_calls>[{"name"') == LISTED
    assert format_of("{{ tools }} <TOOLCALL>[{{") == TOOLCALL
    assert format_of("{{ tools }} <|tool_call|> followed by a JSON list of tools") == GRANITE
    assert format_of('{{ tools }} ipython "parameters"') == LLAMA
    assert format_of("{{ tools }} <tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1") == GLM
    assert format_of("{{ tools }} <tool_call>f<arg_key>a</arg_key><arg_value>1") == GLM_IN_LINE
    assert format_of("{{ tools }} <seed:tool_call><function=f><parameter=a>1") == SEED
    assert format_of('{{ tools }} <minimax:tool_call>\n<invoke name="f">') == MINIMAX
    assert format_of('{{ tools }} <function name="f"><param name="p">') == MINICPM
    assert format_of("{{ tools }} List of tools: <|tool_list_start|>[") == LFM2
    assert format_of("{{ tools }} <|tool_call_start|>[f(a=1)]<|tool_call_end|>") == LFM2
    assert format_of("{{ tools }} <function_calls>f(a=1)</function_calls>") == OLMO
    in_line = """{{ tools }} <tool_call>{"name": "f"}</tool_call>"""
    assert format_of(in_line) == TAGGED_IN_LINE
    assert format_of("{{ tools }} [TOOL_CALLS] [") == MISTRAL
    assert format_of("{{ tools }} [TOOL_CALLS][").begin == "[TOOL_CALLS]["


LIST = '[TOOL_CALLS] [{"name": "f", "arguments": {"a": "}, {"}}, {"name": "g", "arguments": {}}]'


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_list_of_calls_comes_apart(size):
    calls = [CallBegun("f"), Arguments('{"a": "}, {"}'), CallBegun("g"), Arguments("{}")]
    assert read(LIST, size, MISTRAL) == calls
    assert read(f"Wait. {LIST}", size, MISTRAL) == [Content("Wait. "), *calls]
    assert read("[TOOL_CALLS] [1]", size, MISTRAL) == [Content("[TOOL_CALLS] [1]")]
    assert read(LIST[:-1], size, MISTRAL) == calls


ELEMENT_CALL = """<tool_call>
<function=write_file>
<parameter=path>
a "b".py
</parameter>
<parameter=content>
def f():
    return "\\n</parameter>"

</parameter>
<parameter=lines>
[1, 2.50]
</parameter>
<parameter=mode>
not JSON
</parameter>
</function>
</tool_call>"""
ELEMENT_ARGUMENTS = {
    "path": 'a "b".py', "content": 'def f():\n    return "\\n</parameter>"\n', "lines": [1, 2.5],
    "mode": "not JSON",
}  # fmt: skip
WRITTEN_AS_TEXT = {"write_file": {"path", "content"}}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_elements_become_json(size):
    said = f"I write.\n{ELEMENT_CALL}\n{ELEMENT_CALL}\nDone."
    found = read(said, size, ELEMENTS, texts=WRITTEN_AS_TEXT)
    assert [type(part) for part in found] == [Content, *[CallBegun, Arguments] * 2, Content]
    assert found[1] == CallBegun("write_file")
    assert json.loads(found[2].json) == json.loads(found[4].json) == ELEMENT_ARGUMENTS
    assert '"lines": [1, 2.50]' in found[2].json


def test_text_in_elements_is_streamed():
    reader = CallReader(ELEMENTS, texts=WRITTEN_AS_TEXT)
    reader.feed("<tool_call>\n<function=write_file>\n<parameter=content>\n")
    assert reader.feed("one\n") == [Arguments("one")]
    assert reader.feed("two\n</para") == [Arguments("\\ntwo")]
    assert reader.feed("graph>") == [Arguments("\\n</paragraph>")]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("<![CDATA[a</param>\n]] >&]]>", "a</param>\n]] >&"),
        ("<![CDATA[]]>", ""),
        ("<![CDAT", "<![CDAT"),
        ("]]>", "]]>"),
        ("", ""),
    ],
)
def test_a_text_in_a_section_is_what_is_in_it(size, written, meant):
    said = f'<function name="f"><param name="a">{written}</param></function>'
    assert read(said, size, MINICPM, texts={"f": {"a"}}) == [
        CallBegun("f"),
        Arguments(json.dumps({"a": meant})),
    ]


@pytest.mark.parametrize("size", [1, 1000])
def test_elements_without_parameters_and_json_in_their_place(size):
    call = "<tool_call>\n<function=f>\n{}</function>\n</tool_call>"
    assert read(call.format(""), size, ELEMENTS) == [CallBegun("f"), Arguments("{}")]
    json_call = call.format('{"a": {}}')
    assert read(json_call, size, ELEMENTS) == [CallBegun("f"), Arguments('{"a": {}}')]
    for text in ("<tool_call>\n<function=f>\nplain", "<tool_call>\n{}", "a <tool_call"):
        assert read(text, size, ELEMENTS) == [Content(text)]


@pytest.mark.parametrize("form", [ELEMENTS, MINICPM])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_elements_are_written_as_they_are_read(form, size):
    calls = [{"name": "write_file", "arguments": ELEMENT_ARGUMENTS}, {"name": "f", "arguments": {}}]
    found = read(form.write(calls), size, form, texts=WRITTEN_AS_TEXT)
    assert json.loads(found[1].json) == ELEMENT_ARGUMENTS
    assert found[2:] == [CallBegun("f"), Arguments("{}")]


def test_an_argument_that_is_not_json_stays_as_it_is():
    half = ELEMENTS.write([{"name": "f", "arguments": '{"a": '}])
    assert half == '<tool_call>\n<function=f>\n{"a": </function>\n</tool_call>'
