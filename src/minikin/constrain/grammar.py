"""Grammars in llguidance's format, for response formats and tool calls.

See llguidance's docs/syntax.md for its Lark dialect and docs/json_schema.md for the options.
"""

from __future__ import annotations

import json
from typing import Any

from minikin.constrain.channels import channel_grammar
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
    return Watched(tuple(begins), call.begin, call.before_arguments, marks, plan.thoughts)


def _grammar(plan: Plan) -> str:
    if plan.channels:
        return channel_grammar(plan, _laid_out)
    if plan.calls and plan.functions:
        return _call_grammar(plan, plan.calls)
    assert plan.answer, "free text needs no grammar"
    return json.dumps({"grammars": [{"json_schema": _laid_out(plan.answer)}]}, ensure_ascii=False)


def _laid_out(part: SchemaPart) -> Schema:
    """The narrowed schema with its layout: single spaces, or compact for a strict function.

    OpenAI's arguments are compact if the function is strict. Its structured answers are compact
    too, but small models make more mistakes in that layout (`docs/performance.md`).
    """
    if part.schema is None:
        return any_object() | {"x-guidance": _SPACED}
    if part.strict:
        check_strict(part.schema, part.subject)
    layout: Any = _COMPACT if part.strict and part.function else _SPACED
    schema = narrow(part.schema, part.subject, lenient=part.loose, closed=bool(part.function))
    return schema | {"x-guidance": layout}


def _call_grammar(plan: Plan, form: CallFrame) -> str:
    rules = ["%llguidance {}"]
    more = f" ({literal(form.again, form.marks)} call){{0,{MAX_CALLS - 1}}}" if plan.several else ""
    more += f" {literal(form.close, form.marks)}"
    if plan.may_answer and plan.answer:
        rules += [
            f"start: answer | {literal(form.begin, form.marks)} call{more}",
            f"answer: %json {json.dumps(_laid_out(plan.answer))}",
        ]
    elif plan.may_answer:
        rules += [*_free_text(plan.thoughts, form), f"calls: call{more}"]
    else:
        rules.append(f"start: {literal(form.begin, form.marks)} call{more}")
    names = " | ".join(f"call{at}" for at in range(len(plan.functions)))
    rules.append(f"call: {literal(form.before_name, form.marks)} ({names})")
    for at, part in enumerate(plan.functions):
        head = literal(f"{part.function}{form.before_arguments}", form.marks)
        rules.append(f"call{at}: {head} arguments{at} {literal(form.end, form.marks)}")
        rules.append(f"arguments{at}: %json {json.dumps(_laid_out(part))}")
    return "\n".join(rules)


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
