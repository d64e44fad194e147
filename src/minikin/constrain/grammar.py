"""Grammars as text that llguidance reads: for response formats, and for tool calls.

See llguidance's docs/syntax.md for its Lark dialect and docs/json_schema.md for the options.
"""

from __future__ import annotations

import json
from typing import Any

from minikin.constrain.channels import channel_grammar
from minikin.constrain.narrow import any_object, narrow
from minikin.constrain.plan import CallForm, Part, Plan, Schema
from minikin.constrain.strict import check_strict

MAX_CALLS = 8
"""Calls in one answer: a small model would repeat itself for ever."""
_COMPACT = {"whitespace_flexible": False}
_SPACED = _COMPACT | {"item_separator": ", ", "key_separator": ": "}
"""The layout leaves no choice, so that no model loses itself in white space."""


def grammar_of(plan: Plan) -> str:
    """The grammar that a plan describes. Raises InvalidRequest for a schema that has none."""
    if plan.channels:
        return channel_grammar(plan, _laid_out)
    if plan.calls and plan.functions:
        return _call_grammar(plan, plan.calls)
    assert plan.answer, "free text needs no grammar"
    return json.dumps({"grammars": [{"json_schema": _laid_out(plan.answer)}]}, ensure_ascii=False)


def _laid_out(part: Part) -> Schema:
    """The narrowed schema with its layout: compact if strict, else with single spaces."""
    if part.schema is None:
        return any_object() | {"x-guidance": _SPACED}
    if part.strict:
        check_strict(part.schema, part.subject)
    layout: Any = _COMPACT if part.strict else _SPACED
    return narrow(part.schema, part.subject) | {"x-guidance": layout}


def _call_grammar(plan: Plan, form: CallForm) -> str:
    rules = ["%llguidance {}"]
    begin = _quote(form.begin)
    more = f" ({_quote(form.again)} call){{0,{MAX_CALLS - 1}}}" if plan.several else ""
    more += f" {_quote(form.close)}" if form.close else ""
    if plan.may_answer and plan.answer:
        rules += [
            f"start: answer | {begin} call{more}",
            f"answer: %json {json.dumps(_laid_out(plan.answer))}",
        ]
    elif plan.may_answer:
        rules += [
            f"start: TEXT | lead call{more}",
            f"lead[lazy]: TEXT {begin}",
            r"TEXT: /(.|\n)*/",
        ]
    else:
        rules.append(f"start: {begin} call{more}")
    names = " | ".join(f"call{at}" for at in range(len(plan.functions)))
    rules.append(f"call: {_quote(form.before_name)} ({names})")
    for at, part in enumerate(plan.functions):
        head, tail = _quote(f"{part.function}{form.before_arguments}"), _quote(form.end)
        rules.append(f"call{at}: {head} arguments{at} {tail}")
        rules.append(f"arguments{at}: %json {json.dumps(_laid_out(part))}")
    return "\n".join(rules)


def _quote(text: str) -> str:
    return json.dumps(text)
