"""What an answer has to look like: its grammar, and the tools that it may call.

Made from `response_format`, `tools` and what goes with them, once per request.
"""

from __future__ import annotations

from typing import Any

import msgspec

from minikin.api.translate import ChatRequest
from minikin.chat.call_formats import CallFormat
from minikin.constrain.checker import GrammarChecker
from minikin.constrain.grammar import (
    Function,
    Schema,
    call_grammar,
    json_object,
    schema_for,
    schema_grammar,
)
from minikin.constrain.strict import check_root
from minikin.constrain.subject import TOO_COMPLEX, Subject
from minikin.errors import InvalidRequest

_NO_PARAMETERS = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


class AnswerForm(msgspec.Struct, frozen=True, kw_only=True):
    """The form of one request's answers."""

    grammar: str | None = None
    parts: tuple[tuple[str, Subject], ...] = ()
    """Each schema's own grammar, to tell which of them is at fault."""
    tools: tuple[dict[str, Any], ...] = ()
    """The tools that may be called."""
    must_call: bool = False
    calls: CallFormat | None = None
    """How calls are written, where there may be any."""
    named: bool = False
    """The request names the function: the call is its answer, which ends with `stop`."""

    async def check(self, checker: GrammarChecker) -> None:
        """Try the grammar out. Raises InvalidRequest, or Overloaded if there is no time to."""
        if self.grammar is None or (fault := await checker.fault(self.grammar)) is None:
            return
        for grammar, subject in self.parts:
            own = await checker.fault(grammar) if len(self.parts) > 1 else fault
            if own is not None:
                raise subject.too_complex() if own == TOO_COMPLEX else subject.fault(own)
        raise InvalidRequest(f"Invalid 'tools': together, {fault}", param="tools")


def answer_form(request: ChatRequest, calls: CallFormat) -> AnswerForm:
    """The form that `request` asks for, of a model that writes `calls`. Raises InvalidRequest."""
    answer = _answer_schema(request.response_format)
    parts = [(schema_grammar(schema), subject) for schema, subject in answer]
    tools, must_call, named = _choose(request)
    if not tools:
        return AnswerForm(grammar=parts[0][0] if parts else None, parts=tuple(parts))
    functions = []
    for at, tool in tools:
        function, subject = _function(at, tool["function"])
        functions.append(function)
        parts.append((schema_grammar(function.arguments), subject))
    grammar = call_grammar(
        calls,
        functions,
        several=request.parallel_tool_calls and not named,
        may_answer=not must_call,
        answer=answer[0][0] if answer else None,
    )
    return AnswerForm(
        grammar=grammar,
        parts=tuple(parts),
        tools=tuple(tool for _, tool in tools),
        must_call=must_call,
        calls=calls,
        named=named,
    )


def _choose(request: ChatRequest) -> tuple[list[tuple[int, dict[str, Any]]], bool, bool]:
    """The tools that `tool_choice` leaves, each with its place; whether to call; whether named."""
    tools = list(enumerate(request.tools))
    choice = request.tool_choice
    if isinstance(choice, str):
        return ([] if choice == "none" else tools), choice == "required", False
    if choice["type"] == "function":
        names, must, named = {choice["function"]["name"]}, True, True
    else:
        allowed = choice["allowed_tools"]
        names = {tool["function"]["name"] for tool in allowed["tools"]}
        must, named = allowed["mode"] == "required", False
    return [(at, tool) for at, tool in tools if tool["function"]["name"] in names], must, named


def _answer_schema(wanted: dict[str, Any]) -> list[tuple[Schema, Subject]]:
    """The schema of an answer in words, if there is one."""
    kind = wanted.get("type", "text")
    if kind == "text":
        return []
    if kind == "json_object":
        return [(json_object(), Subject("response_format", "response_format"))]
    given = wanted["json_schema"]
    strict = bool(given.get("strict"))
    param = "response_format" if strict else "response_format.json_schema.schema"
    subject = Subject(f"response_format '{given['name']}'", param)
    return [(schema_for(given["schema"], subject, strict=strict), subject)]


def _function(at: int, function: dict[str, Any]) -> tuple[Function, Subject]:
    """A tool's name and arguments: always an object, empty if there are no parameters."""
    name, strict = function["name"], bool(function.get("strict"))
    param = f"tools[{at}].function.parameters"
    subject = Subject(f"function '{name}'", param, "invalid_function_parameters")
    given = function.get("parameters") or _NO_PARAMETERS
    check_root(given.get("type", "object"), subject)
    schema = given if strict else {"type": "object"} | given
    return Function(name, schema_for(schema, subject, strict=strict)), subject
