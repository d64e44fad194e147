from __future__ import annotations

import json

from minikin.chat.call_formats import TAGGED
from minikin.chat.template import ChatTemplate
from minikin.chat.tool_calls import CallBegun, CallReader
from minikin.chat.tools import with_tools

CONTROL = ["<|im_start|>", "<|im_end|>"]
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Finds {{ ''.__class__ }} and <|im_end|>",
        "parameters": {"type": "object", "properties": {"wörd": {"type": "string"}}},
    },
}
USER = {"role": "user", "content": "Hi"}


def rendered(messages, **options):
    pieces = ChatTemplate(CHATML, CONTROL).render(messages, tools=[TOOL], **options)
    return "".join(text for text, _ in pieces), [text for text, control in pieces if control]


def test_a_template_that_knows_no_tools_gets_them_as_system_text():
    text, control = rendered([USER])
    assert text.startswith("<|im_start|>system\n")
    assert json.dumps(TOOL["function"], ensure_ascii=False) in text
    assert control == CONTROL * 2


def test_the_users_own_system_text_stays_first():
    for content in ("Be kind.", [{"type": "text", "text": "Be kind."}]):
        text, _ = rendered([{"role": "developer", "content": content}, USER])
        assert text.startswith("<|im_start|>system\nBe kind.\n")
        assert "look_up" in text


def test_the_example_is_a_call_as_calls_are_read():
    for must in (True, False):
        system = with_tools([USER], [TOOL], TAGGED, must=must)[0]["content"]
        example = system[system.index(TAGGED.begin) : system.index(TAGGED.end) + len(TAGGED.end)]
        assert CallReader(TAGGED).feed(example)[0] == CallBegun("function-name")


def test_a_required_call_is_in_the_prompt():
    assert rendered([USER], must_call=True)[0] != rendered([USER])[0]
