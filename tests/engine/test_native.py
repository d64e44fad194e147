import pytest
import torch

from minikin.engine.blocks import Blocks
from minikin.engine.native.build import load_library
from minikin.engine.native.kernels import GROUP, Inputs, Kernels, PackedMatrix

library = load_library()
pytestmark = pytest.mark.skipif(library is None, reason="no AVX-512 BF16 or no gcc here")


@pytest.fixture(autouse=True)
def same_numbers():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def kernels():
    return Kernels(library, threads=2)


def inputs(kernels, values):
    """Rows in the kernels' forms: a norm with weights of one leaves rows of norm one alone."""
    values = values / values.square().mean(-1, keepdim=True).sqrt()
    room = Inputs(*values.shape)
    kernels.norm(values, torch.ones(values.shape[1]), room, len(values), 0.0)
    return room, values


def exact(room):
    """What the 16-bit form of some rows stands for."""
    whole = 256 * room.high.double() + room.low.double()
    return (whole.view(*room.steps.shape, GROUP) * room.steps.double()[..., None]).flatten(1)


def matrix(outputs, width, bits):
    """A random matrix, packed, and the same in float64."""
    blocks = Blocks(
        levels=torch.randint(0, 2**bits, (outputs, width), dtype=torch.uint8),
        scale=(torch.rand(outputs, width // GROUP) * 0.3 / 2**bits).half(),
        minimum=torch.randn(outputs, width // GROUP).mul(0.1).half(),
        bits=bits,
    )
    grouped = blocks.levels.view(outputs, -1, GROUP).double()
    dense = grouped * blocks.scale.double()[..., None] + blocks.minimum.double()[..., None]
    return PackedMatrix(library, blocks), dense.view(outputs, width)


@pytest.mark.parametrize("tiles", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows", [1, 2, 3, 8, 9, 16, 17, 31, 33, 100])
@pytest.mark.parametrize(("outputs", "width"), [(32, 32), (96, 576), (288, 1536)])
def test_a_product_is_what_float64_says(kernels, rows, outputs, width, bits, tiles):
    packed, dense = matrix(outputs, width, bits)
    x, values = inputs(kernels, torch.randn(rows, width))
    out = torch.full((rows, outputs), float("nan"))
    kernels.library.packed_matmul(
        packed.at, x.at, out.data_ptr(), rows, width, outputs, bits, False,
        tiles and kernels.tiles,
    )  # fmt: skip
    expected = values.double() @ dense.T
    # The tile unit takes bfloat16; the other path exact weights and 16-bit inputs.
    bound = 1e-2 if tiles else 5e-4
    assert (out - expected).norm() / expected.norm() < bound
    before = out.clone()
    kernels.matmul(packed, x, out, rows, add=True)
    assert torch.allclose(out, 2 * before, rtol=2e-2, atol=1e-1)


def test_norm_and_gate_are_what_torch_says(kernels):
    x, weight = torch.randn(7, 576) * 3, torch.rand(576) + 0.5
    out = Inputs(7, 576)
    kernels.norm(x, weight, out, 7, 1e-5)
    expected = torch.nn.functional.rms_norm(x, (576,), weight, 1e-5)
    assert torch.allclose(out.rounded.float(), expected, rtol=8e-3, atol=1e-5)
    assert torch.allclose(exact(out).float(), expected, atol=3e-4)
    assert torch.allclose(out.sums, exact(out).float().view(7, -1, GROUP).sum(-1), atol=1e-4)

    gate_up = torch.randn(5, 2 * 96) * 20
    out = Inputs(5, 96)
    kernels.silu_multiply(gate_up, out, 5)
    gate, up = gate_up.chunk(2, dim=-1)
    expected = torch.nn.functional.silu(gate) * up
    assert torch.allclose(exact(out).float(), expected, rtol=1e-3, atol=5e-2)


@pytest.mark.parametrize("dim", [64, 96, 128, 256])
def test_attention_is_what_torch_says(kernels, dim):
    heads, kv_heads, positions = 6, 2, [0, 3, 15, 16, 40, 99]
    rows = len(positions)
    qkv = torch.randn(rows, heads + 2 * kv_heads, dim)
    angle = torch.rand(128, dim // 2) * 6
    cosine, sine = angle.cos(), angle.sin()
    blocks = torch.randperm(rows * 7, dtype=torch.int32)
    starts = torch.arange(rows) * 7
    slots = torch.tensor(
        [int(blocks[r * 7 + p // 16]) * 16 + p % 16 for r, p in enumerate(positions)]
    )
    keys = torch.randn(rows * 7 * 16, kv_heads, dim, dtype=torch.bfloat16)
    values = torch.randn_like(keys)
    out = Inputs(rows, heads * dim)
    places = torch.tensor(positions)
    pointers = [t.data_ptr() for t in (cosine, sine, places, slots, blocks, starts)]
    layer = keys.data_ptr(), values.data_ptr()
    kernels.attend(qkv, tuple(pointers), out, rows, layer, (heads, kv_heads, dim))

    q, k, v = qkv.split([heads, kv_heads, kv_heads], dim=1)
    for r, position in enumerate(positions):
        assert torch.allclose(keys[slots[r]].float(), turn(k[r], cosine, sine, position), atol=4e-2)
        assert torch.equal(values[slots[r]], v[r].bfloat16())
        seen = (blocks[r * 7 : r * 7 + 7, None] * 16 + torch.arange(16)).flatten()[: position + 1]
        own = turn(q[r], cosine, sine, position).view(kv_heads, -1, dim)
        k_seen, v_seen = (cache[seen].float().transpose(0, 1) for cache in (keys, values))
        expected = torch.nn.functional.scaled_dot_product_attention(own, k_seen, v_seen)
        assert torch.allclose(out.rounded[r].float().view(expected.shape), expected, atol=4e-2)


def turn(x, cosine, sine, position):
    left, right = x.chunk(2, dim=-1)
    c, s = cosine[position], sine[position]
    return torch.cat([left * c - right * s, right * c + left * s], dim=-1)


def test_many_small_jobs_in_a_row_all_finish(kernels):
    packed, _ = matrix(960, 64, 4)
    x, _ = inputs(kernels, torch.randn(1, 64))
    first, out = torch.empty(1, 960), torch.empty(1, 960)
    kernels.matmul(packed, x, first, 1)
    for _ in range(5000):
        kernels.matmul(packed, x, out, 1)
    assert torch.equal(out, first)
