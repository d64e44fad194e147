"""Each kernel against float64, in Triton's interpreter. Memory that is not read is NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from minikin.engine.cuda.crowds import Crowds
from minikin.engine.cuda.matrix import DeviceMatrix
from minikin.engine.cuda.operations import HeadForm, PlainOperations
from minikin.engine.cuda.rows import Inputs
from minikin.engine.model.block import BLOCK
from minikin.engine.pytorch.attention import AttentionForm

triton = pytest.importorskip("triton")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not triton.knobs.runtime.interpret, reason="not TRITON_INTERPRET=1"),
]


@pytest.fixture(scope="module")
def ours():
    from minikin.engine.cuda.triton_operations import TritonOperations

    return TritonOperations(torch.float32)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)


def form(heads=4, kv_heads=2, dim=64, **attention):
    shared = {"query_norm": None, "key_norm": None, "late_norms": False, "epsilon": 1e-5}
    tables = ((torch.zeros(0), torch.zeros(0)),) * 2
    own = AttentionForm(scale=0.3, **attention)
    return HeadForm(
        heads=heads, kv_heads=kv_heads, dim=dim, rotations=tables, attention=own, **shared
    )


class Context:
    """Keys and values of sequences, in blocks in no order, with NaN in all other slots."""

    def __init__(self, lengths, kv_heads, dim):
        counts = [-(-length // BLOCK) for length in lengths]
        blocks = torch.randperm(sum(counts) + 3)[: sum(counts)].to(torch.int32)
        shape = (sum(counts) + 3) * BLOCK, kv_heads, dim
        self.keys, self.values = torch.full((2, *shape), torch.nan)
        self.blocks = blocks
        self.starts = [sum(counts[:i]) for i in range(len(counts))]
        self.slots = []
        for start, length in zip(self.starts, lengths, strict=True):
            places = torch.arange(length)
            slots = blocks[start + places // BLOCK].long() * BLOCK + places % BLOCK
            self.slots.append(slots)
            for part in (self.keys, self.values):
                part[slots] = torch.randn(length, kv_heads, dim)

    def inputs(self, which, positions, tiles=()):
        positions = torch.tensor(positions, dtype=torch.int32)
        starts = torch.tensor([self.starts[i] for i in which], dtype=torch.int32)
        tiles = torch.tensor(tiles, dtype=torch.int32).reshape(-1, 2)
        none = torch.zeros_like(positions)
        longest = int(positions.max()) + 1
        return Inputs(none, positions, none, starts, self.blocks, tiles, longest)


def exact(q, context, which, positions, heads):
    """Attention of each row, in float64."""
    own, rows = heads.attention, []
    for row, sequence, position in zip(q.double(), which, positions, strict=True):
        slots = context.slots[sequence][: position + 1]
        slots = slots if own.window is None else slots[-own.window :]
        share = heads.heads // heads.kv_heads
        k, v = (
            part[slots].double().repeat_interleave(share, 1)
            for part in (context.keys, context.values)
        )
        scores = torch.einsum("hd,khd->hk", row, k) * own.scale
        if own.softcap is not None:
            scores = own.softcap * torch.tanh(scores / own.softcap)
        if own.sinks is not None:
            scores = torch.cat([scores, own.sinks.double()[:, None]], 1)
        weights = scores.softmax(-1)[:, : len(slots)]
        rows.append(torch.einsum("hk,khd->hd", weights, v).flatten())
    return torch.stack(rows)


ATTENTION = [
    {},
    {"window": 70},
    {"softcap": 5.0},
    {"window": 600, "sinks": torch.tensor([0.5, -1.0, 3.0, 0.0])},
    {"dim": 80, "kv_heads": 4},
    {"dim": 128, "heads": 6, "kv_heads": 1, "softcap": 2.0, "window": 33},
]


@pytest.mark.parametrize("change", ATTENTION)
def test_rows_of_answers_attend(ours, change):
    heads = form(**change)
    context = Context([1, 513, 700, 1100], heads.kv_heads, heads.dim)
    which, positions = [0, 1, 2, 2, 3], [0, 512, 640, 699, 1099]
    q = torch.randn(5, heads.heads, heads.dim)
    cache = context.keys, context.values
    found = ours.attend(q, heads, context.inputs(which, positions), *cache)
    assert (found - exact(q, context, which, positions, heads)).abs().max() < 1e-5
    alone = ours.attend(q[2:3], heads, context.inputs([2], [640]), *cache)
    assert torch.equal(alone, found[2:3])


@pytest.mark.parametrize("change", ATTENTION)
def test_rows_of_prompts_attend(ours, change):
    heads = form(**change)
    context = Context([90, 230], heads.kv_heads, heads.dim)
    which, positions = [0] * 20 + [1] * 66, [*range(70, 90), *range(160, 226)]
    inputs = context.inputs(which, positions, [(0, 20), (20, 64), (84, 2)])
    q = torch.randn(len(which), heads.heads, heads.dim)
    cache = context.keys, context.values
    found = ours.attend(q, heads, inputs, *cache)
    assert (found - exact(q, context, which, positions, heads)).abs().max() < 1e-5
    # The same rows in other tiles. The interpreter's own products depend on the place in a tile.
    part = context.inputs(which[20:], positions[20:], [(0, 3), (3, 40), (43, 23)])
    assert torch.allclose(ours.attend(q[20:], heads, part, *cache), found[20:], atol=1e-5)


@pytest.mark.parametrize("norms", ["none", "early", "late", "together"])
@pytest.mark.parametrize("dim", [64, 80])
def test_heads_turn_and_are_stored(ours, norms, dim):
    plain = PlainOperations(torch.float32)
    angle = torch.rand(2, 50, dim // 2)
    norm = [4 * dim, 2 * dim] if norms == "together" else [dim, dim]
    query_norm, key_norm = (torch.rand(n) + 0.5 if norms != "none" else None for n in norm)
    heads = HeadForm(
        heads=4, kv_heads=2, dim=dim, query_norm=query_norm, key_norm=key_norm,
        late_norms=norms == "late", epsilon=1e-5, attention=AttentionForm(1.0),
        rotations=((angle[0].cos(), angle[0].sin()), (angle[1].cos(), angle[1].sin())),
    )  # fmt: skip
    context = Context([60], 2, dim)
    inputs = context.inputs([0] * 3, [4, 0, 49])
    inputs.slots.copy_(context.slots[0][[4, 0, 49]])
    qkv, caches = torch.randn(3, 8 * dim), []
    queries = []
    for operations in (ours, plain):
        cache = context.keys.clone(), context.values.clone()
        queries.append(operations.turn(qkv, heads, inputs, *cache))
        caches.append(torch.stack(cache))
    assert torch.allclose(*queries, atol=1e-5)
    assert torch.allclose(*caches, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("width", [64, 100])
@pytest.mark.parametrize("post", [True, False])
def test_the_residual_stream_grows(ours, width, post):
    x, added = torch.randn(2, 3, width)
    norms = torch.rand(2, width) + 0.5

    def exact_norm(x, weight):
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight

    more = exact_norm(added.double(), norms[0].double()) if post else added.double()
    expected, out = (
        x.double() + more,
        ours.add(x, added, norms[0] if post else None, norms[1], 1e-5),
    )
    assert (x - expected).abs().max() < 1e-5
    assert (out - exact_norm(expected, norms[1].double())).abs().max() < 1e-5
    assert torch.equal(ours.add(x, None, None, None, 1e-5), x)


@pytest.mark.parametrize("name", ["silu", "gelu", "clamped silu"])
def test_gates_open(ours, name):
    gate_up = torch.randn(3, 2 * 100) * 3
    expected = PlainOperations(torch.float32).activate(gate_up, name)
    assert torch.allclose(ours.activate(gate_up, name), expected, atol=1e-5, rtol=1e-5)


def matrix(bits, count=1, outputs=70, width=96, biased=True):
    bias = torch.randn(count, outputs) if biased else None
    if bits is None:
        return DeviceMatrix(weight=torch.randn(count, outputs, width), bias=bias, width=width)
    groups = width // 32
    levels = np.random.default_rng(3).integers(0, 256, (count, groups, outputs, 4 * bits))
    scale, minimum = (torch.randn(2, count, groups, outputs) / 8).half()
    return DeviceMatrix(
        weight=torch.from_numpy(levels.astype(np.uint8)),
        scale=scale, minimum=minimum, bias=bias, width=width, bits=bits,
    )  # fmt: skip


@pytest.mark.parametrize("bits", [None, 4, 8])
@pytest.mark.parametrize("rows", [1, 17])
@pytest.mark.parametrize("prompts", [False, True])
def test_rows_are_multiplied(ours, bits, rows, prompts):
    w, x = matrix(bits, width=100 if bits is None else 96), torch.randn(rows, 96 if bits else 100)
    expected = x.double() @ w.numbers()[0].double().T + w.bias[0].double()
    found = ours.product(x, w, prompts=prompts)
    scale = math.sqrt(w.width) * float(w.numbers().abs().max())
    assert (found - expected).abs().max() < 1e-6 * scale
    assert torch.equal(ours.product(x[-1:], w, prompts=prompts), found[-1:])


@pytest.mark.parametrize("bits", [None, 4, 8])
@pytest.mark.parametrize("used", [1, 3])
@pytest.mark.parametrize("size", [16, 64])
def test_rows_are_multiplied_by_their_experts(ours, bits, used, size):
    w = matrix(bits, count=5)
    chosen = torch.stack([torch.randperm(4)[:used] for _ in range(20)])  # nobody chooses the last
    crowds = Crowds.of(chosen, 5, size)
    x = torch.randn(20, w.width)
    of_pair = w.numbers()[chosen.flatten()].double()
    each = x.double().repeat_interleave(used, 0)
    expected = torch.einsum("pw,pow->po", each, of_pair) + w.bias[chosen.flatten()]
    found = ours.product(x, w, crowds, prompts=size == 64)
    scale = math.sqrt(w.width) * float(w.numbers().abs().max())
    assert (found - expected).abs().max() < 1e-6 * scale
    again = ours.product(each.float(), w, crowds.alike, prompts=size == 64)
    assert torch.equal(again, found)
