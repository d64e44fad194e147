"""Haystack's OpenAIResponsesChatGenerator: a job of two turns with a tool, streamed.

Prints one JSON object.
"""

import json
import sys

from haystack.components.generators.chat import OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool
from haystack.utils import Secret

called = []


def weather(city: str) -> str:
    called.append(city)
    return f"Sunny in {city}."


tool = Tool(
    name="weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome", "Oslo"]}},
        "required": ["city"],
    },
    function=weather,
)
pieces = []
generator = OpenAIResponsesChatGenerator(
    api_key=Secret.from_token("any"),
    model="gpt-4.1-mini",
    api_base_url=sys.argv[1],
    streaming_callback=lambda piece: pieces.append(piece.content),
    generation_kwargs={"temperature": 0, "max_output_tokens": 256},
    max_retries=0,
)
messages = [ChatMessage.from_user("What is the weather in Paris?")]
first = generator.run(messages, tools=[tool], generation_kwargs={"tool_choice": "required"})[
    "replies"
]
messages += first
for call in first[0].tool_calls:
    outcome = tool.invoke(**call.arguments)
    messages.append(ChatMessage.from_tool(outcome, origin=call))
pieces.clear()
(second,) = generator.run(messages)["replies"]
print(json.dumps({"called": called, "text": second.text, "streamed": "".join(pieces)}))
