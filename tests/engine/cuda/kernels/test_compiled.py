"""Each kernel as machine code of three generations of GPUs, compiled without one.

The shapes are those of an 8B model. Tensors are on the device `meta`, so the code is what their
alignment and types give. It must read 16 bytes at a time, keep its numbers in registers, and use
tensor cores for products.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch

from minikin.engine.cuda.crowds import Crowds
from minikin.engine.cuda.matrix import DeviceMatrix
from minikin.engine.cuda.operations import HeadForm
from minikin.engine.cuda.rows import Inputs
from minikin.engine.pytorch.attention import AttentionForm

triton = pytest.importorskip("triton")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(triton.knobs.runtime.interpret, reason="TRITON_INTERPRET=1"),
]
META = torch.device("meta")
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
HIDDEN, INSIDE, HEADS, KV_HEADS, DIM = 4096, 14_336, 32, 8, 128


class Compiler:
    """Stands in for the driver of a GPU, and compiles what would run."""

    def __init__(self, generation):
        from triton.backends.compiler import GPUTarget

        self.target = GPUTarget("cuda", generation, 32)
        self.compiled = []

    def get_current_target(self):
        return self.target

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=0):
        return 0

    def launch(self, kernel, grid, *arguments, **options):
        self.compiled.append(kernel.warmup(*arguments, grid=grid, **options))


@pytest.fixture(scope="module", params=[80, 90, 100])
def compiler(request):
    from triton.runtime import driver

    from minikin.engine.cuda import triton_operations

    with pytest.MonkeyPatch.context() as patch:
        one = Compiler(request.param)
        patch.setattr(driver, "_active", one)
        patch.setattr(triton_operations, "launch", one.launch)
        yield one


@pytest.fixture
def ours(compiler):
    from minikin.engine.cuda.triton_operations import TritonOperations

    compiler.compiled.clear()
    return TritonOperations(torch.bfloat16)


def tensor(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device=META)


def inputs(rows, tiles=0):
    numbers = [tensor(rows, dtype=torch.int32) for _ in range(4)]
    tiles = tensor(tiles, 2, dtype=torch.int32)
    return Inputs(*numbers, tensor(rows * 64, dtype=torch.int32), tiles, 2048)


def heads(kv_heads=KV_HEADS, dim=DIM, **attention):
    table = tensor(8192, dim // 2), tensor(8192, dim // 2)
    return HeadForm(
        heads=HEADS, kv_heads=kv_heads, dim=dim, query_norm=tensor(dim), key_norm=tensor(dim),
        late_norms=False, epsilon=1e-5, rotations=(table, table),
        attention=AttentionForm(dim**-0.5, **attention),
    )  # fmt: skip


def matrix(bits, outputs=HIDDEN, width=INSIDE, count=1):
    if bits is None:
        weight = tensor(count, outputs, width, dtype=torch.bfloat16)
        return DeviceMatrix(weight=weight, width=width)
    shape = count, width // 32, outputs
    return DeviceMatrix(
        weight=tensor(*shape, 4 * bits, dtype=torch.uint8),
        scale=tensor(*shape, dtype=torch.float16), minimum=tensor(*shape, dtype=torch.float16),
        width=width, bits=bits,
    )  # fmt: skip


def assembly(kernel, tmp_path):
    """The machine code, and the bytes of memory that stand in for registers."""
    (file := tmp_path / "kernel.cubin").write_bytes(kernel.asm["cubin"])
    code = subprocess.run([TOOLS / "nvdisasm", file], capture_output=True, text=True, check=True)
    return code.stdout


def check(compiler, tmp_path, *, products=False):
    for kernel in compiler.compiled:
        code = assembly(kernel, tmp_path)
        assert not re.search(r"\b(LDL|STL)\b", code), f"{kernel.metadata.name} spills"
        wide = re.search(r"\b(LDG\.E(\.\w+)*\.128|LDGSTS\.E(\.\w+)*\.128|UTMALDG)", code)
        assert wide, f"{kernel.metadata.name} reads less than 16 bytes at a time"
        if products:
            assert re.search(r"\b(HMMA|HGMMA|UTCHMMA|UTCQMMA)\b", code), kernel.metadata.name


@pytest.mark.parametrize("bits", [None, 4, 8])
@pytest.mark.parametrize("prompts", [False, True])
def test_products(compiler, ours, tmp_path, bits, prompts):
    x = tensor(512 if prompts else 1, INSIDE, dtype=torch.bfloat16)
    ours.product(x, matrix(bits), prompts=prompts)
    unpacked = [kernel for kernel in compiler.compiled if kernel.metadata.name == "unpack"]
    compiler.compiled[:] = [kernel for kernel in compiler.compiled if kernel not in unpacked]
    check(compiler, tmp_path, products=True)
    compiler.compiled[:] = unpacked
    check(compiler, tmp_path)


@pytest.mark.parametrize("bits", [None, 4])
def test_products_of_experts(compiler, ours, tmp_path, bits):
    crowds = Crowds.of(tensor(64, 8, dtype=torch.int64), 128, 16)
    x = tensor(64, 2048, dtype=torch.bfloat16)
    ours.product(x, matrix(bits, 1536, 2048, 128), crowds)
    check(compiler, tmp_path, products=True)


@pytest.mark.parametrize(
    ("kv_heads", "dim", "attention"),
    [(HEADS, 192, {}), (KV_HEADS, 256, {}), (KV_HEADS, 256, {"window": 4096, "softcap": 50.0})],
    ids=["DeepSeek", "Gemma 3", "Gemma 2"],
)
@pytest.mark.parametrize("tiles", [0, 8])
def test_attention_of_wide_heads(compiler, ours, tmp_path, kv_heads, dim, attention, tiles):
    q = tensor(512, HEADS, dim, dtype=torch.bfloat16)
    cache = tensor(2, 4096, kv_heads, dim, dtype=torch.bfloat16).unbind(0)
    ours.attend(q, heads(kv_heads, dim, **attention), inputs(512, tiles), *cache)
    compiler.compiled[:] = compiler.compiled[:1]
    check(compiler, tmp_path, products=True)


@pytest.mark.parametrize(
    "attention", [{}, {"window": 4096, "softcap": 50.0}, {"sinks": tensor(HEADS)}]
)
@pytest.mark.parametrize("tiles", [0, 8])
def test_attention(compiler, ours, tmp_path, attention, tiles):
    q = tensor(512, HEADS, DIM, dtype=torch.bfloat16)
    cache = tensor(2, 4096, KV_HEADS, DIM, dtype=torch.bfloat16).unbind(0)
    ours.attend(q, heads(**attention), inputs(512, tiles), *cache)
    joined = [kernel for kernel in compiler.compiled if kernel.metadata.name == "join_parts"]
    compiler.compiled[:] = [kernel for kernel in compiler.compiled if kernel not in joined]
    check(compiler, tmp_path, products=True)


def test_the_rest(compiler, ours, tmp_path):
    x = tensor(64, HIDDEN)
    ours.add(x, x, tensor(HIDDEN), tensor(HIDDEN), 1e-5)
    ours.activate(tensor(64, 2 * INSIDE), "silu")
    check(compiler, tmp_path)
    cache = tensor(2, 4096, KV_HEADS, DIM, dtype=torch.bfloat16).unbind(0)
    ours.turn(tensor(64, (HEADS + 2 * KV_HEADS) * DIM), heads(), inputs(64), *cache)
    code = assembly(compiler.compiled[-1], tmp_path)
    assert not re.search(r"\b(LDL|STL)\b", code)
