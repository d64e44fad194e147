"""Grammars for a model that answers in channels (see `chat.harmony`)."""

from __future__ import annotations

from collections.abc import Callable

from minikin.constrain.lark import literal
from minikin.constrain.plan import Plan, SchemaPart
from minikin.marks import CHANNEL, END, FINAL, MESSAGE, START

_THOUGHT = f"{CHANNEL}analysis{MESSAGE}"
_NOTE = f"{CHANNEL}commentary{MESSAGE}"
_NEXT = f"{END}{START}assistant"


def channel_grammar(plan: Plan, rule: Callable[[SchemaPart], str]) -> str:
    """The grammar of free reasoning, then an answer or one call.

    `rule` returns the body of a part's rule.
    Marks are single tokens that free text cannot contain, so free text ends at a mark.
    """

    def written(text: str) -> str:
        return literal(text, plan.channels)

    rules = ["%llguidance {}", r"TEXT: /(.|\n)*/"]
    rules.append(f"thought: {written(_THOUGHT)} TEXT {written(_NEXT)}")
    before, answers = ["thought"], []
    if plan.may_answer:
        answers.append(f"{written(FINAL)} answer")
        rules.append(f"answer: {rule(plan.answer) if plan.answer else 'TEXT'}")
    if plan.may_answer and plan.answer is None:
        before.append("note")  # content as well
        rules.append(f"note: {written(_NOTE)} TEXT {written(_NEXT)}")
    if plan.calls:
        answers += [f"call{at}" for at in range(len(plan.functions))]
        for at, part in enumerate(plan.functions):
            head = f"{plan.calls.begin}{part.function}{plan.calls.before_arguments}"
            rules.append(f"call{at}: {written(head)} arguments{at}")
            rules.append(f"arguments{at}: {rule(part)}")
    rules.append(f"start: ({' | '.join(before)})* ({' | '.join(answers)})")
    return "\n".join(rules)
