"""Which tokens of an answer count as reasoning: those between the marks, however they arrive."""

from __future__ import annotations

import asyncio

import pytest

from minikin.api.answer.answer_forms import AnswerForm
from minikin.api.answer.chunks import ChunkMaker
from minikin.api.answer.prepared import Prepared
from minikin.api.request.translate import ChatRequest
from minikin.chat.thoughts import MISTRAL_THINK, THINK
from minikin.engine.answer_text import AnswerText
from minikin.engine.messages import ChoiceUsage, Event, GenerationRequest, SamplingParams

TAGS = ["<think>", "\n", "Hm", ",", " é", ".", "\n", "</think>", "\n\n", "Yes", "."]
SPELLED = ["[TH", "INK]", "Hm", ".", "[/THINK]", "Yes"]
CHANNELS = [
    *("<|channel|>", "analysis", "<|message|>", "Hm", ",", " <", ".", "<|end|>"),
    *("<|start|>", "assistant", "<|channel|>", "analysis", "<|message|>", "So", ".", "<|end|>"),
    *("<|start|>", "assistant", "<|channel|>", "final", "<|message|>", "Yes", "."),
]


class Words:
    """Token i is the i-th of these texts, or some bytes of one."""

    def __init__(self, words):
        self._words = [word if isinstance(word, bytes) else word.encode() for word in words]

    def token_bytes(self, token):
        return self._words[token]


def events(index, words, stops=(), finish_reason="stop"):
    """What the engine emits for one choice with these tokens."""
    answer = AnswerText(Words(words), stops)
    shown = [answer.take(token, None) for token in range(len(words))]
    last = shown.pop() if answer.stopped else answer.finish()
    for part in shown:
        if part.text or part.token_ends:
            yield Event(id="r", index=index, text=part.text, token_ends=part.token_ends)
    count = answer.visible_tokens + (finish_reason == "stop")
    yield Event(
        id="r", index=index, text=last.text, token_ends=last.token_ends,
        finish_reason=finish_reason, usage=ChoiceUsage(completion_tokens=count),
    )  # fmt: skip


def counted(*choices, marks=THINK, thinking=False, in_channels=False):
    """The usage of an answer with these choices, and the thoughts of all of them."""
    generation = GenerationRequest(id="r", prompt=[1], params=SamplingParams(max_tokens=99))
    prepared = Prepared(generation, AnswerForm(), thinking, marks, in_channels=in_channels)
    maker = ChunkMaker(ChatRequest(model="m", messages=[]), prepared, fingerprint="fp")

    async def arriving():
        for choice in choices:
            for event in choice:
                yield event

    async def read():
        return [chunk async for chunk in maker.chunks(arriving())]

    *chunks, last = asyncio.run(read())
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    thoughts = "".join(delta.reasoning_content or "" for delta in deltas)
    return last.usage.completion_tokens_details.reasoning_tokens, thoughts


@pytest.mark.parametrize("stops", [(), ("never",), (".\nX",), (".\n</think>\n\nNo",), ("<|x",)])
def test_held_back_text_does_not_change_the_count_of_reasoning_tokens(stops):
    assert counted(events(0, TAGS, stops)) == (6, "Hm, é.")
    assert counted(events(0, TAGS[1:], stops), thinking=True) == (6, "Hm, é.")


@pytest.mark.parametrize("stops", [(), ("Hm.[/THINK]No",)])
def test_a_mark_that_opens_thoughts_in_several_tokens_is_not_counted(stops):
    assert counted(events(0, SPELLED, stops), marks=MISTRAL_THINK) == (2, "Hm.")


@pytest.mark.parametrize("stops", [(), (".<|end|><|start|>user",), ("< |",)])
def test_messages_of_thoughts_count_and_their_headers_do_not(stops):
    assert counted(events(0, CHANNELS, stops), in_channels=True) == (6, "Hm, <.\nSo.")


def test_a_limit_within_thoughts_counts_all_that_came_of_them():
    assert counted(events(0, TAGS[:4], finish_reason="length")) == (3, "Hm,")
    cut = events(0, CHANNELS[:6], finish_reason="length")
    assert counted(cut, in_channels=True) == (3, "Hm, <")


def test_a_stop_text_within_thoughts_ends_the_count():
    assert counted(events(0, TAGS[:6], (", é",))) == (2, "Hm")


def test_choices_add_up():
    short = ["<think>", "a", "</think>", "b"]
    assert counted(events(0, TAGS), events(1, short), events(2, ["c"])) == (7, "Hm, é.a")


def test_a_character_of_several_tokens_counts_each_of_them():
    words = ["<think>", "Oh ", *(bytes([byte]) for byte in "é🎉".encode()), "</think>", "x"]
    assert counted(events(0, words)) == (7, "Oh é🎉")


def test_an_answer_without_thoughts_counts_none():
    assert counted(events(0, TAGS), marks=None, thinking=None) == (0, "")
    assert counted(events(0, ["Yes", "."])) == (0, "")
