"""Turns a parameter's value in the body into the value of its destination field."""

from __future__ import annotations

from typing import Any


def stops(value: str | list[str]) -> tuple[str, ...]:
    """One or more stop sequences."""
    return (value,) if isinstance(value, str) else tuple(value)


def no_alternatives(logprobs: bool) -> int | None:
    """The number of alternatives of each token if only `logprobs` is given."""
    return 0 if logprobs else None


def usage_wanted(options: dict[str, bool]) -> bool:
    """`include_usage` of `stream_options`."""
    return options.get("include_usage", False)


def padding_wanted(options: dict[str, bool]) -> bool:
    """`include_obfuscation` of `stream_options`."""
    return options.get("include_obfuscation", True)


def biases(value: dict[str, float]) -> dict[int, float]:
    """Token id -> bias."""
    return {int(token): float(amount) for token, amount in value.items()}


def predicted_text(prediction: dict[str, Any]) -> str:
    """The text of `prediction`, with its parts joined."""
    content: str | list[dict[str, str]] = prediction["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def tools_of_functions(functions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """`functions`, the older form of tools, as `tools`."""
    return [{"type": "function", "function": function} for function in functions] or None


def one_call(functions: list[dict[str, Any]]) -> bool | None:
    """An answer has one `function_call`, so the model can make only one call."""
    return False if functions else None


def tool_choice_of_function_call(choice: str | dict[str, str]) -> str | dict[str, Any]:
    """`function_call`, the older form of `tool_choice`."""
    return choice if isinstance(choice, str) else {"type": "function", "function": choice}
