"""A prepared request: the request for the engine, and how to read its answers."""

from __future__ import annotations

import msgspec

from minikin.api.answer.answer_forms import AnswerForm
from minikin.api.answer.answer_reader import AnswerReader
from minikin.chat.harmony import HarmonyReader
from minikin.chat.thoughts import ThoughtMarks, ThoughtReader
from minikin.engine.messages import GenerationRequest


class Prepared(msgspec.Struct, frozen=True):
    """A request for the engine, and how to read its answers."""

    generation: GenerationRequest
    form: AnswerForm
    thinking: bool | None
    """Whether the prompt ends inside the model's reasoning. None: answers have no reasoning."""
    thought_marks: ThoughtMarks | None
    in_channels: bool = False
    """Whether answers are in harmony's channels."""

    def reader(self) -> AnswerReader:
        """The reader of one answer."""
        return AnswerReader(self.form, self._thought_reader())

    def _thought_reader(self) -> ThoughtReader | HarmonyReader | None:
        """The splitter for one answer. None: the answer has no reasoning."""
        if self.in_channels:
            return HarmonyReader()
        if self.thinking is None or self.thought_marks is None:
            return None
        return ThoughtReader(self.thought_marks, thinking=self.thinking)
