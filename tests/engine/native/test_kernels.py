import ctypes
import random
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from minikin.engine.batch import make_batch
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.choose import choose
from minikin.engine.model.decoder import Decoder
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.linear import Linear
from minikin.engine.model.rope import Rope
from minikin.engine.model.weights import LayerWeights, Weights
from minikin.engine.native.build import SOURCE, WITHOUT, load_library
from minikin.engine.native.kernels import ADD, GROUP, Inputs, Kernels, PackedMatrix
from minikin.engine.native.quantized import Blocks
from minikin.engine.scheduler import Span

pytestmark = pytest.mark.skipif(load_library() is None, reason="no AVX2 or no gcc here")


@pytest.fixture(autouse=True)
def same_numbers():
    torch.manual_seed(0)


@pytest.fixture(scope="module", params=WITHOUT)
def kernels(request, tmp_path_factory):
    """The kernels for each kind of processor, on one that lacks its instructions by emulation."""
    kernels = Kernels(load_library(request.param), threads=2)
    if kernels.instructions != request.param:
        kernels = Kernels(emulated(request.param, tmp_path_factory.mktemp("emulated")), threads=2)
    assert kernels.instructions == request.param
    return kernels


def emulated(instructions, folder):
    flags = ["-O1", "-mavx2", "-mfma", "-mf16c", "-pthread", "-fPIC", "-shared", "-Wno-psabi"]
    if instructions == "AMX":
        flags.append("-DEMULATE_AMX")
    header, library = Path(__file__).with_name("emulated.h"), folder / "kernels.so"
    command = ["gcc", *flags, "-include", header, "-o", library, SOURCE, "-lm"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def inputs(kernels, values, *, tiled):
    """Rows in one of the kernels' forms."""
    room = Inputs(kernels, *values.shape)
    form(room, kernels, tiled=tiled)
    kernels.write(values, room)
    return room


def form(room, kernels, *, tiled):
    if tiled and not kernels.tiles:
        pytest.skip(f"{kernels.instructions} takes no tiles")
    room.struct.tiled = tiled


def matrix(kernels, outputs, width, bits, *, gated=False):
    """A random matrix, packed, and the same in float64; 16 bits are bfloat16."""
    if bits == 16:
        values = (torch.randn(outputs, width) * 0.1).bfloat16()
        return PackedMatrix(kernels, values, gated=gated), values.double()
    blocks = Blocks(
        levels=torch.randint(0, 2**bits, (outputs, width), dtype=torch.uint8),
        scale=(torch.rand(outputs, width // GROUP) * 0.3 / 2**bits).half(),
        minimum=torch.randn(outputs, width // GROUP).mul(0.1).half(),
        bits=bits,
    )
    grouped = blocks.levels.view(outputs, -1, GROUP).double()
    dense = grouped * blocks.scale.double()[..., None] + blocks.minimum.double()[..., None]
    return PackedMatrix(kernels, blocks, gated=gated), dense.view(outputs, width)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("rows", [1, 2, 3, 8, 9, 16, 17, 31, 33, 100])
@pytest.mark.parametrize(("outputs", "width"), [(32, 32), (96, 576), (288, 1536)])
def test_a_product_is_what_float64_says(kernels, rows, outputs, width, bits, tiled):
    packed, dense = matrix(kernels, outputs, width, bits)
    values = torch.randn(rows, width)
    x = inputs(kernels, values, tiled=tiled)
    out = torch.full((rows, outputs), float("nan"))
    kernels.matmul(packed, x, out, rows)
    expected = values.double() @ dense.T
    # The tile unit takes bfloat16; the other path exact weights and 16-bit inputs.
    bound = 1e-2 if tiled else 5e-4
    assert (out - expected).norm() / expected.norm() < bound
    before = out.clone()
    kernels.matmul(packed, x, out, rows, ADD)
    assert torch.allclose(out, 2 * before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", [4, 16])
@pytest.mark.parametrize("rows", [1, 40])
def test_gates_and_ups_come_back_in_their_order(kernels, rows, bits):
    packed, dense = matrix(kernels, 192, 64, bits, gated=True)
    x = torch.randn(rows, 64)
    assert torch.allclose(packed.product(x).double(), x.double() @ dense.T, rtol=2e-2, atol=5e-2)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_rows_of_a_matrix_are_exact(kernels, bits):
    packed, dense = matrix(kernels, 96, 64, bits)
    which = torch.tensor([0, 95, 17, 17, 16])
    assert torch.allclose(packed.rows(which).double(), dense[which], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("tiled", [False, True])
def test_norm_is_what_torch_says(kernels, tiled):
    x, weight = torch.randn(7, 576) * 3, torch.rand(576) + 0.5
    out = Inputs(kernels, 7, 576)
    form(out, kernels, tiled=tiled)
    kernels.norm(x, weight, out, 7, 1e-5)
    expected = torch.nn.functional.rms_norm(x, (576,), weight, 1e-5)
    close = {"rtol": 8e-3, "atol": 1e-5} if tiled else {"rtol": 0, "atol": 3e-4}
    assert torch.allclose(out.rows(7), expected, **close)
    if not tiled:
        assert torch.allclose(out.sums, out.rows(7).view(7, -1, GROUP).sum(-1), atol=1e-4)


def random_model(kernels, *, heads, kv_heads, dim, layers=2, hidden=64, feed_forward=96):
    """A decoder with random weights, twice: on the native layers, and on PyTorch's."""
    rope = Rope(tuple(10_000.0 ** -(i / dim) for i in range(0, dim, 2)))
    architecture = Architecture(
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=dim,
        feed_forward=feed_forward, vocab_size=96, context_length=1024, norm_epsilon=1e-5,
        attention_scale=dim**-0.5, windows=(None,) * layers, ropes=(rope,) * layers,
    )  # fmt: skip

    def linear(outputs, width, *, bits=4, gated=False):
        packed, dense = matrix(kernels, outputs, width, bits, gated=gated)
        return Linear(packed=packed), Linear(dense.float())

    def layer():
        pairs = {
            "qkv": linear((heads + 2 * kv_heads) * dim, hidden),
            "output": linear(hidden, heads * dim, bits=16),
            "gate_up": linear(2 * feed_forward, hidden, bits=16, gated=True),
            "down": linear(hidden, feed_forward),
        }
        norms = {n: torch.rand(hidden) + 0.5 for n in ("attention_norm", "feed_forward_norm")}
        return [LayerWeights(**norms, **{n: p[i] for n, p in pairs.items()}) for i in (0, 1)]

    made = [layer() for _ in range(layers)]
    norm, head = torch.rand(hidden) + 0.5, linear(96, hidden)
    weights = [
        Weights(
            dtype=torch.float32, embedding=head[i], head=head[i], norm=norm,
            layers=tuple(pair[i] for pair in made),
        )
        for i in (0, 1)
    ]  # fmt: skip
    device = torch.device("cpu")
    native = Decoder(architecture, weights[0], device, kernels)
    assert native._native is not None
    return native, Decoder(architecture, weights[1], device)


def span(chance, start, length):
    """Some rows of a sequence that has blocks of its own."""
    blocks = next_blocks(-(-(start + length) // BLOCK))
    tokens = [chance.randrange(96) for _ in range(start + length)]
    sequence = SimpleNamespace(tokens=tokens, blocks=blocks)
    return Span(sequence, start, length)


taken = []


def next_blocks(count):
    """Blocks that nobody has, in no order."""
    fresh = [b for b in random.Random(len(taken)).sample(range(200), 200) if b not in taken]
    taken.extend(fresh[:count])
    return fresh[:count]


@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim"), [(6, 2, 64), (4, 4, 64), (3, 1, 96), (8, 1, 128), (2, 1, 256)]
)
def test_layers_are_what_pytorch_says(kernels, heads, kv_heads, dim):
    native, plain = random_model(kernels, heads=heads, kv_heads=kv_heads, dim=dim)
    device, chance = torch.device("cpu"), random.Random(1)
    caches = [
        KVCache(native.architecture, 200 * BLOCK, dtype=dtype, device=device)
        for dtype in (torch.bfloat16, torch.float32)
    ]
    taken.clear()
    long, short = span(chance, 0, 600), span(chance, 0, 45)
    steps = [
        [long, short],  # two prompts, one of them over several spans of keys
        [Span(short.sequence, 3, 1), Span(long.sequence, 599, 1), span(chance, 0, 1)],
        [Span(long.sequence, 590, 3), span(chance, 0, 31), span(chance, 0, 33)],
        [Span(long.sequence, 510, 4)],  # across two pieces of keys, of which one row sees one
    ]
    for spans in steps:
        batch = make_batch(sorted(spans, key=lambda s: s.rows > 1), device=device, every_row=True)
        ours = native.forward(batch, caches[0])
        expected = plain.forward(batch, caches[1])
        assert (ours - expected).norm() / expected.norm() < 2e-2
        assert (ours.argmax(-1) == expected.argmax(-1)).float().mean() > 0.95


def test_what_is_not_a_number_stays_with_its_row(kernels):
    """A block's other slots, written by a spoilt answer, weigh nothing in the next one's."""
    native, _ = random_model(kernels, heads=2, kv_heads=1, dim=64)
    device = torch.device("cpu")
    cache = KVCache(native.architecture, 200 * BLOCK, dtype=torch.bfloat16, device=device)
    taken.clear()
    spoilt = span(random.Random(2), 0, 40)
    table = native.weights.embedding
    native.weights = replace(
        native.weights, embedding=SimpleNamespace(rows=lambda t: table.rows(t) * torch.nan)
    )
    bad = native.forward(make_batch([spoilt], device=device), cache)
    assert not bad.isfinite().any()
    native.weights = replace(native.weights, embedding=table)
    spoilt.sequence.tokens = spoilt.sequence.tokens[:5]
    good = native.forward(make_batch([Span(spoilt.sequence, 0, 5)], device=device), cache)
    assert good.isfinite().all()


def test_many_small_jobs_in_a_row_all_finish(kernels):
    packed, _ = matrix(kernels, 960, 64, 4)
    x = inputs(kernels, torch.randn(1, 64), tiled=False)
    first, out = torch.empty(1, 960), torch.empty(1, 960)
    kernels.matmul(packed, x, first, 1)
    for _ in range(5000):
        kernels.matmul(packed, x, out, 1)
    assert torch.equal(out, first)


@pytest.mark.parametrize("width", [16, 300, 49152])
def test_tokens_are_chosen_as_pytorch_does(kernels, width):
    rows = 64
    logits = torch.randn(rows, width) * 3
    logits[:, : width // 3] = -torch.inf
    heat = [0.0, 0.7, 1.0, 2.0] * (rows // 4)
    points = torch.rand(rows, dtype=torch.float64).tolist()
    points[1], points[2] = 0.0, 1 - 2**-53
    ours, theirs = kernels.choose(logits, heat, points), choose(logits, heat, points)
    # Sums in another order may end one token further.
    assert (ours == theirs).sum() >= rows - 2
    assert logits.gather(1, ours[:, None]).isfinite().all()


def test_equal_logits_go_to_the_first_and_nonsense_to_nobody(kernels):
    logits = torch.zeros(4, 1000)
    logits[0, [40, 700]] = 1.0
    logits[1, 999] = torch.nan
    logits[2] = -torch.inf
    logits[3, 998] = torch.inf
    assert kernels.choose(logits, [0.0] * 4, [0.0] * 4).tolist() == [40, -1, -1, -1]
    assert choose(logits, [0.0] * 4, [0.0] * 4).tolist() == [40, -1, -1, -1]


def test_guesses_change_no_bit_of_the_answer(kernels):
    """A row's logits are those of its own step, however many guesses are checked beside it."""
    native, _ = random_model(kernels, heads=6, kv_heads=2, dim=64)
    device = torch.device("cpu")
    cache = KVCache(native.architecture, 200 * BLOCK, dtype=torch.bfloat16, device=device)
    taken.clear()
    whole = span(random.Random(3), 0, 560)
    sequence, tokens = whole.sequence, whole.sequence.tokens
    native.forward(make_batch([Span(sequence, 0, 500)], device=device), cache)
    alone = [
        native.forward(make_batch([Span(sequence, at, 1)], device=device, every_row=True), cache)[
            0
        ].clone()
        for at in range(500, 560)
    ]
    sequence.tokens = tokens[:501]
    guessed = Span(sequence, 500, 1, tuple(tokens[501:560]))
    together = native.forward(make_batch([guessed], device=device), cache)
    assert torch.equal(together, torch.stack(alone))
