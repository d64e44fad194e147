"""Rewrites a conversation for the features of a chat template.

OpenAI's messages have roles, names, content parts and tool calls in any order. Most templates
support system, user and assistant with one string each. Features that the template's source does
not mention are written into the text, so that everything from a client reaches the model. Only an
assistant's earlier reasoning is dropped for models that do not read it.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from minikin.chat.call_formats import HARMONY, CallFormat
from minikin.chat.harmony import past_thoughts

_NAMES = re.compile(r"""message(\.name\b|\[['"]name['"]\])""")
_ANY_ROLE = re.compile(r"""[+~]\s*message(\.role\b|\[['"]role['"]\])""")
"""How templates write a role that they do not name."""
_NINE = re.compile(r"length\s*!=\s*9")
"""How Mistral's templates check the ids of calls."""
_ONE_CALL = re.compile(r"tool_calls\s*\|\s*length\s*==\s*1")
"""How Llama's templates check the number of calls of a message."""
_RESPONSES = re.compile(r"""[.('"]tool_responses\b""")
"""How Gemma 4's templates read the results of a message's calls."""

RESULTS = ("tool", "function")
"""The roles of call results."""
_UNNAMED = (*RESULTS, "assistant")
"""The roles whose names are not written into the text. The call itself names the function of a
result, and a model that reads its own name before each answer writes it before the next."""
_MAX_DEPTH = 64
"""Maximum nesting of an earlier call's arguments. Deeper arguments stay text."""

Message = dict[str, Any]
Content = str | list[Message]
"""A list has content parts, for the templates that do not take text (see `losses.py`)."""
Hide = Callable[[Any], Any]


def for_template(
    messages: Iterable[Mapping[str, Any]], source: str, hide: Hide, form: CallFormat
) -> list[Message]:
    """`messages` for the template with this `source`, for a model with the call format `form`.

    `hide` is applied to each string from the client.
    """
    if _ONE_CALL.search(source) or form == HARMONY:
        messages = _one_call_each(messages)
    given = list(messages)
    rewritten = [_rewrite(message, source, hide, form) for message in given]
    for at, message in enumerate(rewritten):
        if message["role"] == "user" and given[at]["role"] in RESULTS:
            last = at + 1 == len(given) or given[at + 1]["role"] not in RESULTS
            message["content"] = in_words(message["content"], last=last)
    # Gemma 4's newer templates find the results of a call themselves.
    if _RESPONSES.search(source) and "tool_call_id" not in source:
        return _with_responses(rewritten)
    return rewritten


def alternating(messages: Iterable[Message], form: CallFormat) -> list[Message]:
    """The same conversation with alternating user and assistant messages, user first.

    For templates that reject everything else. System text goes before the first user text, adjacent
    messages of one role are merged, and calls are written into the text.
    """
    turns: list[Message] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        if calls := message.get("tool_calls"):
            message = _with_written(message, form.write(call["function"] for call in calls))
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": ""})
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = _joined(turns[-1]["content"], "\n\n", message["content"])
        else:
            turns.append({"role": role, "content": message["content"]})
    return turns


def with_text_arguments(messages: Iterable[Message]) -> list[Message]:
    """The same, with the arguments of calls as JSON text. Some templates require this."""

    def as_text(call: Message) -> Message:
        arguments = call["function"]["arguments"]
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        return call | {"function": call["function"] | {"arguments": arguments}}

    return [
        m | {"tool_calls": [as_text(call) for call in m["tool_calls"]]} if "tool_calls" in m else m
        for m in messages
    ]


def with_written_calls(messages: Iterable[Message], form: CallFormat) -> list[Message]:
    """The same, with calls in the text, for a template that cannot write such arguments."""
    written: list[Message] = []
    for message in messages:
        calls = message.get("tool_calls", ())
        bare = {key: value for key, value in message.items() if key != "tool_calls"}
        written.append(
            _with_written(bare, form.write(c["function"] for c in calls)) if calls else bare
        )
    return written


def _one_call_each(messages: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Split each message with several calls. Each call is followed by its results."""
    rest = deque(messages)
    while rest:
        message = rest.popleft()
        calls = message.get("tool_calls") or ()
        if len(calls) < 2:
            yield message
            continue
        results: list[Mapping[str, Any]] = []
        while rest and rest[0]["role"] == "tool":
            results.append(rest.popleft())
        for call in calls:
            content = message.get("content") if call is calls[0] else None
            yield {**message, "content": content, "tool_calls": [call]}
            yield from (r for r in results if r["tool_call_id"] == call["id"])
        ids = {call["id"] for call in calls}
        yield from (r for r in results if r["tool_call_id"] not in ids)


def _with_responses(messages: Iterable[Message]) -> list[Message]:
    """The same, with results in the message of their calls, and with what the model said then.

    For Gemma 4's first templates: calls, results and the answer after them are one turn.
    """
    turns: list[Message] = []
    for message in messages:
        calls = turns[-1].get("tool_calls", ()) if turns else ()
        responses = turns[-1].get("tool_responses", ()) if turns else ()
        if calls and message["role"] == "tool":
            names = {call["id"]: call["function"]["name"] for call in calls}
            name = names.get(message["tool_call_id"], calls[0]["function"]["name"])
            response = {"name": name, "response": message["content"]}
            turns[-1] = turns[-1] | {"tool_responses": [*responses, response]}
        elif (
            responses
            and not turns[-1]["content"]
            and message["role"] == "assistant"
            and "tool_calls" not in message
        ):
            turns[-1] = turns[-1] | {"content": message["content"]}
        else:
            turns.append(message)
    return turns


def _with_written(message: Message, calls: str) -> Message:
    """`message` with its calls at the end of the text."""
    return message | {"content": _joined(message["content"], "\n", calls)}


def _joined(first: Content, between: str, second: Content) -> Content:
    if isinstance(first, str) and isinstance(second, str):
        return between.join(filter(None, [first, second]))
    return [part for content in (first, second) if content for part in in_parts(content)]


def in_parts(content: Content) -> list[Message]:
    """The content as content parts."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _rewrite(message: Mapping[str, Any], source: str, hide: Hide, form: CallFormat) -> Message:
    role, text = message["role"], _text(message)
    thought = message.get("reasoning_content")
    if role == "assistant":
        before, text = past_thoughts(text, source)
        thought = thought or before
    text = hide(text)
    name = message.get("name")
    if name and not _NAMES.search(source) and role not in _UNNAMED:
        text = f"{hide(name)}: {text}"
    if role == "developer" and "developer" not in source:
        role = "system"
    rewritten: Message = {"role": role, "content": text}
    if name:
        rewritten["name"] = hide(name)
    if thought and "reasoning_content" in source:
        rewritten["reasoning_content"] = hide(thought)
    elif thought and '"thinking" in message' in source and not text:
        rewritten["thinking"] = hide(thought)  # gpt-oss's template rejects it together with content
    calls = message.get("tool_calls")
    if legacy := message.get("function_call"):
        calls = [{"id": "", "function": legacy}]
    if calls:
        rewritten = _with_calls(rewritten, calls, source, hide, form)
    if role in RESULTS:
        _put_result(rewritten, message, source, hide, form)
    return rewritten


def _text(message: Mapping[str, Any]) -> str:
    """A message's content as one string. A refusal counts as the assistant's content."""
    content = message.get("content")
    if content is None:
        return message.get("refusal") or ""
    if isinstance(content, str):
        return content
    return "".join(part[part["type"]] for part in content)


def _with_calls(
    rewritten: Message, calls: list[Message], source: str, hide: Hide, form: CallFormat
) -> Message:
    """Earlier tool calls, in the template's format or in the text."""
    functions = [
        {"name": call["function"]["name"], "arguments": _arguments(call["function"]["arguments"])}
        for call in calls
    ]
    if "tool_calls" not in source:
        return _with_written(rewritten, form.write(functions, hide))
    own = [
        {"type": "function", "id": _call_id(call, source, hide), "function": hide(function)}
        for call, function in zip(calls, functions, strict=True)
    ]
    return rewritten | {"tool_calls": own}


def _put_result(
    rewritten: Message, message: Mapping[str, Any], source: str, hide: Hide, form: CallFormat
) -> None:
    """A tool result, in the template's format or as text in the user's turn."""
    if "'tool'" in source or '"tool"' in source or (form.native and _writes_any_role(source)):
        rewritten["role"] = "tool"
        answered = message.get("tool_call_id", "")  # missing for a `function_call`
        rewritten["tool_call_id"] = _call_id({"id": answered}, source, hide)
    else:
        rewritten["role"] = "user"


def _writes_any_role(source: str) -> bool:
    """Whether the template writes a turn of the role "tool" as that of every other role.

    LFM2.5 and Seed-OSS learned such turns. In those of Phi-4-mini, <|tool|> would begin tools.
    """
    return bool(_ANY_ROLE.search(source)) and "<|tool|>" not in source


def in_words(result: str, *, last: bool) -> str:
    """A call's result in the user's words, for templates without a role for results.

    docs/performance.md compares the wordings. After the last result the model must continue,
    otherwise a small model repeats the result or the call.
    """
    return f"The function returned: {result}" + "\n\nNow answer my question." * last


def _call_id(call: Message, source: str, hide: Hide) -> str:
    """A call's id, shortened to nine letters and digits for a template that requires it."""
    if not _NINE.search(source):
        return hide(call["id"])
    return "".join(filter(str.isalnum, call["id"]))[-9:].rjust(9, "0")


def _arguments(text: str) -> Any:
    """A call's arguments as templates expect them: an object. Text that is not one stays text.

    A model can be cut off in its arguments, and a client can change them.
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be encoded
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) and not _is_deeper(value, _MAX_DEPTH) else text


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in items)
