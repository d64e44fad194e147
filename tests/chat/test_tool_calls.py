from __future__ import annotations

import time

import pytest

from minikin.chat.call_formats import (
    GRANITE,
    LISTED,
    LLAMA,
    MISTRAL,
    TAGGED,
    TOOLCALL,
    format_of,
)
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader, Content

ONE = '<tool_call>\n{"name": "f", "arguments": {"a": "}</tool_call>\\"{", "b": [{}]}}\n</tool_call>'
ARGUMENTS = '{"a": "}</tool_call>\\"{", "b": [{}]}'


def read(text, size=1000, form=TAGGED):
    """What a reader makes of `text` in pieces, with neighbours joined."""
    reader = CallReader(form)
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
