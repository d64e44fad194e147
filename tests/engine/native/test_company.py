"""A row's result depends on its own sequence and its role alone, to the last bit."""

from __future__ import annotations

import random

import numpy as np
import pytest

from minikin.engine.model.block import BLOCK
from minikin.engine.span import Span
from tests.engine.native import samples
from tests.engine.native.samples import random_model, room_for, span, taken

LENGTH = 700
"""More than one part of keys, and several spans of them."""


@pytest.fixture(params=[None, 100], ids=["full", "window"])
def model(kernels, request):
    taken.clear()
    native, _ = random_model(kernels, heads=6, kv_heads=2, dim=64, window=request.param)
    return native, room_for(native)


def forward(model, spans):
    return samples.forward(*model, spans)


def company(chance, count):
    """Answers of others, each after a prompt of its own."""
    return [span(chance, chance.randrange(20), 1) for _ in range(count)]


def test_a_prompt_is_the_same_however_it_is_cut_and_whatever_is_beside_it(model):
    chance = random.Random(1)
    whole = span(chance, 0, LENGTH)
    sequence = whole.sequence
    expected = forward(model, [whole])[-1]
    keys = np.copy(model[1].keys)
    for sizes in ([1] * 5 + [3, 7, 12, 33, 64], [64], [512], [5]):
        for part in model[1].keys:
            part[:] = 0
        at = 0
        while at < LENGTH:
            size = min(sizes[0] if len(sizes) == 1 else sizes.pop(0), LENGTH - at)
            others = company(chance, chance.randrange(3))
            logits = forward(model, [Span(sequence, at, size), *others])
            taken[:] = taken[: len(sequence.blocks)]
            at += size
        assert np.array_equal(logits[size - 1], expected)
        own = sequence.blocks[: LENGTH // BLOCK]
        assert np.array_equal(np.array(model[1].keys)[:, own], keys[:, own])


def test_an_exact_answer_is_the_same_in_any_company(model):
    chance = random.Random(2)
    whole = span(chance, 0, LENGTH)
    sequence = whole.sequence
    forward(model, [Span(sequence, 0, 500)])

    def exact(at, length=1):
        return Span(sequence, at, length, role="exact")

    alone = [forward(model, [exact(at)])[0] for at in range(500, LENGTH)]
    for at in range(500, LENGTH, 11):
        count = chance.randrange(40)
        exacts = [Span(s.sequence, s.start, 1, role="exact") for s in company(chance, count // 3)]
        prompts = [span(chance, 0, 50)] if count % 2 else []
        others = [Span(s.sequence, s.start, 1, role="other") for s in company(chance, count // 4)]
        rows = forward(model, [*exacts, exact(at), *prompts, *others])
        assert np.array_equal(rows[len(exacts)], alone[at - 500])
        taken[:] = taken[: len(sequence.blocks)]
    # Forced tokens, and an answer that is computed again, come many at a time.
    together = forward(model, [exact(500, LENGTH - 500)])
    assert np.array_equal(together, np.stack(alone))
