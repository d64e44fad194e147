"""LlamaIndex's OpenAIResponses: a job of two turns with a tool, streamed.

Prints one JSON object.
"""

import json
import sys
from typing import Literal

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses

called = []


def weather(city: Literal["Paris", "Rome", "Oslo"]) -> str:
    """The weather in a city."""
    called.append(city)
    return f"Sunny in {city}."


def last_of(stream):
    pieces = list(stream)
    return pieces[-1], "".join(piece.delta or "" for piece in pieces)


model = OpenAIResponses(
    model="gpt-4.1-mini",
    api_base=sys.argv[1],
    api_key="any",
    temperature=0,
    max_output_tokens=256,
    max_retries=0,
    store=False,
)
tool = FunctionTool.from_defaults(weather)
messages = [ChatMessage(role="user", content="What is the weather in Paris?")]
first, _ = last_of(model.stream_chat_with_tools([tool], chat_history=messages, tool_required=True))
calls = model.get_tool_calls_from_response(first)
messages.append(first.message)
for call in calls:
    outcome = tool.call(**call.tool_kwargs)
    messages.append(
        ChatMessage(role="tool", content=str(outcome), additional_kwargs={"call_id": call.tool_id})
    )
second, text = last_of(model.stream_chat(messages))
print(json.dumps({"called": called, "text": second.message.content, "streamed": text}))
