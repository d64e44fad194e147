from __future__ import annotations

import pytest

from minikin.chat.call_formats import HARMONY, TAGGED, format_of
from minikin.chat.harmony import HarmonyReader, in_channels
from minikin.chat.template import ChatTemplate
from minikin.chat.thoughts import Said, Thought
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader

NEXT = "<|end|><|start|>assistant"
THOUGHT = "<|channel|>analysis<|message|>Hm, 1 <|x 2."
FINAL = "<|channel|>final<|message|>"
CALL = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>"
CASES = [
    (f"{THOUGHT}{NEXT}{FINAL}Yes < no.", "Hm, 1 <|x 2.", "Yes < no."),
    (f"{THOUGHT}{NEXT}{THOUGHT}{NEXT}{FINAL}", "Hm, 1 <|x 2.\nHm, 1 <|x 2.", ""),
    (f"{THOUGHT}<|start|>assistant{FINAL}Yes.", "Hm, 1 <|x 2.", "Yes."),
    (f"{THOUGHT}{FINAL}Yes.<|end|>", "Hm, 1 <|x 2.", "Yes."),
    (f"{FINAL}One\n\ntwo ", "", "One\n\ntwo "),
    (f"<|channel|>commentary<|message|>First.{NEXT}{FINAL}Then.", "", "First.\nThen."),
    (f"{THOUGHT}{NEXT}{CALL}{{}}", "Hm, 1 <|x 2.", f"{CALL}{{}}"),
    (" to=functions.f<|channel|>commentary json<|message|>{}", "", f"{CALL}{{}}"),
    ("<|channel|>commentary to=functions.f<|message|>{}", "", f"{CALL}{{}}"),
    ("<|channel|>analysis to=python code<|message|>1 + 1", "1 + 1", ""),
    ("<|message|>No channel", "", "No channel"),
    ("No header at all, <|message|> or not", "", "No header at all, <|message|> or not"),
    ("<", "", "<"),
    ("to", "", "to"),
    ("Word", "", "Word"),
    ("", "", ""),
    ("<|channel|>analy", "", ""),
    (f"{THOUGHT}{NEXT}<|channel|>final", "Hm, 1 <|x 2.", ""),
    (f"{FINAL}Cut <|en", "", "Cut <|en"),
]


def read(text, size):
    reader = HarmonyReader()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    parts = [part for piece in pieces for part in reader.feed(piece)] + reader.finish()
    assert all(part.text for part in parts)
    return parts


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(("text", "thought", "said"), CASES)
def test_channels_are_separated_for_every_chunk_size(text, thought, said, size):
    parts = read(text, size)
    assert "".join(part.text for part in parts if isinstance(part, Thought)) == thought
    assert "".join(part.text for part in parts if isinstance(part, Said)) == said


def test_content_and_reasoning_are_streamed():
    reader = HarmonyReader()
    assert reader.feed("<|channel|>") == []
    assert reader.feed("analysis<|message|>") == []
    assert reader.feed("One") == [Thought("One")]
    assert reader.feed(" two<|en") == [Thought(" two")]
    assert reader.thinking
    assert reader.feed(f"d|><|start|>assistant{FINAL}") == []
    assert reader.thinking
    assert reader.feed("Yes") == [Said("Yes")]
    assert not reader.thinking


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_every_form_of_a_calls_header_is_a_call(size):
    for header in (CALL, " to=functions.f<|channel|>commentary <|constrain|>json<|message|>"):
        calls = CallReader(HARMONY)
        parts = [p for said in read(f'{header}{{"a": "<|"}}', size) for p in calls.feed(said.text)]
        assert parts[0] == CallBegun("f")
        told = "".join(part.json for part in parts[1:] if isinstance(part, Arguments))
        assert told == '{"a": "<|"}'
        assert calls.finish() == []


def test_a_long_text_without_a_header_is_released():
    assert HarmonyReader().feed("<|channel|>" + "x" * 300) == [Said("<|channel|>" + "x" * 300)]


def test_the_template_shows_the_call_format():
    template = "{{ tools }}<|start|>assistant<|channel|>final<|message|>"
    assert in_channels(template)
    assert format_of(template) == HARMONY
    assert not in_channels("<|message|>")
    assert format_of("<|message|>") == TAGGED


TEMPLATE = """{%- for tool in tools or () -%}
{{ "// " + tool.function.description + "\\n" }}{{ tool.function.name }}
{%- endfor -%}
{%- for message in messages -%}
{%- if "thinking" in message -%}<|start|>assistant<|channel|>analysis<|message|>
{{- message.thinking }}<|end|>{%- endif -%}
<|start|>{{ message.role }}<|message|>{{ message.content }}{{ message.tool_calls }}<|end|>
{%- endfor -%}"""


def test_the_template_gets_descriptions_and_thoughts_before_calls():
    template = ChatTemplate(TEMPLATE, ["<|start|>"])
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "reasoning_content": "Hm.", "tool_calls": [call]}
    tools = [{"type": "function", "function": {"name": "f"}}]
    text = "".join(piece for piece, _ in template.render([said], tools=tools))
    assert text.startswith("// \nf")
    assert "analysis<|message|>Hm.<|end|>" in text
    told = [{"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}]
    assert "Hm." not in "".join(piece for piece, _ in template.render(told))
