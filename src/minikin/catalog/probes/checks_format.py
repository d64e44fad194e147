"""Checks of answers with a required format: JSON, a schema, tool calls.

The prompts suggest prose, and the schemas contain values that no model would choose. Only a server
that enforces the format passes.
"""

from __future__ import annotations

import json
from typing import Any

from minikin.catalog.probes.probe import Answer, Asker, Body, Failed, Ignored, Inconclusive


def fits(schema: Body, value: Any) -> bool:
    """Whether a value matches a schema. Supports only the keywords that the checks use."""
    if "enum" in schema:
        return any(value == option and type(value) is type(option) for option in schema["enum"])
    if schema["type"] == "object":
        return (
            isinstance(value, dict)
            and value.keys() == schema["properties"].keys()
            and all(fits(schema["properties"][name], part) for name, part in value.items())
        )
    if schema["type"] == "array":
        return isinstance(value, list) and all(fits(schema["items"], part) for part in value)
    return isinstance(value, {"string": str, "boolean": bool}[schema["type"]])


def _object(**properties: Body) -> Body:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


def format_response(asker: Asker) -> str:
    """The answer is JSON although the conversation asks for prose, and parses completely."""
    fields = {"response_format": {"type": "json_object"}, **asker.greedy}
    question = "Say hello. You may mention JSON."
    for ask, prompt, how in (
        (asker.ask, question, ""),
        (asker.ask, "What is json? One sentence.", ""),
        (asker.stream, question, " when streaming"),
    ):
        reply = ask(_chat(question, "Hello!", prompt), max_tokens=32, **fields)
        if reply and not _is_json_so_far(reply.text, cut=reply.finish == "length"):
            raise Ignored(f"requested a JSON object, got prose{how}")
    reply = asker.ask(
        _chat("JSON, please.", '{"ok": true}', "JSON, please."), max_tokens=64, **fields
    )
    if isinstance(_parsed(reply.text), dict):
        return "2 answers are JSON against the conversation, and 1 parses completely"
    if reply.finish == "length":
        raise Inconclusive("answers are JSON, but none ended before the token limit")
    raise Failed("the answer is not a JSON object")


def _chat(question: str, reply: str, prompt: str) -> list[Body]:
    turns = [("user", question), ("assistant", reply)] * 2 + [("user", prompt)]
    return [{"role": role, "content": content} for role, content in turns]


def _is_json_so_far(text: str, cut: bool) -> bool:
    """Whether the text is a JSON object, or the start of one that was cut off."""
    if not text.lstrip().startswith("{"):
        return cut and not text.strip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        # For a truncated text, the parser stops at its end, or before its last word.
        rest = text[error.pos :].strip()
        begun = any(word.startswith(rest) for word in ("true", "false", "null", "-", "\\u0000"))
        return cut and (begun or error.msg.startswith("Unterminated"))
    except RecursionError:
        return False
    return True


_SCHEMAS = [
    _object(zq7={"type": "string", "enum": ["k-41", "m-09"]}, flag={"type": "boolean"}),
    _object(inner=_object(v={"type": "integer", "enum": [90210, 31337]})),
    _object(
        list={
            "type": "array",
            "items": {"type": "string", "enum": ["\u00fc8", "x x"]},
            "minItems": 1,
            "maxItems": 2,
        }
    ),
]


def structured_outputs(asker: Asker) -> str:
    """Answers match three schemas with values that no model would guess."""
    trials = [(asker.ask, index, "") for index in range(len(_SCHEMAS))]
    for ask, index, how in [*trials, (asker.stream, 0, " when streaming")]:
        form = {"name": f"odd_{index}", "strict": True, "schema": _SCHEMAS[index]}
        reply = ask(
            "Say hello in one word.",
            response_format={"type": "json_schema", "json_schema": form},
            max_tokens=64,
            **asker.greedy,
        )
        if reply and not fits(_SCHEMAS[index], _parsed(reply.text)):
            counted = f"{index + 1} of {len(_SCHEMAS)}{how}"
            raise Ignored(f"the answer to schema {counted} does not match")
    return f"answers match {len(_SCHEMAS)} adversarial schemas, also when streaming"


def _tool(name: str, strict: bool = False, **properties: Body) -> Body:
    function: Body = {
        "name": name,
        "description": f"The {name.replace('_', ' ')} tool.",
        "parameters": _object(**properties),
    }
    return {"type": "function", "function": function | ({"strict": True} if strict else {})}


_WEATHER = _tool("get_weather", city={"type": "string"})
_LAMP = _tool("set_lamp", state={"type": "string", "enum": ["on", "off"]})


def _talk(turns: list[tuple[str, list[tuple[str, str]]]], question: str) -> list[Body]:
    """A conversation where each question led to calls (name, arguments), and one more question.

    Even the smallest model continues such a pattern, so the check does not need its judgement.
    """
    talk: list[Body] = []
    for turn, (asked, calls) in enumerate(turns):
        made = [
            {
                "id": f"call_{turn}{index}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for index, (name, arguments) in enumerate(calls)
        ]
        talk += [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": None, "tool_calls": made},
            *({"role": "tool", "tool_call_id": c["id"], "content": "Done."} for c in made),
        ]
    return [*talk, {"role": "user", "content": question}]


_CITIES = ("Paris", "Rome", "Oslo", "Bern")
_WEATHER_TALK = _talk(
    [(f"Weather in {c}?", [("get_weather", json.dumps({"city": c}))]) for c in _CITIES],
    "Weather in Lima?",
)


def _calls(reply: Answer) -> list[tuple[str, Any]]:
    return [
        (call["function"]["name"], _parsed(call["function"]["arguments"])) for call in reply.calls
    ]


def tools(asker: Asker) -> str:
    """A conversation full of tool calls leads to another call, with valid arguments."""
    fields = {"tools": [_WEATHER, _LAMP], "max_tokens": 48, **asker.greedy}
    reply = asker.ask(_WEATHER_TALK, **fields)
    if not reply.calls and "get_weather" in reply.text:
        raise Failed("a call is in the text")
    if not reply.calls:
        fields["tool_choice"] = "required"
        reply = asker.ask(_WEATHER_TALK, **fields)
    if not reply.calls:
        _insist_that_tools_count(asker, reply, fields)
        raise Inconclusive("the model called no tool, so there is no call to check")
    _valid(reply)
    streamed = asker.stream(_WEATHER_TALK, **fields)
    if streamed and not streamed.calls:
        raise Ignored("no tool was called when streaming")
    if streamed:
        _valid(streamed)
    return f"{len(reply.calls)} call, the arguments match the schema, also when streaming"


def tool_calls(asker: Asker) -> str:
    """A call ends the answer with its own finish reason, and the model reads its result."""
    fields = {"tools": [_WEATHER, _LAMP], "max_tokens": 48, **asker.greedy}
    reply = asker.ask(_WEATHER_TALK, **fields)
    if not reply.calls:
        reply = asker.ask(_WEATHER_TALK, tool_choice="required", **fields)
    if not reply.calls:
        raise Inconclusive("the model called no tool")
    if reply.finish != "tool_calls":
        raise Failed(f"finish_reason is {reply.finish!r} after a call")
    made = {"role": "assistant", "content": None, "tool_calls": reply.calls}
    results = (
        [{"role": "tool", "tool_call_id": call["id"], "content": said} for call in reply.calls]
        for said in ("Rain.", "Rain from the north, all day and all of the night, and cold wind.")
    )
    short, long = (
        asker.ask([*_WEATHER_TALK, made, *result], **fields | {"max_tokens": 1}).usage
        for result in results
    )
    if isinstance(size := short.get("prompt_tokens"), int) and long["prompt_tokens"] < size + 8:
        raise Ignored("the result of a call does not count in the prompt")
    return "a call ends the answer, and its result is a part of the next prompt"


def _valid(reply: Answer) -> None:
    """Raise Failed if a call has no id, no given name, or arguments of another form."""
    schemas = {
        tool["function"]["name"]: tool["function"]["parameters"] for tool in (_WEATHER, _LAMP)
    }
    for call, (name, arguments) in zip(reply.calls, _calls(reply), strict=True):
        if name not in schemas or not call.get("id") or call.get("type") != "function":
            raise Failed("a call has no id, or no name of a given tool")
        if not fits(schemas[name], arguments):
            raise Failed("the arguments of a call do not match its schema")


def _insist_that_tools_count(asker: Asker, reply: Answer, fields: Body) -> None:
    """Raise Ignored if tools do not make a prompt longer, which means that they are dropped."""
    bare = asker.ask(_WEATHER_TALK, **(fields | {"tools": [_LAMP]}))
    sizes = [found.usage.get("prompt_tokens") for found in (reply, bare)]
    if sizes[0] == sizes[1] and sizes[0] is not None:
        raise Ignored("no tool was called, and tools do not count in prompt_tokens")


def tool_choice(asker: Asker) -> str:
    """none, required, and two tools by name have their effect against the conversation."""
    fields = {"tools": [_WEATHER, _LAMP], "max_tokens": 48, **asker.greedy}
    if asker.ask(_WEATHER_TALK, tool_choice="none", **fields).calls:
        raise Ignored("none: a tool was called")
    plain = "Say hello in one word."
    if not asker.ask(plain, tool_choice="required", **fields).calls:
        raise Ignored("required: no tool was called")
    for name in ("get_weather", "set_lamp"):
        choice = {"type": "function", "function": {"name": name}}
        called = [known for known, _ in _calls(asker.ask(plain, tool_choice=choice, **fields))]
        if set(called) != {name}:
            raise Ignored(f"named {name}: called {called or 'nothing'}")
    for choice in ("none", "required"):
        talk = _WEATHER_TALK if choice == "none" else plain
        streamed = asker.stream(talk, tool_choice=choice, **fields)
        if streamed and bool(streamed.calls) != (choice == "required"):
            raise Ignored(f"{choice} has no effect when streaming")
    return "none, required and two named tools have their effect, also when streaming"


def parallel_tool_calls(asker: Asker) -> str:
    """In a conversation with two calls per turn, true gives two calls and false gives one."""
    both = [("get_weather", '{"city": "Rome"}'), ("set_lamp", '{"state": "on"}')]
    question = "Rome weather and lamp on."
    talk = _talk([(question, both)] * 4, question)
    counts = {
        allowed: len(
            asker.ask(
                talk,
                tools=[_WEATHER, _LAMP],
                parallel_tool_calls=allowed,
                max_tokens=96,
                **asker.greedy,
            ).calls
        )
        for allowed in (True, False)
    }
    if counts[False] > 1:
        raise Ignored(f"{counts[False]} calls, but one was allowed")
    if counts[True] < 2:
        raise Inconclusive(f"the model made {counts[True]} call(s), but two were possible")
    return f"{counts[True]} calls when allowed, {counts[False]} when not"


def strict_tools(asker: Asker) -> str:
    """Strict arguments match the schema, although no earlier call in the conversation does."""
    tool = _tool("set_mode", strict=True, mode={"type": "string", "enum": ["k-41", "m-09"]})
    question = "Set the mode to blue."
    talk = _talk([(question, [("set_mode", '{"mode": "blue"}')])] * 4, question)
    fields = {"tools": [tool], "max_tokens": 48, **asker.greedy}
    reply = asker.ask(talk, **fields)
    if not reply.calls:
        reply = asker.ask(talk, tool_choice="required", **fields)
    if not reply.calls:
        raise Inconclusive("the model called no tool, so there are no arguments to check")
    if not all(fits(tool["function"]["parameters"], arguments) for _, arguments in _calls(reply)):
        raise Ignored("strict arguments do not match their schema")
    return "arguments match the schema against the pattern of the conversation"
