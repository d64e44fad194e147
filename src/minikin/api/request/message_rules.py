"""The rules of `messages`, `tools` and their parts, and of the order of messages."""

from __future__ import annotations

from typing import Any, get_args

from minikin.api.request.answer_request import ToolChoice
from minikin.api.request.faults import listed
from minikin.api.request.rules import (
    Array,
    Boolean,
    Either,
    FreeForm,
    Nullable,
    Object,
    OneOf,
    Property,
    Tagged,
    Text,
)
from minikin.errors import InvalidRequest

MAX_MESSAGES = 2048
MAX_PARTS = 1024
MAX_TOOLS = 128
NAME = Text(max_length=64, min_length=1, pattern="^[a-zA-Z0-9_-]+$")
"""Names of functions and schemas."""
_SPEAKER = Text(max_length=64, pattern=r"^[^\s<|\\/>]+$")
"""The `name` of a message."""
_CALL_ID = Text(max_length=40)
_CACHED = {"cache_control": Property(Nullable(FreeForm()))}
"""Anthropic's mark that the text so far is worth caching. gpt-4o and gpt-4.1 accept it."""


def _required(**rules: Any) -> dict[str, Property]:
    return {name: Property(rule, required=True) for name, rule in rules.items()}


def _optional(**rules: Any) -> dict[str, Property]:
    return {name: Property(rule) for name, rule in rules.items()}


def _part(kind: str, body: Any, **more: Property) -> Object:
    return Object(_required(type=OneOf((kind,)), **{kind: body}) | more)


_PARTS = {
    "text": _part("text", Text(), **_CACHED),
    "image_url": _part(
        "image_url",
        Object(_required(url=Text()) | _optional(detail=OneOf(("auto", "low", "high")))),
    ),
    "input_audio": _part(
        "input_audio", Object(_required(data=Text(), format=OneOf(("wav", "mp3"))))
    ),
    "refusal": _part("refusal", Text()),
    "file": _part("file", Object(_optional(file_data=Text(), file_id=Text(), filename=Text()))),
}
_PART_NAMES = ("text", "image_url", "input_audio", "refusal", "audio", "file")
"""The part types that OpenAI's errors name, for every role."""


def _content(*kinds: str, known: tuple[str, ...] = ()) -> Nullable:
    """Content with these kinds of parts. Null is accepted here and checked in `check_messages`."""
    parts = Tagged("type", {kind: _PARTS[kind] for kind in kinds}, known)
    array = Array(parts, "an array of objects", MAX_PARTS, min_length=1)
    return Nullable(Either("one of a string or array of objects", {str: Text(), list: array}))


_CALL = Object(
    _required(
        id=_CALL_ID,
        type=OneOf(("function",)),
        function=Object(_required(name=NAME, arguments=Text())),
    )
)
_LEGACY_CALL = Nullable(Object(_required(name=NAME, arguments=Text())))
_TEXT_ONLY = _content("text")


def _message(role: str, **rules: Property) -> Object:
    return Object(_required(role=OneOf((role,))) | rules)


_NAMED = _optional(name=_SPEAKER)
MESSAGE = Tagged(
    "role",
    {
        "system": _message(
            "system",
            **_required(content=_content("text", "image_url", known=_PART_NAMES)),
            **_NAMED,
        ),
        "assistant": _message(
            "assistant",
            **_optional(
                content=_content("text", "refusal", known=_PART_NAMES),
                refusal=Nullable(Text()),
                reasoning_content=Nullable(Text()),
                tool_calls=Array(_CALL, "an array of objects", MAX_TOOLS, min_length=1),
                function_call=_LEGACY_CALL,
                audio=Nullable(Object(_required(id=Text()))),
                annotations=Array(FreeForm(), "an array of objects", MAX_PARTS),
                provider_specific_fields=Nullable(FreeForm()),
            ),
            **_NAMED,
        ),
        "user": _message(
            "user",
            **_required(
                content=_content("text", "image_url", "input_audio", "file", known=_PART_NAMES)
            ),
            **_NAMED,
        ),
        "function": _message("function", **_required(name=_SPEAKER, content=_TEXT_ONLY)),
        "tool": _message(
            "tool",
            **_required(content=_TEXT_ONLY, tool_call_id=_CALL_ID),
            **_optional(name=Nullable(Text(max_length=512))),
        ),
        "developer": _message("developer", **_required(content=_TEXT_ONLY), **_NAMED),
    },
)
MESSAGES = Array(MESSAGE, "an array of objects", MAX_MESSAGES, min_length=1)

_DESCRIBED = _required(name=NAME) | _optional(description=Text(), parameters=FreeForm())
_FUNCTION = Object(_DESCRIBED | _optional(strict=Nullable(Boolean())))
TOOL = Tagged(
    "type", {"function": Object(_required(type=OneOf(("function",)), function=_FUNCTION))}
)
TOOLS = Array(TOOL, "an array of objects", MAX_TOOLS)
FUNCTIONS = Array(Object(_DESCRIBED), "an array of objects", MAX_TOOLS)
FUNCTION_CALL = Either(
    "one of a string or object",
    {str: OneOf(("none", "auto")), dict: Object(_required(name=NAME))},
)

_NAMED_FUNCTION = Object(
    _required(type=OneOf(("function",)), function=Object(_required(name=NAME)))
)
_ALLOWED_TOOLS = Object(
    _required(
        type=OneOf(("allowed_tools",)),
        allowed_tools=Object(
            _required(
                mode=OneOf(("auto", "required")),
                tools=Array(
                    Tagged("type", {"function": _NAMED_FUNCTION}),
                    "an array of objects",
                    MAX_TOOLS,
                    min_length=1,
                ),
            )
        ),
    )
)
TOOL_CHOICE = Either(
    "one of a string or object",
    {
        str: OneOf(get_args(ToolChoice)),
        dict: Tagged("type", {"function": _NAMED_FUNCTION, "allowed_tools": _ALLOWED_TOOLS}),
    },
)


def check_messages(messages: list[dict[str, Any]]) -> None:
    """Reject content that a text model cannot read, and misplaced tool messages.

    Raises InvalidRequest.
    """
    waiting: list[str] = []
    """Ids of calls without an answering tool message so far."""
    for at, message in enumerate(messages):
        _check_content(message, at)
        if message["role"] == "tool":
            _take_answer(waiting, message, at)
            continue
        if waiting:
            raise _unanswered(waiting, f"messages.[{at}].role")
        waiting = [call["id"] for call in message.get("tool_calls", ())]
    if waiting:
        raise _unanswered(waiting, "messages")


def _check_content(message: dict[str, Any], at: int) -> None:
    if message.get("audio"):
        raise InvalidRequest(
            "Invalid content type. audio is only supported by certain models.",
            param=f"messages.[{at}].audio",
        )
    content = message.get("content")
    if content is None:
        said = message.get("tool_calls") or message.get("function_call") or message.get("refusal")
        if message["role"] != "function" and not said:
            raise InvalidRequest(
                "Invalid value for 'content': expected a string, got null.",
                param=f"messages.[{at}].content",
            )
        return
    if isinstance(content, str):
        return
    for index, part in enumerate(content):
        if part["type"] in ("text", "refusal"):
            continue
        if part["type"] == "image_url" and message["role"] != "user":
            raise InvalidRequest(
                f"Invalid 'messages[{at}]'. Image URLs are only allowed for messages with role "
                f"'user', but this message with role '{message['role']}' contains an image URL.",
                param=f"messages[{at}]",
                code="invalid_value",
            )
        raise InvalidRequest(
            f"Invalid content type. {part['type']} is only supported by certain models.",
            param=f"messages.[{at}].content.[{index}].type",
        )


def _take_answer(waiting: list[str], message: dict[str, Any], at: int) -> None:
    """Remove the call that this tool message answers from the list."""
    if not waiting:
        raise InvalidRequest(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'.",
            param=f"messages.[{at}].role",
        )
    if message["tool_call_id"] not in waiting:
        raise InvalidRequest(
            "Invalid parameter: 'tool_call_id' of "
            f"'{message['tool_call_id'][:64]}' not found in 'tool_calls' of previous message.",
            param=f"messages.[{at}].tool_call_id",
        )
    waiting.remove(message["tool_call_id"])


def _unanswered(waiting: list[str], param: str) -> InvalidRequest:
    ids = ", ".join(call_id[:64] for call_id in waiting)
    return InvalidRequest(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        "each 'tool_call_id'. The following tool_call_ids did not have response messages: " + ids,
        param=param,
    )


def check_tools(tools: list[dict[str, Any]], choice: Any) -> None:
    """Reject duplicate names, and unknown names in `tool_choice`. Raises InvalidRequest."""
    names = [tool["function"]["name"] for tool in tools]
    check_distinct(names, "tools[{}].function.name")
    if isinstance(choice, dict):
        chosen = choice.get("allowed_tools", {}).get("tools", [choice])
        _check_known([tool["function"]["name"] for tool in chosen], names, "tool_choice", "tools")


def check_functions(functions: list[dict[str, Any]], choice: Any) -> None:
    """The same for `functions` and `function_call`."""
    names = [function["name"] for function in functions]
    check_distinct(names, "functions[{}].name")
    if isinstance(choice, dict):
        _check_known([choice["name"]], names, "function_call", "functions")


def check_distinct(names: list[str], path: str) -> None:
    """Raise InvalidRequest for a name that occurs twice. `path` has a place for its number."""
    for at, name in enumerate(names):
        if name in names[:at]:
            what = path.partition("s[")[0]
            raise InvalidRequest(
                f"Invalid '{path.format(at)}': another {what} is already named '{name}'.",
                param=path.format(at),
                code="invalid_value",
            )


def _check_known(chosen: list[str], names: list[str], param: str, owner: str) -> None:
    if absent := [name for name in chosen if name not in names]:
        raise InvalidRequest(
            f"Invalid value for '{param}': {listed(absent[:1])} is not one of the '{owner}'.",
            param=param,
        )
