"""The required format of an answer: its grammar, and the tools that it can call.

It is made from `response_format`, `tools` and related parameters, once per request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from minikin.api.request.answer_request import AnswerRequest
from minikin.chat.answer_format import AnswerFormat
from minikin.chat.call_formats import CallFormat
from minikin.chat.messages import RESULTS
from minikin.chat.thoughts import ThoughtMarks
from minikin.constrain.bare import are_bare
from minikin.constrain.checker import GrammarChecker
from minikin.constrain.elements import texts_in
from minikin.constrain.keywords import are_keywords
from minikin.constrain.plan import CallFrame, Plan, SchemaPart, ThoughtFrame
from minikin.constrain.schema.strict import check_root
from minikin.constrain.schema.subject import Subject
from minikin.engine.messages import Unsearched
from minikin.marks import CHANNEL, END, FINAL

_NO_PARAMETERS = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


class AnswerForm(msgspec.Struct, frozen=True, kw_only=True):
    """The format of the answers to one request."""

    plan: Plan | None = None
    """The plan of the grammar. None: answers are free."""
    tools: tuple[dict[str, Any], ...] = ()
    """The tools that the answer can call."""
    must_call: bool = False
    described: AnswerFormat | None = None
    """The format of an answer in words, for the prompt."""
    calls: CallFormat | None = None
    """How calls are written, if the answer can have any."""
    raw: frozenset[str] = frozenset()
    """The functions whose arguments are not JSON (see SchemaPart.lark)."""
    texts: dict[str, frozenset[str]] = {}
    """The parameters of each function whose values are text, if arguments are elements."""
    named: bool = False
    """The request names the function. The call is the answer, and ends with `stop`."""

    def in_channels(self, marks: Mapping[str, int]) -> AnswerForm:
        """This format for a model that answers in channels. These tokens mark its messages."""
        if self.plan is None:
            return self
        return replace(self, plan=replace(self.plan, channels=dict(marks)))

    @property
    def free(self) -> bool:
        """Whether an answer can be free text."""
        return self.plan is None or (self.plan.may_answer and self.plan.answer is None)

    def after(self, marks: ThoughtMarks | None, thinking: bool | None) -> AnswerForm:
        """This format after reasoning between `marks`. For `thinking` see `Prepared`."""
        if self.plan is None or marks is None or thinking is None:
            return self
        thoughts = ThoughtFrame(marks.begin, marks.end, begun=thinking)
        return replace(self, plan=replace(self.plan, thoughts=thoughts))

    def unsearched(
        self, marks: ThoughtMarks | None, thinking: bool | None, *, in_channels: bool
    ) -> tuple[Unsearched, ...]:
        """Where stop texts do not count: calls and thoughts, with what frames them."""
        if self.must_call:
            return (Unsearched(""),)
        if in_channels:
            return tuple(Unsearched(begin, FINAL) for begin in ("", CHANNEL, END))
        found: list[Unsearched] = []
        if marks and thinking is not None:
            found.append(Unsearched("" if thinking else marks.begin, marks.end))
        if self.calls:
            opened = self.calls.opener + self.calls.begin
            found += [Unsearched(begin) for begin in (opened, self.calls.begin)]
        return tuple(found)

    def opening(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """How an answer to `messages` can begin with a call, for a model that rarely begins one.

        Empty if it must call, if it knows tools, or if it has the result of a call.
        """
        if self.calls is None or self.calls.native or self.must_call:
            return ""
        return "" if messages[-1]["role"] in RESULTS else self.calls.begin

    async def grammar(self, checker: GrammarChecker) -> str | None:
        """The grammar. Raises InvalidRequest, or Overloaded if there is no time to make it."""
        return await checker.grammar(self.plan) if self.plan else None


def answer_form(request: AnswerRequest, calls: CallFormat, marks: Mapping[str, int]) -> AnswerForm:
    """The answer format of `request`, for a model that writes `calls`.

    `marks` are the tokens of its vocabulary that mark calls, text -> id. Raises InvalidRequest.
    """
    answer = _answer(request)
    tools, must_call, named = _choose(request)
    described = _described(request.response_format) if answer and not must_call else None
    if not tools:
        return AnswerForm(plan=Plan(answer) if answer else None, described=described)
    plan = Plan(
        answer,
        tuple(
            _function(request.place_of_function(at), tool["function"], calls) for at, tool in tools
        ),
        replace(msgspec.convert(calls, CallFrame, from_attributes=True), marks=dict(marks)),
        several=_several(request, calls) and not named,
        may_answer=not must_call,
    )
    return AnswerForm(
        plan=plan,
        tools=tuple(_for_the_model(tool) for _, tool in tools),
        raw=frozenset(part.function for part in plan.functions if part.lark),
        texts={part.function: part.texts for part in plan.functions if part.texts is not None},
        must_call=must_call,
        described=replace(described, beside_calls=True) if described else None,
        calls=calls,
        named=named,
    )


def _several(request: AnswerRequest, calls: CallFormat) -> bool:
    """Whether an answer can have several calls. A model without a call format repeats itself."""
    return calls.native if request.parallel_tool_calls is None else request.parallel_tool_calls


def _choose(request: AnswerRequest) -> tuple[list[tuple[int, dict[str, Any]]], bool, bool]:
    """The tools that `tool_choice` allows, with their places; whether to call; whether named."""
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


def _answer(request: AnswerRequest) -> SchemaPart | None:
    """The schema of an answer that is not a call, if there is one."""
    wanted = request.response_format
    kind = wanted.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return SchemaPart(Subject("response_format", "response_format"), None)
    given = wanted["json_schema"]
    strict = bool(given.get("strict"))
    subject = Subject(f"response_format '{given['name']}'", *request.place_of_schema(strict=strict))
    return SchemaPart(subject, given["schema"], strict).check_size()


def _described(wanted: dict[str, Any]) -> AnswerFormat:
    given = wanted.get("json_schema", {})
    return AnswerFormat(given.get("schema"), given.get("name", ""), given.get("description") or "")


def _for_the_model(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool without a grammar of its own. Its parameters describe it."""
    hidden = ("lark", "custom")
    function = {name: value for name, value in tool["function"].items() if name not in hidden}
    return tool | {"function": function}


def _function(place: str, function: dict[str, Any], calls: CallFormat) -> SchemaPart:
    """A tool's name and arguments: always an object, empty without parameters."""
    name, strict = function["name"], bool(function.get("strict"))
    if function.get("custom"):
        subject = Subject(
            f"tool '{name}'", f"{place}.format.definition", "invalid_grammar", "grammar"
        )
        lark = function.get("lark", "")
        return SchemaPart(subject, function["parameters"], strict, name, lark=lark).check_size()
    subject = Subject(f"function '{name}'", f"{place}.parameters", "invalid_function_parameters")
    given = function.get("parameters") or _NO_PARAMETERS
    check_root(given.get("type", "object"), subject)
    schema = given if strict else {"type": "object"} | given
    part = SchemaPart(subject, schema, strict, name, loose=not strict).check_size()
    if calls.elements:
        return replace(part, texts=texts_in(schema, calls.elements))
    alone = (calls.keywords and are_keywords(schema)) or (calls.bare and are_bare(schema))
    return replace(part, texts=frozenset()) if alone else part
