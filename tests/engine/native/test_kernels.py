import ctypes
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minikin.engine.model.block import BLOCK
from minikin.engine.native.arrays import address
from minikin.engine.native.contract import ADD, GROUP, STORE
from minikin.engine.native.draw import Draw
from minikin.engine.native.kernels import Inputs
from minikin.engine.pytorch.choose import TorchChooser
from minikin.engine.pytorch.decoder import TorchDecoder
from minikin.engine.pytorch.kv_cache import TorchKVCache
from minikin.engine.span import Span
from tests.engine.native.samples import (
    form,
    forward,
    inputs,
    matrix,
    normal,
    random_model,
    room_for,
    span,
    taken,
)  # fmt: skip

thorough = pytest.mark.thorough
CPU = torch.device("cpu")


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize(
    "rows", [1, *(pytest.param(rows, marks=thorough) for rows in (2, 3, 8, 9, 16, 31, 33)), 17, 100]
)
@pytest.mark.parametrize(
    ("outputs", "width"),
    [(32, 32), pytest.param(96, 576, marks=thorough), (288, 1536)],
)
def test_a_product_is_what_float64_says(kernels, rows, outputs, width, bits, tiled):
    packed, dense = matrix(kernels, outputs, width, bits)
    values = normal(rows, width)
    x = inputs(kernels, values, tiled=tiled)
    out = np.full((rows, outputs), np.nan, np.float32)
    kernels.matmul(packed, x, out, rows)
    expected = values.astype(np.float64) @ dense.T
    # The tile unit takes bfloat16; the other path exact weights and 16-bit inputs.
    bound = 1e-2 if tiled else 5e-4
    assert np.linalg.norm(out - expected) / np.linalg.norm(expected) < bound
    before = out.copy()
    kernels.matmul(packed, x, out, rows, ADD)
    assert np.allclose(out, 2 * before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", [4, 16])
@pytest.mark.parametrize("rows", [1, 40])
def test_gates_and_ups_come_back_in_their_order(kernels, rows, bits):
    packed, dense = matrix(kernels, 192, 64, bits, gated=True)
    x = normal(rows, 64)
    assert np.allclose(packed.product(x), x.astype(np.float64) @ dense.T, rtol=2e-2, atol=5e-2)


def test_a_bias_is_as_long_as_the_kernels_read(kernels):
    """They compute whole panels, also of a matrix with fewer rows."""
    packed, dense = matrix(kernels, 20, 64, 8)
    values, bias, out = normal(3, 64), normal(20), np.full((3, 32), np.nan, np.float32)
    struct, x = packed.with_bias(bias), inputs(kernels, values, tiled=False)
    kernels.library.packed_matmul(ctypes.addressof(struct), x.at, address(out), 3, STORE)
    assert np.allclose(out[:, :20], values @ dense.T + bias, rtol=1e-3, atol=1e-3)
    assert (out[:, 20:] == 0).all()


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_rows_of_a_matrix_are_exact(kernels, bits):
    packed, dense = matrix(kernels, 96, 64, bits)
    which = np.array([0, 95, 17, 17, 16])
    assert np.allclose(packed.rows(which), dense[which], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("tiled", [False, True])
def test_norm_is_what_torch_says(kernels, tiled):
    x, weight = torch.randn(7, 576) * 3, torch.rand(576) + 0.5
    out = Inputs(kernels, 7, 576)
    form(out, kernels, tiled=tiled)
    kernels.norm(x.numpy(), weight.numpy(), out, 7, 1e-5)
    expected = torch.nn.functional.rms_norm(x, (576,), weight, 1e-5)
    close = {"rtol": 8e-3, "atol": 1e-5} if tiled else {"rtol": 0, "atol": 3e-4}
    found = torch.from_numpy(out.rows(7))
    assert torch.allclose(found, expected, **close)
    if not tiled:
        assert np.allclose(out.sums, found.view(7, -1, GROUP).sum(-1), atol=1e-4)


@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim", "activation"),
    [
        (6, 2, 64, "silu"),
        (4, 4, 64, "squared relu"),
        (3, 1, 96, "silu"),
        (8, 1, 128, "silu"),
        (2, 1, 256, "silu"),
        (16, 1, 512, "silu"),
    ],
)
def test_layers_are_what_pytorch_says(kernels, heads, kv_heads, dim, activation):
    native, weights = random_model(
        kernels, heads=heads, kv_heads=kv_heads, dim=dim, activation=activation
    )
    plain = TorchDecoder(native.architecture, weights, dtype=torch.float32, device=CPU)
    chance, ours_room = random.Random(1), room_for(native)
    room = TorchKVCache(native.architecture, 200 * BLOCK, 0, dtype=torch.float32, device=CPU)
    taken.clear()
    long, short = span(chance, 0, 600), span(chance, 0, 45)
    steps = [
        [long, short],  # two prompts, one of them over several spans of keys
        [Span(short.sequence, 3, 1), Span(long.sequence, 599, 1), span(chance, 0, 1)],
        [Span(long.sequence, 590, 3), span(chance, 0, 31), span(chance, 0, 33)],
        [Span(long.sequence, 510, 4)],  # across two pieces of keys, of which one row sees one
    ]
    for spans in steps:
        spans = sorted(spans, key=lambda s: s.rows > 1)
        ours = forward(native, ours_room, spans)
        expected = forward(plain, room, spans)
        assert np.linalg.norm(ours - expected) / np.linalg.norm(expected) < 2e-2
        assert (ours.argmax(-1) == expected.argmax(-1)).mean() > 0.95


def test_nan_stays_in_its_row(kernels):
    """A block's other slots, written by a spoilt answer, weigh nothing in the next one's."""
    native, _ = random_model(kernels, heads=2, kv_heads=1, dim=64)
    cache = room_for(native)
    taken.clear()
    spoilt = span(random.Random(2), 0, 40)
    table = native.embedding
    native.embedding = SimpleNamespace(rows=lambda t: table.rows(t) * np.float32("nan"))
    bad = forward(native, cache, [spoilt], every_row=False)
    assert not np.isfinite(bad).any()
    native.embedding = table
    spoilt.sequence.tokens = spoilt.sequence.tokens[:5]
    good = forward(native, cache, [Span(spoilt.sequence, 0, 5)], every_row=False)
    assert np.isfinite(good).all()


def test_many_small_jobs_in_a_row_all_finish(kernels):
    packed, _ = matrix(kernels, 960, 64, 4)
    x = inputs(kernels, normal(1, 64), tiled=False)
    first, out = np.empty((2, 1, 960), np.float32)
    kernels.matmul(packed, x, first, 1)
    for _ in range(5000):
        kernels.matmul(packed, x, out, 1)
    assert np.array_equal(out, first)


LIMITS = [
    {}, {"top_p": 0.9}, {"top_p": 0.3}, {"top_p": 0.999}, {"top_k": 1}, {"top_k": 40},
    {"min_p": 0.05}, {"top_p": 0.9, "top_k": 7}, {"top_p": 0.95, "min_p": 0.2}, {"top_k": 10**6},
    {"top_p": 0.0},
]  # fmt: skip


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("width", [16, 300, 49152])
def test_tokens_are_chosen_as_pytorch_does(kernels, width, limits):
    rows = 64
    logits = torch.randn(rows, width) * 3
    logits[:, : width // 3] = -torch.inf
    heat = [0.0, 0.7, 1.0, 2.0] * (rows // 4)
    points = torch.rand(rows, dtype=torch.float64).tolist()
    points[1], points[2] = 0.0, 1 - 2**-53
    draws = [Draw(h, point=p, **limits) for p, h in zip(points, heat, strict=True)]
    ours, theirs = kernels.choose(logits.numpy(), draws), TorchChooser().choose(logits, draws)
    # Sums in another order may end one token further.
    assert (ours == theirs).sum() >= rows - 3
    assert logits[range(rows), ours].isfinite().all()


@pytest.mark.parametrize("limits", LIMITS)
def test_limits_keep_the_same_tokens_as_pytorch(kernels, limits):
    logits = torch.randn(1, 800).round(decimals=1).repeat(500, 1)  # with many equal ones
    draws = [Draw(1.0, point=i / 500, **limits) for i in range(500)]
    ours = set(kernels.choose(logits.numpy(), draws).tolist())
    theirs = set(TorchChooser().choose(logits, draws).tolist())
    # A token at the edge of a sum can be on either side.
    assert len(ours ^ theirs) <= 2


def test_equal_logits_choose_the_first_token_and_nan_chooses_none(kernels):
    logits = torch.zeros(4, 1000)
    logits[0, [40, 700]] = 1.0
    logits[1, 999] = torch.nan
    logits[2] = -torch.inf
    logits[3, 998] = torch.inf
    for chooser, rows in ((kernels, logits.numpy()), (TorchChooser(), logits)):
        assert chooser.choose(rows, [Draw()] * 4).tolist() == [40, -1, -1, -1]


def test_the_first_of_equal_logits_pass_a_limit(kernels):
    logits = torch.zeros(40, 1000)
    draws = [Draw(1.0, point=i / 40, top_k=3) for i in range(20)]
    draws += [Draw(1.0, point=i / 40, top_p=0.0025) for i in range(0, 40, 2)]
    for chooser, rows in ((kernels, logits.numpy()), (TorchChooser(), logits)):
        assert set(chooser.choose(rows, draws).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("width", [16, 300, 49152])
def test_tokens_are_ranked_as_pytorch_does(kernels, width):
    logits = torch.randn(9, width) * 3
    logits[:, : width // 3] = -torch.inf
    tokens = torch.randint(width // 3, width, (9,)).tolist()
    ours = kernels.rank(logits.numpy(), tokens, 20)
    theirs = TorchChooser().rank(logits, tokens, 20)
    assert ours.places.tolist() == theirs.places.tolist()
    assert np.abs(ours.totals - theirs.totals).max() < 1e-5
    best = min(20, width - width // 3)  # beyond them, all are equal
    assert np.array_equal(ours.best[:, :best], theirs.best[:, :best])
    assert kernels.rank(logits.numpy(), tokens, 0).best.shape == (9, 0)


def test_guesses_change_no_bit_of_the_answer(kernels):
    """A row's logits are those of its own step, however many guesses are checked beside it."""
    native, _ = random_model(kernels, heads=6, kv_heads=2, dim=64)
    cache = room_for(native)
    taken.clear()
    whole = span(random.Random(3), 0, 560)
    sequence, tokens = whole.sequence, whole.sequence.tokens
    forward(native, cache, [Span(sequence, 0, 500)])
    alone = [
        forward(native, cache, [Span(sequence, at, 1, role="exact")])[0] for at in range(500, 560)
    ]
    sequence.tokens = tokens[:501]
    guessed = Span(sequence, 500, 1, tuple(tokens[501:560]), role="exact")
    together = forward(native, cache, [guessed], every_row=False)
    assert np.array_equal(together, np.stack(alone))
