"""Every instruction set against the plain kernels, which say what the others have to compute."""

import random

import numpy as np
import pytest

from minikin.engine.native.contract import GROUP
from minikin.engine.native.draw import Draw
from minikin.engine.native.kernels import Inputs, PackedMatrix
from minikin.engine.native.quantized import Blocks
from minikin.engine.span import Span
from tests.engine.native.samples import (
    forward,
    inputs,
    matrix,
    normal,
    random_model,
    room_for,
    span,
    taken,
    vector,
)  # fmt: skip


def same(kernels, plain, make):
    """What `make` makes with each of the two, from the same random numbers."""
    results = []
    for one in (kernels, plain):
        np.random.seed(1)
        results.append(make(one))
    return results


def change(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def test_inputs_are_the_same_integers(kernels, plain):
    values = normal(5, 96) * np.array([[1e-6], [1], [3], [1e4], [0]], np.float32)
    ours, theirs = same(kernels, plain, lambda one: inputs(one, values, tiled=False))
    assert np.array_equal(ours.rows(5), theirs.rows(5))
    assert np.array_equal(ours.steps, theirs.steps)
    assert np.array_equal(ours.sums, theirs.sums)


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("rows", [1, 5, 11, 12, 40])
def test_products_differ_by_rounding_alone(kernels, plain, rows, bits):
    def product(one):
        packed, _ = matrix(one, 96, 576, bits)
        return packed.product(normal(rows, 576))

    # Tiles hold inputs and weights as bfloat16.
    bound = 5e-3 if kernels.tiles and rows >= 12 else 4e-6
    assert change(*same(kernels, plain, product)) < bound


def test_every_half_is_the_same_float(kernels):
    """All finite ones, as scales of levels that are 1."""
    halves = np.arange(1 << 16).astype(np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)][:, None]
    blocks = Blocks(
        levels=np.ones((len(halves), GROUP), np.uint8),
        scale=halves,
        minimum=np.zeros_like(halves),
        bits=8,
    )
    found = PackedMatrix.pack(kernels, blocks).rows(np.arange(len(halves)))
    assert (found == halves.astype(np.float32)).all()


@pytest.mark.parametrize("dim", [64, 96, 256])
def test_layers_differ_by_rounding_alone(kernels, plain, dim):
    def logits(one):
        taken.clear()
        chance = random.Random(4)
        native, _ = random_model(one, heads=4, kv_heads=2, dim=dim)
        cache = room_for(native)
        long = span(chance, 0, 600)
        steps = [[long], [Span(long.sequence, 590, 4), span(chance, 0, 3)]]
        return np.concatenate([forward(native, cache, spans) for spans in steps])

    # Keys, values and queries are bfloat16 everywhere; some end on the other side of a tie.
    assert change(*same(kernels, plain, logits)) < (1e-2 if kernels.tiles else 2e-3)


def test_the_same_tokens_are_chosen(kernels, plain):
    logits = normal(64, 5000) * 3
    heat, points = [0.0, 0.7, 1.0, 2.0] * 16, np.random.rand(64).tolist()
    limits = [{}, {"top_p": 0.9}, {"top_k": 20}, {"min_p": 0.1}, {"top_p": 0.8, "top_k": 9}] * 13
    rows = zip(heat, points, limits, strict=False)
    draws = [Draw(temperature, point=point, **limit) for temperature, point, limit in rows]
    ours, theirs = (one.choose(logits, draws) for one in (kernels, plain))
    # Sums in another order may end one token further.
    assert (ours == theirs).sum() >= 61


def test_norms_are_the_same(kernels, plain):
    def normed(one):
        out = Inputs(one, 7, 576)
        one.norm(normal(7, 576) * 3, vector(576), out, 7, 1e-5)
        return out.rows(7)

    assert change(*same(kernels, plain, normed)) < 5e-5
