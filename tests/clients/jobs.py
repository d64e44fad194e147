"""Small jobs that every client library does: an object to fill in, and a tool to call."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

MODEL = "gpt-4.1-mini"
REVIEW = "The soup was cold and the waiter rude. I paid 12 euros for two plates."
"""What there is to fill in about."""
WEATHER_QUESTION = "What is the weather in Paris?"


class Dish(BaseModel):
    kind: Literal["soup", "bread", "cake"]
    plates: int = Field(ge=0, le=20)


class Review(BaseModel):
    """A review of a restaurant."""

    mood: Literal["good", "bad"]
    dishes: list[Dish] = Field(max_length=3)
    price: float | None


def weather(city: Literal["Paris", "Rome", "Oslo"], days: int) -> str:
    """The weather in a city, for some days."""
    return f"Sunny in {city} for {days} days."
