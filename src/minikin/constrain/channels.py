"""Grammars for a model that answers in channels; see `chat.harmony` for what it writes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from minikin.constrain.plan import Part, Plan, Schema

_THOUGHT = "<|channel|>analysis<|message|>"
_NOTE = "<|channel|>commentary<|message|>"
_NEXT = "<|end|><|start|>assistant"
_FINAL = "<|channel|>final<|message|>"


def channel_grammar(plan: Plan, laid_out: Callable[[Part], Schema]) -> str:
    """Thoughts as they come, then an answer or one call.

    Marks are tokens of their own, which free text can't hold: it ends where one of them stands.
    """

    def literal(text: str) -> str:
        return _literal(text, plan.channels)

    rules = ["%llguidance {}", r"TEXT: /(.|\n)*/"]
    rules.append(f"thought: {literal(_THOUGHT)} TEXT {literal(_NEXT)}")
    before, answers = ["thought"], []
    if plan.may_answer:
        answers.append(f"{literal(_FINAL)} answer")
        schema = f"%json {json.dumps(laid_out(plan.answer))}" if plan.answer else "TEXT"
        rules.append(f"answer: {schema}")
    if plan.may_answer and plan.answer is None:
        before.append("note")  # words as well
        rules.append(f"note: {literal(_NOTE)} TEXT {literal(_NEXT)}")
    if plan.calls:
        answers += [f"call{at}" for at in range(len(plan.functions))]
        for at, part in enumerate(plan.functions):
            head = f"{plan.calls.begin}{part.function}{plan.calls.before_arguments}"
            rules.append(f"call{at}: {literal(head)} arguments{at}")
            rules.append(f"arguments{at}: %json {json.dumps(laid_out(part))}")
    rules.append(f"start: ({' | '.join(before)})* ({' | '.join(answers)})")
    return "\n".join(rules)


def _literal(text: str, marks: Mapping[str, int]) -> str:
    """`text`, each mark in it as the very token."""
    pieces = filter(None, re.split(f"({'|'.join(map(re.escape, marks))})", text))
    return " ".join(f"<[{marks[p]}]>" if p in marks else json.dumps(p) for p in pieces)
