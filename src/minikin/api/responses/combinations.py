"""The rules of a request for a response that combine several values, in OpenAI's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from minikin.api.request import faults
from minikin.api.request.message_rules import check_distinct
from minikin.api.request.translate import Limits
from minikin.api.responses.item_rules import UNREAD
from minikin.api.responses.messages import CALLS, OUTPUTS, Item
from minikin.api.responses.tool_rules import HOSTED, OWN
from minikin.config import ORIGINAL, SNAPSHOT
from minikin.errors import InvalidRequest, NotFound

Values = dict[str, Any]
"""The known parameters of the body, each already valid. Null values are removed."""


def one_context(values: Values) -> None:
    """Raise InvalidRequest for a conversation and a previous response together."""
    if "conversation" in values and "previous_response_id" in values:
        raise InvalidRequest(
            "Mutually exclusive parameters: ''. Ensure you are only providing one of: "
            "'pre..._id' or 'conversation'.",
            code="mutually_exclusive_parameters",
        )


def no_prompt(values: Values) -> None:
    """Raise NotFound for a stored prompt."""
    if "prompt" in values:
        raise NotFound(f"Prompt with id '{values['prompt']['id']}' not found.")


def check_input(values: Values) -> None:
    """Raise InvalidRequest if there is nothing to answer."""
    if not values["input"] and not values.keys() & {"previous_response_id", "conversation"}:
        raise InvalidRequest(
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be "
            "provided.",
            code="missing_required_parameter",
        )


def check_model(values: Values, model: str, limits: Limits) -> None:
    """Raise InvalidRequest for what the model or this server cannot do."""
    name = ORIGINAL if model == SNAPSHOT else model
    if not limits.extensions:
        _no_reasoning(values)
    _one_verbosity(values, name)
    _no_hosted_tools(values, name)
    if "reasoning.encrypted_content" in values.get("include", ()) and not limits.extensions:
        raise InvalidRequest("Encrypted content is not supported with this model.", param="include")
    if "moderation" in values:
        raise faults.unsupported("moderation")
    if values.get("context_management"):
        raise faults.unsupported("context_management")
    if "stream_options" in values and not values.get("stream"):
        raise faults.only_with("stream_options", "stream")


def check_context(values: Values, items: list[Item]) -> None:
    """Raise InvalidRequest for items and tools that do not fit together."""
    for check in _OF_CONTEXT:
        check(values, items)


def _no_reasoning(values: Values) -> None:
    for member in ("effort", "summary"):
        if values.get("reasoning", {}).get(member) is not None:
            raise faults.unsupported(f"reasoning.{member}")


def _one_verbosity(values: Values, model: str) -> None:
    verbosity = values.get("text", {}).get("verbosity")
    if verbosity not in (None, "medium"):
        raise InvalidRequest(
            f"Unsupported value: '{verbosity}' is not supported with the '{model}' model. "
            "Supported values are: 'medium'.",
            param="text.verbosity",
            code="unsupported_value",
        )


def _no_hosted_tools(values: Values, model: str) -> None:
    for tool in values.get("tools", ()):
        if tool["type"] in HOSTED:
            raise InvalidRequest(
                f"Hosted tool '{tool['type']}' is not supported with {model}.", param="tools"
            )


def _only_text(values: Values, items: list[Item]) -> None:
    only_text(values["input"] if isinstance(values["input"], list) else [], "input")


def only_text(given: list[Item], path: str) -> None:
    """Raise InvalidRequest for images, files and other parts that no model here reads."""
    for at, item in enumerate(given):
        for field in ("content", "output"):
            parts = item.get(field)
            for index, part in enumerate(parts if isinstance(parts, list) else ()):
                if isinstance(part, dict) and part.get("type") in UNREAD:
                    raise InvalidRequest(
                        f"Invalid content type. {part['type']} is only supported by certain "
                        "models.",
                        param=f"{path}[{at}].{field}[{index}].type",
                    )


def _distinct_ids(values: Values, items: list[Item]) -> None:
    counts = Counter(item["id"] for item in items if item.get("id"))
    for identifier, count in counts.items():
        if count > 1:
            raise InvalidRequest(
                f"Duplicate item found with id {str(identifier)[:64]}. Remove duplicate items "
                "from your input and try again.",
                param="input",
            )


def _calls_have_outputs(values: Values, items: list[Item]) -> None:
    """Every call has its output, and every output its call, in any order."""
    calls = Counter(item["call_id"] for item in items if item["type"] in CALLS)
    outputs = Counter(item["call_id"] for item in items if item["type"] in OUTPUTS)
    if lost := list(outputs - calls):
        raise InvalidRequest(
            f"No tool call found for function call output with call_id {lost[0]}.", param="input"
        )
    if waiting := list(calls - outputs):
        raise InvalidRequest(f"No tool output found for function call {waiting[0]}.", param="input")


def _known_choice(values: Values, items: list[Item]) -> None:
    """Tools have different names, and `tool_choice` names one of them."""
    tools = [(tool["type"], tool["name"]) for tool in values.get("tools", ())]
    check_distinct([name for _, name in tools], "tools[{}].name")
    choice = values.get("tool_choice")
    if choice == "required" and not tools:
        raise InvalidRequest(
            "Tool choice 'required' must be specified with 'tools' parameter.",
            param="tool_choice",
        )
    if isinstance(choice, dict):
        for tool in choice.get("tools", [choice]):
            if (tool["type"], tool.get("name")) not in tools:
                chosen = tool["name"] if tool["type"] in OWN else tool["type"]
                raise InvalidRequest(
                    f"Tool choice '{chosen}' not found in 'tools' parameter.", param="tool_choice"
                )


def _json_object_needs_the_word(values: Values, items: list[Item]) -> None:
    wanted = (values.get("text", {}).get("format") or {}).get("type")
    if wanted != "json_object" or any("json" in text.lower() for text in _texts(items)):
        return
    raise InvalidRequest(
        "Response input messages must contain the word 'json' in some form to use 'text.format' "
        "of type 'json_object'.",
        param="input",
    )


def _texts(items: list[Item]) -> list[str]:
    texts: list[str] = []
    for item in items:
        content = item.get("content") if item["type"] == "message" else None
        parts = content if isinstance(content, list) else [{"text": content or ""}]
        texts += [part.get("text", "") for part in parts]
    return texts


_OF_CONTEXT: tuple[Callable[[Values, list[Item]], None], ...] = (
    _only_text,
    _distinct_ids,
    _calls_have_outputs,
    _known_choice,
    _json_object_needs_the_word,
)
