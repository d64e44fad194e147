"""A request on its way: what the engine is asked, and how its answers are read."""

from __future__ import annotations

import msgspec

from minikin.api.answer.answer_forms import AnswerForm
from minikin.chat.harmony import HarmonyReader
from minikin.chat.thoughts import ThoughtMarks, ThoughtReader
from minikin.engine.messages import GenerationRequest


class Prepared(msgspec.Struct, frozen=True):
    """A request as the engine takes it, and how to read its answers."""

    generation: GenerationRequest
    form: AnswerForm
    thinking: bool | None
    """Whether the prompt ends within the model's thoughts; None: answers hold none."""
    thought_marks: ThoughtMarks | None
    in_channels: bool = False
    """Whether answers come in harmony's channels."""

    def thought_reader(self) -> ThoughtReader | HarmonyReader | None:
        """For one answer; None: it holds no thoughts."""
        if self.in_channels:
            return HarmonyReader()
        if self.thinking is None or self.thought_marks is None:
            return None
        return ThoughtReader(self.thought_marks, thinking=self.thinking)
