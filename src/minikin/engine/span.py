"""The part of a sequence that one step computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from minikin.engine.native.contract import MANY_ROWS
from minikin.engine.sequence import Sequence
from minikin.engine.state_rooms import Stretch

Role = Literal["exact", "prompt", "other"]
"""The kernels of a span's rows, in the order of the rows of a step: answers that must be repeatable
or few answers, then prompts, then many answers."""
_ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(slots=True, eq=False)
class Span:
    """`length` tokens of a sequence, from `start` on, to compute in this step."""

    sequence: Sequence
    start: int
    length: int
    guesses: tuple[int, ...] = ()
    """Guessed tokens after the last one. They are computed too, and kept if they are correct."""
    role: Role = "prompt"
    stretches: tuple[Stretch, ...] = ()
    """The rooms of its states, without the guesses: no state goes past a guess. Empty if the model
    has no state."""
    fed: int | None = None
    """The row of the step before that chooses its token, if the host does not know it yet."""

    @property
    def tokens(self) -> list[int]:
        """Its tokens, guesses not included. 0 in place of one that the host does not know yet."""
        return self.sequence.tokens[self.start : self.end] or [0]

    @property
    def end(self) -> int:
        """The position after its last token, guesses not included."""
        return self.start + self.length

    @property
    def rows(self) -> int:
        """Tokens to compute, guesses included."""
        return self.length + len(self.guesses)

    @property
    def samples(self) -> bool:
        """Whether the span ends with the sequence's last token, so that a new one follows."""
        return self.fed is not None or self.end == len(self.sequence.tokens)

    @property
    def is_unaided(self) -> bool:
        """Whether it is one token of an answer, after which a device can choose the next."""
        answers = self.rows == 1 and self.samples and not _in_prompt(self)
        return answers and self.sequence.is_unaided


def by_kernel(spans: list[Span]) -> list[Span]:
    """The spans in the order of rows that the kernels expect.

    An answer that must be repeatable is always exact. Other answers are exact while they are few.
    So is a short end of a prompt, unless the step computes longer prompts too.
    """
    prompts = [span for span in spans if _in_prompt(span)]
    answers = [span for span in spans if not _in_prompt(span)]
    short = prompts if all(map(_is_short_end, prompts)) else []
    free = sum(span.length for span in answers + short if not span.sequence.repeatable)
    few: Role = "exact" if free < MANY_ROWS else "other"
    for span in answers:
        span.role = "exact" if span.sequence.repeatable else few
    for span in short if few == "exact" else []:
        span.role = "exact"
    return sorted(spans, key=lambda span: (_ROLES.index(span.role), span.rows > 1))


def _in_prompt(span: Span) -> bool:
    return span.start < len(span.sequence.request.prompt)


def _is_short_end(span: Span) -> bool:
    """Whether the span ends a prompt, and the kernels for few rows compute it faster."""
    return span.samples and span.length < MANY_ROWS and not span.sequence.repeatable
