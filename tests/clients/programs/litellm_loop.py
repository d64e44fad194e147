"""LiteLLM's documented loop of function calling. Prints one JSON object.

See docs.litellm.ai, "Function Calling": a question about three cities, and a function for one.
"""

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it downloads prices
import litellm

asked = {
    "model": "openai/gpt-4.1-mini",
    "api_base": sys.argv[1],
    "api_key": "any",
    "temperature": 0,
    "max_tokens": 256,
    "num_retries": 0,
}
known = {
    "san francisco": ("72", "fahrenheit"),
    "tokyo": ("10", "celsius"),
    "paris": ("22", "celsius"),
}
tools = [
    {
        "type": "function",
        "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {
                        "type": "string",
                        "description": "The city and state, e.g. San Francisco, CA",
                    },
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                },
                "required": ["location"],
            },
        },
    }
]


def get_current_weather(location, unit="fahrenheit"):
    for city, (temperature, of_city) in known.items():
        if city in location.lower():
            return json.dumps({"location": city, "temperature": temperature, "unit": of_city})
    return json.dumps({"location": location, "temperature": "unknown"})


question = "What's the weather like in San Francisco, Tokyo, and Paris?"
messages = [{"role": "user", "content": question}]
first = litellm.completion(messages=messages, tools=tools, tool_choice="auto", **asked)
answer = first.choices[0].message
messages.append(answer)
results = []
for call in answer.tool_calls or []:
    results.append(get_current_weather(**json.loads(call.function.arguments)))
    messages.append(
        {
            "tool_call_id": call.id,
            "role": "tool",
            "name": call.function.name,
            "content": results[-1],
        }
    )
second = litellm.completion(messages=messages, **asked)

streamed = litellm.completion(
    messages=messages[:1], tools=tools, stream=True, stream_options={"include_usage": True}, **asked
)
whole = litellm.stream_chunk_builder(list(streamed), messages=messages[:1])

print(
    json.dumps(
        {
            "results": results,
            "finish": first.choices[0].finish_reason,
            "text": second.choices[0].message.content,
            "calls": [call.function.arguments for call in answer.tool_calls or []],
            "streamed": [c.function.arguments for c in whole.choices[0].message.tool_calls or []],
            "usage": [first.usage.total_tokens, whole.usage.total_tokens],
        }
    )
)
