"""About 100 small jobs with answers that a program can check, in seven kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
Answer = dict[str, Any]
"""The first choice of a chat completion."""
TEXT, WHOLE, NUMBER, FLAG = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))


@dataclass(frozen=True)
class Job:
    """One request, and what makes its answer right."""

    kind: str
    ask: str
    right: Callable[[Answer], bool]
    options: dict[str, Any] = field(default_factory=dict)

    def judge(self, answer: Answer) -> bool:
        """Whether the answer is right. One that cannot be read is not."""
        try:
            return bool(self.right(answer))
        except (ValueError, KeyError, TypeError, AttributeError):
            return False


def all_jobs() -> list[Job]:
    """Every job, kind by kind."""
    kinds = (_extract, _classify, _instructed, _choose_tool, _fill_arguments, _edit, _bounds)
    return [job for kind in kinds for job in kind()]


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(schema: dict[str, Any], name: str = "answer") -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


def _content(answer: Answer) -> Any:
    return json.loads(answer["message"]["content"])


def _described(kind: dict[str, Any], description: str) -> dict[str, Any]:
    return kind | {"description": description}


PERSON = _object(
    name=_described(TEXT, "The person's full name."),
    age=_described(WHOLE, "The person's age in years."),
    city=_described(TEXT, "The city where the person lives."),
)
PEOPLE = (
    ("Anna Berg is 34 years old and lives in Oslo.", "Anna Berg", 34, "Oslo"),
    ("Meet Tom Hill from Dublin. He turned 52 last week.", "Tom Hill", 52, "Dublin"),
    ("My neighbour in Lyon, Marie Petit, is 41.", "Marie Petit", 41, "Lyon"),
    ("At 19, Kenji Sato moved to Osaka, where he lives now.", "Kenji Sato", 19, "Osaka"),
    ("Lives in Madrid: Carla Ruiz, age 67.", "Carla Ruiz", 67, "Madrid"),
    ("Ivan Petrov (28) works and lives in Sofia.", "Ivan Petrov", 28, "Sofia"),
)
ORDER = _object(
    product=_described(TEXT, "What is bought, one word."),
    quantity=_described(WHOLE, "How many are bought."),
    price=_described(NUMBER, "The price of one in euros."),
)
ORDERS = (
    ("I would like 3 lamps at 20 euros each.", "lamp", 3, 20),
    ("Please send 12 pencils, 2 euros each.", "pencil", 12, 2),
    ("We need 5 chairs. Each chair costs 49 euros.", "chair", 5, 49),
    ("Order: 7 notebooks, price 4 euros per notebook.", "notebook", 7, 4),
    ("Can I get 2 tables for 150 euros each?", "table", 2, 150),
    ("Send us 10 cups. One cup is 6 euros.", "cup", 10, 6),
)
MEETING = _object(
    day=_described({"enum": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]}, "The day."),
    hour=_described(WHOLE, "The hour at which it begins, 0 to 23."),
    online=_described(FLAG, "Whether the meeting is online."),
)
MEETINGS = (
    ("Let us meet online on Tuesday at 10.", "Tuesday", 10, True),
    ("The meeting is on Friday at 15 in room 4, not online.", "Friday", 15, False),
    ("On Monday at 9 we talk by video call, online.", "Monday", 9, True),
    ("See you on Thursday at 14 in my office.", "Thursday", 14, False),
)


def _extract() -> Iterator[Job]:
    def same(found: Any, wanted: Any) -> bool:
        if isinstance(wanted, str):
            return str(found).strip().lower().removesuffix("s") == wanted.lower().removesuffix("s")
        return found == wanted

    for schema, rows in ((PERSON, PEOPLE), (ORDER, ORDERS), (MEETING, MEETINGS)):
        names = list(schema["properties"])
        for text, *values in rows:
            for name, value in zip(names, values, strict=True):
                yield Job(
                    "extraction into a schema",
                    f"Extract the data from this text.\n\n{text}",
                    lambda answer, name=name, value=value: same(_content(answer)[name], value),
                    {"response_format": _schema(schema)},
                )


MOODS = (
    ("I love this phone, it is wonderful!", "positive"),
    ("The food was awful and cold.", "negative"),
    ("Best holiday of my life.", "positive"),
    ("It broke after one day. Very disappointed.", "negative"),
    ("Great service and friendly people.", "positive"),
    ("I hated every minute of the film.", "negative"),
    ("A terrible waste of money.", "negative"),
    ("What a beautiful and relaxing place!", "positive"),
)
TOPICS = (
    ("The team scored two goals in the last minute.", "sport"),
    ("The bank raised its interest rates.", "money"),
    ("Boil the pasta for ten minutes and add salt.", "cooking"),
    ("The striker won the match with a penalty.", "sport"),
    ("Bake the bread with flour and water.", "cooking"),
    ("Shares fell and investors sold their stock.", "money"),
)


def _classify() -> Iterator[Job]:
    for question, name, rows in (
        ("What is the mood of this text?", "mood", MOODS),
        ("What is this text about?", "topic", TOPICS),
    ):
        schema = _object(**{name: {"enum": sorted({value for _, value in rows})}})
        for text, value in rows:
            yield Job(
                "classification by enum",
                f"{question}\n\n{text}",
                lambda answer, name=name, value=value: _content(answer)[name] == value,
                {"response_format": _schema(schema)},
            )


INSTRUCTED = (
    ("Always the word BANANA.", "BANANA", "Name a fruit."),
    ("Always the word HELLO.", "HELLO", "Greet me."),
    ("Always the text N/A.", "N/A", "Who wrote this?"),
    ("Always the city Paris.", "Paris", "Name a city."),
    ("Always the colour green.", "green", "Name a colour."),
    ("Always the animal cat.", "cat", "Name an animal."),
)


def _instructed() -> Iterator[Job]:
    """Where only a description says what is wanted, as pydantic and instructor users have it."""
    for description, value, ask in INSTRUCTED:
        schema = _object(value=_described(TEXT, description))
        yield Job(
            "instructions in descriptions",
            ask,
            lambda answer, value=value: value.lower() in _content(answer)["value"].lower(),
            {"response_format": _schema(schema)},
        )


def _tool(name: str, description: str, **properties: Any) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": _object(**properties)}
    return {"type": "function", "function": function}


TOOLS = [
    _tool("get_weather", "Get the weather of a city.", city=TEXT),
    _tool("send_email", "Send an email to a person.", to=TEXT, text=TEXT),
    _tool("add", "Add two numbers.", a=NUMBER, b=NUMBER),
    _tool("play_music", "Play a song.", song=TEXT),
]
CHOICES = (
    ("What is the weather in Rome?", "get_weather"),
    ("Will it rain in Berlin today? Look up the weather.", "get_weather"),
    ("Send an email to bob@example.com that says hello.", "send_email"),
    ("Write an email to Anna and say that I am late.", "send_email"),
    ("Add 3 and 4.", "add"),
    ("Add the numbers 10 and 25.", "add"),
    ("Play the song Yesterday.", "play_music"),
    ("Play some music: the song Imagine.", "play_music"),
)
ARGUMENTS = (
    ("What is the weather in Rome?", "get_weather", {"city": "Rome"}),
    ("Tell me the weather in Tokyo.", "get_weather", {"city": "Tokyo"}),
    ("How is the weather in Cairo now?", "get_weather", {"city": "Cairo"}),
    ("Add 3 and 4.", "add", {"a": 3, "b": 4}),
    ("Add the numbers 10 and 25.", "add", {"a": 10, "b": 25}),
    ("Please add 7 and 8.", "add", {"a": 7, "b": 8}),
    ("Play the song Yesterday.", "play_music", {"song": "Yesterday"}),
    ("Play the song Imagine.", "play_music", {"song": "Imagine"}),
)


def _calls(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    calls = answer["message"].get("tool_calls") or ()
    return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls]


def _choose_tool() -> Iterator[Job]:
    for ask, name in CHOICES:
        for choice in ("auto", "required"):
            yield Job(
                "choice of a tool",
                ask,
                lambda answer, name=name: [call for call, _ in _calls(answer)] == [name],
                {"tools": TOOLS, "tool_choice": choice},
            )


def _fill_arguments() -> Iterator[Job]:
    for ask, name, arguments in ARGUMENTS:
        yield Job(
            "arguments of a tool",
            ask,
            lambda answer, wanted=(name, arguments): wanted in _calls(answer),
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": name}}},
        )


EDITS = (
    ({"name": "Ann", "age": 30}, "age", 31),
    ({"name": "Bob", "age": 44}, "name", "Rob"),
    ({"city": "Rome", "country": "Italy"}, "city", "Milan"),
    ({"title": "Chess", "players": 2}, "players", 4),
    ({"on": True, "level": 5}, "on", False),
    ({"price": 10, "currency": "EUR"}, "price", 12),
)


def _edit() -> Iterator[Job]:
    kinds = {str: TEXT, int: WHOLE, bool: FLAG}
    for before, name, value in EDITS:
        schema = _object(**{key: kinds[type(own)] for key, own in before.items()})
        yield Job(
            "edits of JSON",
            f"Here is a JSON object:\n{json.dumps(before)}\n"
            f"Change {name} to {json.dumps(value)} and leave the rest as it is. Give the object.",
            lambda answer, wanted={**before, name: value}: _content(answer) == wanted,
            {"response_format": _schema(schema)},
        )


def _bounds() -> Iterator[Job]:
    """Limits and stop texts, and JSON that has to end within a limit."""

    def ends(answer: Answer) -> bool:
        return (
            answer["finish_reason"] == "stop"
            and _content(answer).keys() == story["properties"].keys()
        )

    story = _object(title=TEXT, story=TEXT, words={"type": "array", "items": TEXT})
    for most in (80, 120, 200):
        for ask in ("Write a long story about the sea.", "Tell everything about Rome."):
            yield Job(
                "JSON within a limit",
                ask,
                ends,
                {"response_format": _schema(story), "max_tokens": most},
            )
    for stop in ("5", "6", "\n"):
        yield Job(
            "stop texts",
            "Count from 1 to 10, separated by commas.",
            lambda answer, stop=stop: (
                "1" in answer["message"]["content"]
                and stop not in answer["message"]["content"]
                and answer["finish_reason"] == "stop"
            ),
            {"stop": [stop]},
        )
