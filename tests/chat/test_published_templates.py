"""The chat templates of published models, against transformers, which defines how they render."""

from __future__ import annotations

import copy
import json

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from minikin.chat.template import ChatTemplate
from minikin.errors import TemplateError
from tests.published import published_models

pytestmark = pytest.mark.slow

BOS, EOS = "<s>", "</s>"
SYSTEM = {"role": "system", "content": "Be short."}
USER = {"role": "user", "content": "How is the weather in Oslo?"}
ANSWER = {"role": "assistant", "content": "It is cold."}
MORE = {"role": "user", "content": "And tomorrow?"}
FUNCTION = {"name": "weather", "arguments": {"city": "Oslo"}}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "aaaaaaaaa", "type": "function", "function": FUNCTION}],
}
RESULT = {"role": "tool", "tool_call_id": "aaaaaaaaa", "name": "weather", "content": "3 degrees"}
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Its name."}},
    "required": ["city"],
}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather", "description": "The weather of a city.", "parameters": PARAMETERS
    },
}  # fmt: skip
CONVERSATIONS = {
    "a question": ([USER], []),
    "turns": ([SYSTEM, USER, ANSWER, MORE], []),
    "tools": ([SYSTEM, USER], [TOOL]),
    "a call": ([USER, CALL, RESULT], [TOOL]),
}
NEEDS_MORE = {"fireworks-ai-llama-3-firefunction-v2"}
"""Templates that need variables of their own."""
LOSES_CALLS = {
    "LFM2-8B-A1B", "LFM2.5-Instruct", "google-gemma-4-31B-it-interleaved",
    "ibm-granite-granite-3.3-2B-Instruct",
}  # fmt: skip
"""Templates that drop OpenAI's calls, or take their results apart from them. Minikin keeps them."""


def expected(source, messages, tools):
    """What transformers makes of a conversation. None if the template raises."""
    how = {"tools": tools or None, "add_generation_prompt": True}
    try:
        [text], _ = render_jinja_template(
            [messages], chat_template=source, bos_token=BOS, eos_token=EOS, **how
        )
    except Exception:
        return None
    return text


def rendered(template, messages, tools):
    """The same from a client, whose arguments are JSON text."""
    messages = copy.deepcopy(messages)
    for message in messages:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return "".join(text for text, _ in template.render(messages, tools=tools))


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_every_template_renders_as_its_reference(conversation):
    messages, tools = CONVERSATIONS[conversation]
    same = 0
    for path in sorted((published_models() / "templates").glob("*.jinja")):
        template = ChatTemplate(path.read_text(), [], bos=BOS, eos=EOS)
        if path.stem in NEEDS_MORE:
            with pytest.raises(TemplateError):
                rendered(template, messages, tools)
            continue
        text = rendered(template, messages, tools)
        said = [message["content"] for message in messages]
        assert all(content in text for content in said), path.stem
        assert not tools or text.count("weather of a city") == 1, path.stem
        wanted = expected(path.read_text(), messages, tools)
        if conversation == "a call" and path.stem in LOSES_CALLS:
            assert "Oslo" in text[text.index(USER["content"]) + len(USER["content"]) :], path.stem
        elif wanted is not None and (template.call_format.native or not tools):
            assert text == wanted, path.stem
            same += 1
    assert same > 35
