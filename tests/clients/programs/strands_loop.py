"""An agent of strands-agents with a tool, and a structured output. Prints one JSON object."""

import json
import sys
from typing import Literal

from pydantic import BaseModel
from strands import Agent, tool
from strands.models.openai import OpenAIModel

asked = []


@tool
def weather(city: Literal["Paris", "Rome", "Oslo"]) -> str:
    """The weather in a city.

    Args:
        city: the name of the city
    """
    asked.append(city)
    return f"Sunny in {city}."


class Dish(BaseModel):
    """A dish of a restaurant."""

    kind: Literal["soup", "bread", "cake"]
    plates: int


def model():
    return OpenAIModel(
        client_args={"base_url": sys.argv[1], "api_key": "any", "max_retries": 0},
        model_id="gpt-4.1-mini",
        params={"temperature": 0, "max_tokens": 256},
    )


agent = Agent(model=model(), tools=[weather], callback_handler=None)
result = agent("What is the weather in Paris?")
filled = Agent(model=model(), callback_handler=None)(
    "I had two plates of cold soup.", structured_output_model=Dish
)
print(
    json.dumps(
        {
            "asked": asked,
            "stop": result.stop_reason,
            "text": str(result),
            "roles": [message["role"] for message in agent.messages],
            "tokens": result.metrics.accumulated_usage["totalTokens"],
            "dish": filled.structured_output.model_dump(),
        }
    )
)
