"""The values of a body in two other forms: as a response shows them, and as chat has them."""

from __future__ import annotations

from typing import Any

from minikin.api.responses import custom_tools
from minikin.constrain.schema.made_strict import made_strict

_NO_PARAMETERS = {"type": "object", "properties": {}}
LOGPROBS = "message.output_text.logprobs"
"""The value of `include` that asks for log probabilities."""


def items(value: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The input as items that have a type. Text is a message of the user."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}] if value else []
    return [{"type": "message"} | item for item in value]


def tools(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools as a response shows them."""
    return [_shown(tool) if tool["type"] == "function" else _custom(tool) for tool in given]


def nested_tools(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools in the form of chat completions.

    A schema that was made strict is not checked as if the client had called it strict.
    """
    functions = [
        _shown(tool) | {"strict": bool(tool.get("strict"))}
        if tool["type"] == "function"
        else _custom(tool) | _nested_custom(tool)
        for tool in given
    ]
    names = ("name", "description", "parameters", "strict", "custom", "lark")
    return [
        {
            "type": "function",
            "function": {name: f[name] for name in names if f.get(name) is not None},
        }
        for f in functions
    ]


def _nested_custom(tool: dict[str, Any]) -> dict[str, Any]:
    parameters, lark = custom_tools.parameters(tool), custom_tools.lark(tool)
    return {"parameters": parameters, "strict": True, "custom": True, "lark": lark}


def raw_names(given: list[dict[str, Any]]) -> frozenset[str]:
    """The names of the custom tools whose input the model writes as it is."""
    return frozenset(tool["name"] for tool in given if custom_tools.lark(tool))


def custom_names(given: list[dict[str, Any]]) -> frozenset[str]:
    """The names of the custom tools."""
    return frozenset(tool["name"] for tool in given if tool["type"] == "custom")


def _custom(tool: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "custom",
        "description": tool.get("description") or None,
        "name": tool.get("name"),
        "format": tool.get("format") or {"type": "text"},
    }


def _shown(tool: dict[str, Any]) -> dict[str, Any]:
    """A function with all its fields. Without `strict`, its schema is made strict if it can be."""
    parameters, strict = tool.get("parameters"), tool.get("strict")
    if strict is None:
        made = made_strict(parameters or _NO_PARAMETERS)
        parameters, strict = (made, True) if made else (parameters, False)
    return {
        "type": "function",
        "description": tool.get("description") or None,
        "name": tool["name"],
        "parameters": parameters,
        "strict": strict,
    }


def nested_choice(choice: str | dict[str, Any]) -> str | dict[str, Any]:
    """`tool_choice` in the form of chat completions."""
    if isinstance(choice, str):
        return choice
    if choice["type"] != "allowed_tools":
        return _named(choice)
    allowed = {"mode": choice["mode"], "tools": [_named(tool) for tool in choice["tools"]]}
    return {"type": "allowed_tools", "allowed_tools": allowed}


def _named(choice: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": choice.get("name", "")}}


def text(given: dict[str, Any]) -> dict[str, Any]:
    """`text` as a response shows it."""
    wanted = given.get("format") or {"type": "text"}
    if wanted["type"] == "json_schema":
        wanted = {
            "type": "json_schema",
            "description": wanted.get("description"),
            "name": wanted["name"],
            "schema": wanted["schema"],
            "strict": bool(wanted.get("strict")),
        }
    return {"format": wanted, "verbosity": given.get("verbosity") or "medium"}


def nested_format(given: dict[str, Any]) -> dict[str, Any]:
    """The format in `text`, in the form of chat completions."""
    wanted = text(given)["format"]
    if wanted["type"] != "json_schema":
        return wanted
    schema = {name: value for name, value in wanted.items() if name != "type"}
    return {"type": "json_schema", "json_schema": schema}


def reasoning(given: dict[str, Any]) -> dict[str, Any]:
    """`reasoning` as a response shows it."""
    return {"effort": given.get("effort"), "summary": given.get("summary")}


def effort(given: dict[str, Any]) -> str | None:
    """The effort that `reasoning` asks for. Chat completions have no `max`."""
    asked = given.get("effort")
    return "xhigh" if asked == "max" else asked


def wants_logprobs(include: list[str]) -> bool:
    """Whether `include` asks for log probabilities."""
    return LOGPROBS in include


def conversation_id(given: str | dict[str, str]) -> str:
    """The id in `conversation`."""
    return given if isinstance(given, str) else given["id"]


def is_auto(truncation: str) -> bool:
    """Whether the oldest items can be dropped."""
    return truncation == "auto"
