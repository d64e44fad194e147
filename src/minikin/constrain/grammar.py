"""Grammars in llguidance's format, for response formats and tool calls.

See llguidance's docs/syntax.md for its Lark dialect and docs/json_schema.md for the options.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from minikin.constrain.bare import bare_rules
from minikin.constrain.channels import channel_grammar
from minikin.constrain.client_lark import fault_in
from minikin.constrain.elements import element_rules
from minikin.constrain.keywords import keyword_rules
from minikin.constrain.lark import literal, quote
from minikin.constrain.plan import (
    CallFrame,
    Constraint,
    Plan,
    Schema,
    SchemaPart,
    ThoughtFrame,
    Watched,
)
from minikin.constrain.schema.narrow import any_object, narrow
from minikin.constrain.schema.strict import check_strict
from minikin.marks import FINAL

MAX_CALLS = 8
"""Maximum calls in one answer. A small model would repeat itself forever."""
_COMPACT = {"whitespace_flexible": False}
_SPACED = _COMPACT | {"item_separator": ", ", "key_separator": ": "}
"""The layout is fixed, so that a model cannot write endless white space."""


def grammar_of(plan: Plan) -> str:
    """What a plan describes, as text for the mask maker. Raises as `constraint_of`."""
    return str(constraint_of(plan))


def constraint_of(plan: Plan) -> Constraint:
    """What a plan describes. Raises InvalidRequest for a schema that has no grammar."""
    return Constraint(_grammar(plan), _watched(plan))


def _watched(plan: Plan) -> Watched:
    """Where a plan's answers have JSON."""
    call, begins, marks = plan.calls, [""], dict(plan.channels)
    if plan.channels:
        begins = [FINAL] if plan.answer else []
        begins += [call.begin] if call else []
    elif call and plan.may_answer and not plan.answer:
        begins = [call.begin]
    if call is None:
        return Watched(tuple(begins), marks=marks, thoughts=plan.thoughts)
    marks |= call.marks
    head = call.before_arguments
    ends = [
        f"{call.before_name or call.begin}{part.function}{call.before_arguments}"
        for part in plan.functions
        if part.lark
    ]
    # No JSON object follows the beginning of such a call.
    if call.elements or call.keywords or call.bare:
        ends, head = [call.begin], call.begin
    return Watched(tuple(begins), call.begin, head, marks, plan.thoughts, tuple(ends))


def _grammar(plan: Plan) -> str:
    inputs = [
        {"name": _input_name(part), "lark_grammar": _checked(part)}
        for part in plan.parts
        if part.lark
    ]
    if not inputs:
        return _format_grammar(plan)
    grammars = [{"lark_grammar": _format_grammar(plan)}, *inputs]
    return json.dumps({"grammars": grammars}, ensure_ascii=False)


def _format_grammar(plan: Plan) -> str:
    if plan.channels:
        return channel_grammar(plan, _arguments)
    if plan.calls and plan.functions:
        return _call_grammar(plan, plan.calls)
    assert plan.answer, "free text needs no grammar"
    if plan.answer.lark:
        return f"%llguidance {{}}\nstart: {_arguments(plan.answer)}"
    return json.dumps({"grammars": [{"json_schema": _laid_out(plan.answer)}]}, ensure_ascii=False)


def _input_name(part: SchemaPart) -> str:
    """The name of the grammar of a custom tool's input."""
    return f"input_{part.function.encode().hex()}"


def _checked(part: SchemaPart) -> str:
    """The Lark grammar of a custom tool's input. Raises InvalidRequest."""
    if fault := fault_in(part.lark):
        raise part.subject.unfollowable(fault)
    return part.lark


def _arguments(part: SchemaPart) -> str:
    """The body of the rule of an answer, or of a function's arguments."""
    if not part.lark:
        return f"%json {json.dumps(_laid_out(part))}"
    assert part.schema is not None
    (name,) = part.schema["properties"]
    return f"{quote(json.dumps({name: ''})[:-2])} @{_input_name(part)}"


def _laid_out(part: SchemaPart) -> Schema:
    """The narrowed schema with its layout: single spaces, or compact for a strict function.

    OpenAI's arguments are compact if the function is strict. Its structured answers are compact
    too, but small models make more mistakes in that layout (`docs/performance.md`).
    """
    if part.schema is None:
        return any_object() | {"x-guidance": _SPACED}
    if part.strict:
        check_strict(part.schema, part.subject)
    schema = narrow(part.schema, part.subject, lenient=part.loose, closed=bool(part.function))
    return schema | {"x-guidance": _layout(part)}


def _layout(part: SchemaPart) -> Schema:
    return _COMPACT if part.strict and part.function else _SPACED


def _value(part: SchemaPart, schema: Schema) -> Schema:
    """The narrowed schema of one parameter, with its layout."""
    return narrow(schema, part.subject, lenient=part.loose) | {"x-guidance": _layout(part)}


def _call_grammar(plan: Plan, form: CallFrame) -> str:
    rules, begin = ["%llguidance {}"], literal(form.begin, form.marks)
    if plan.may_answer and plan.answer:
        rules += [f"start: answer | {begin} calls", f"answer: {_arguments(plan.answer)}"]
    elif plan.may_answer:
        rules += _free_text(plan.thoughts, form)
    else:
        rules.append(f"start: {begin} calls")
    rules.append(f"calls: {_calls(plan, form)}")
    for at, part in enumerate(plan.functions):
        head = literal(f"{part.function}{form.before_arguments}", form.marks)
        end = "" if part.lark else literal(form.end, form.marks)
        rules.append(f"call{at}: {head} arguments{at} {end}")
        if part.texts is not None and part.schema is not None:
            _laid_out(part)  # finds the faults of the whole schema
            rules += _rules_apart(f"arguments{at}", part, form)
        else:
            rules.append(f"arguments{at}: {_arguments(part)}")
    before = literal(form.before_name, form.marks)
    for name, functions in _kinds(plan).items():
        rules.append(f"{name}: {before} ({' | '.join(f'call{at}' for at in functions)})")
    return "\n".join(rules)


def _rules_apart(name: str, part: SchemaPart, form: CallFrame) -> Iterator[str]:
    """The rules of arguments that are written one by one."""
    value = partial(_value, part)
    if form.elements:
        return element_rules(name, part, form.elements, form.marks, value)
    if form.bare:
        return bare_rules(name, part, form.marks, value)
    return keyword_rules(name, part, value)


def _kinds(plan: Plan) -> dict[str, list[int]]:
    """The functions with and without JSON, if there are any, with the name of their rule."""
    kinds = {"call": False, "last": True}
    found = {
        name: [at for at, part in enumerate(plan.functions) if bool(part.lark) == lark]
        for name, lark in kinds.items()
    }
    return {name: functions for name, functions in found.items() if functions}


def _calls(plan: Plan, form: CallFrame) -> str:
    """The calls of one answer. A call whose input is not JSON ends it."""
    kinds, again = _kinds(plan), literal(form.again, form.marks)
    most = MAX_CALLS - 1 if plan.several else 0
    options: list[str] = []
    if "call" in kinds:
        more = f"({again} call){{0,{most}}}" if most else ""
        options.append(f"call {more} {literal(form.close, form.marks)}")
    if "last" in kinds:
        options.append(f"(call {again}){{0,{most}}} last" if most and "call" in kinds else "last")
    return " | ".join(options)


def _free_text(thoughts: ThoughtFrame | None, form: CallFrame) -> list[str]:
    """Rules of content before `calls`, and of reasoning before it, which contains no calls.

    A lazy rule has priority among equal matches, so that content ends where a call starts.
    """
    rules = [r"TEXT: /(.|\n)*/"]
    if thoughts is None:
        return [*rules, "start: TEXT | lead calls", *_lead("lead", "TEXT", form)]
    rules += ["rest: TEXT | lead calls", *_lead("lead", "TEXT", form)]
    end = quote(thoughts.end)
    if thoughts.begun:
        return [*rules, "start: TEXT | thought rest", f"thought[lazy]: TEXT {end}"]
    return [
        *rules,
        rf"OPENED: /\s*/ {quote(thoughts.begin)}",
        "WORDS: TEXT & ~(OPENED TEXT)",
        "start: TEXT | first calls | thought rest",
        f"thought[lazy]: OPENED TEXT {end}",
        *_lead("first", "WORDS", form),
    ]


def _lead(name: str, words: str, form: CallFrame) -> list[str]:
    """Rules of `words` and the start of a call, with its marks as tokens or as text."""
    begin, spelt = literal(form.begin, form.marks), quote(form.begin)
    tokens = f" | {words} {begin}" if begin != spelt else ""
    return [f"{name}: {name}_spelt{tokens}", f"{name}_spelt[lazy]: {words} {spelt}"]
