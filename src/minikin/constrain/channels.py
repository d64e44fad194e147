"""Grammars for a model that answers in channels (see `chat.harmony`)."""

from __future__ import annotations

import json
from collections.abc import Callable

from minikin.constrain.lark import literal
from minikin.constrain.plan import Plan, Schema, SchemaPart
from minikin.marks import CHANNEL, END, FINAL, MESSAGE, START

_THOUGHT = f"{CHANNEL}analysis{MESSAGE}"
_NOTE = f"{CHANNEL}commentary{MESSAGE}"
_NEXT = f"{END}{START}assistant"


def channel_grammar(plan: Plan, laid_out: Callable[[SchemaPart], Schema]) -> str:
    """The grammar of free reasoning, then an answer or one call.

    Marks are single tokens that free text cannot contain, so free text ends at a mark.
    """

    def written(text: str) -> str:
        return literal(text, plan.channels)

    rules = ["%llguidance {}", r"TEXT: /(.|\n)*/"]
    rules.append(f"thought: {written(_THOUGHT)} TEXT {written(_NEXT)}")
    before, answers = ["thought"], []
    if plan.may_answer:
        answers.append(f"{written(FINAL)} answer")
        schema = f"%json {json.dumps(laid_out(plan.answer))}" if plan.answer else "TEXT"
        rules.append(f"answer: {schema}")
    if plan.may_answer and plan.answer is None:
        before.append("note")  # content as well
        rules.append(f"note: {written(_NOTE)} TEXT {written(_NEXT)}")
    if plan.calls:
        answers += [f"call{at}" for at in range(len(plan.functions))]
        for at, part in enumerate(plan.functions):
            head = f"{plan.calls.begin}{part.function}{plan.calls.before_arguments}"
            rules.append(f"call{at}: {written(head)} arguments{at}")
            rules.append(f"arguments{at}: %json {json.dumps(laid_out(part))}")
    rules.append(f"start: ({' | '.join(before)})* ({' | '.join(answers)})")
    return "\n".join(rules)
