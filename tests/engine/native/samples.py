"""Random matrices, models and steps, for kernels to be compared on."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

from minikin.engine.batch import make_batch
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.layer_weights import AttentionWeights, LayerWeights
from minikin.engine.model.matrix import Matrix
from minikin.engine.model.native_decoder import NativeDecoder
from minikin.engine.model.native_layers import NativeLayers
from minikin.engine.model.rope import Rope
from minikin.engine.model.weights import Weights
from minikin.engine.native.contract import GROUP
from minikin.engine.native.kernels import Inputs, PackedMatrix
from minikin.engine.native.quantized import Blocks
from minikin.engine.span import Span
from minikin.model_file.dequantize import LAYOUTS
from minikin.model_file.gguf import GGMLType


def inputs(kernels, values, *, tiled):
    """Rows in one of the kernels' forms."""
    room = Inputs(kernels, *values.shape)
    form(room, kernels, tiled=tiled)
    kernels.write(np.ascontiguousarray(values), room)
    return room


def form(room, kernels, *, tiled):
    if tiled and not kernels.tiles:
        pytest.skip(f"{kernels.instructions} takes no tiles")
    room.split(0 if tiled else len(room.integers))


def matrix(kernels, outputs, width, bits, *, gated=False):
    """A random matrix, packed, and the same in float64; 16 bits are bfloat16."""
    if bits == 16:
        pairs = (normal(outputs, width) * 0.1).view(np.uint32) >> 16
        packed = PackedMatrix.pack(kernels, pairs.astype(np.uint16), gated=gated)
        return packed, (pairs << 16).view(np.float32).astype(np.float64)
    groups = (outputs, width // GROUP)
    blocks = Blocks(
        levels=np.random.randint(0, 2**bits, (outputs, width)).astype(np.uint8),
        scale=(np.random.rand(*groups) * 0.3 / 2**bits).astype(np.float16),
        minimum=(normal(*groups) * 0.1).astype(np.float16),
        bits=bits,
    )
    return PackedMatrix.pack(kernels, blocks, gated=gated), numbers(blocks)


def numbers(blocks):
    """The same in float64."""
    levels = blocks.levels.reshape(len(blocks.levels), -1, GROUP).astype(np.float64)
    scale, minimum = blocks.scale[..., None], blocks.minimum[..., None]
    return (levels * scale + minimum).reshape(blocks.levels.shape)


def normal(*shape):
    """Random float32 numbers around 0."""
    return np.random.randn(*shape).astype(np.float32)


def random_model(
    kernels, *, heads, kv_heads, dim, layers=2, hidden=64, feed_forward=96, window=None,
    activation="silu",
):  # fmt: skip
    """A decoder with random weights, and the weights in float32 for another."""
    rope = Rope(tuple(10_000.0 ** -(i / dim) for i in range(0, dim, 2)))
    architecture = Architecture(
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=dim,
        feed_forward=feed_forward, vocab_size=96, context_length=1024, norm_epsilon=1e-5,
        attention_scale=dim**-0.5, windows=(window,) * layers, ropes=(rope,) * layers,
        plain_epsilon=1e-5, attends=(True,) * layers, recurs=(False,) * layers,
        feeds=(True,) * layers, activation=activation,
    )  # fmt: skip

    def linear(outputs, width, *, bits=4, gated=False):
        packed, dense = matrix(kernels, outputs, width, bits, gated=gated)
        rows = dense.astype(np.float32).view(np.uint8)
        return Matrix(width, (), packed=packed), Matrix(width, [(rows, GGMLType.F32)])

    def layer():
        qkv = linear((heads + 2 * kv_heads) * dim, hidden)
        output = linear(hidden, heads * dim, bits=16)
        gated = architecture.has_gates
        gate_up = linear(feed_forward * (1 + gated), hidden, bits=16, gated=gated)
        down = linear(hidden, feed_forward)
        norms = {n: vector(hidden) for n in ("attention_norm", "feed_forward_norm")}
        return [
            LayerWeights(
                **norms,
                attention=AttentionWeights(qkv=qkv[i], output=output[i]),
                gate_up=gate_up[i],
                down=down[i],
            )
            for i in (0, 1)
        ]

    made = [layer() for _ in range(layers)]
    norm, head = vector(hidden), linear(96, hidden)
    weights = [
        Weights(
            embedding=head[i], head=head[i], norm=norm, layers=tuple(pair[i] for pair in made),
        )
        for i in (0, 1)
    ]  # fmt: skip
    assert NativeLayers.fit(architecture, weights[0])
    return NativeDecoder(architecture, weights[0], kernels), weights[1]


def vector(size):
    return (np.random.rand(size) + 0.5).astype(np.float32)


def forward(decoder, cache, spans, *, every_row=True):
    """The logits of a step, as an array of their own."""
    batch = make_batch(spans, every_row=every_row)
    hidden = decoder.hidden(batch, cache)[batch.sampled_rows]
    return np.asarray(decoder.logits(hidden, batch.few_sampled)).copy()


def room_for(decoder):
    """An empty cache."""
    return KVCache(decoder.architecture, 200 * BLOCK, 0)


def span(chance, start, length):
    """Some rows of a sequence that has blocks of its own."""
    blocks = next_blocks(-(-(start + length) // BLOCK))
    tokens = [chance.randrange(96) for _ in range(start + length)]
    sequence = SimpleNamespace(tokens=tokens, blocks=blocks)
    return Span(sequence, start, length)


taken = []


def next_blocks(count):
    """Unused blocks in random order."""
    fresh = [b for b in random.Random(len(taken)).sample(range(200), 200) if b not in taken]
    taken.extend(fresh[:count])
    return fresh[:count]


def packed_rows(kind, out=96, width=1024):
    """uint8 [out, bytes a row]: random levels, scales near those of a trained matrix."""
    random = np.random.default_rng(kind)
    count = out * width // kind.block_size
    blocks = random.integers(0, 256, count * kind.block_bytes, dtype=np.uint8).view(LAYOUTS[kind])
    if kind == GGMLType.MXFP4:
        blocks["e"] = random.integers(117, 123, count)
        return blocks.view(np.uint8).reshape(out, -1)
    if kind == GGMLType.NVFP4:
        blocks["e"] = random.integers(14, 22, blocks["e"].shape)
        return blocks.view(np.uint8).reshape(out, -1)
    if kind == GGMLType.IQ1_M:  # the four quarters of a float16 are in its scales
        d = random.uniform(0.002, 0.004, count).astype(np.float16).view(np.uint16)
        quarters = d[:, None] >> np.arange(0, 16, 4, dtype=np.uint16) << 12
        blocks["scales"] = blocks["scales"] & 0xFFF | quarters
        return blocks.view(np.uint8).reshape(out, -1)
    levels_a_scale = 16 if kind.block_size == 256 else 1
    blocks["d"] = random.uniform(0.002, 0.004, count) / levels_a_scale
    if "m" in (blocks.dtype.names or ()):
        # Blocks of 32 add their minimum, k-quants take theirs away.
        blocks["m"] = blocks["d"] * (8 if kind.block_size == 256 else -8)
    return blocks.view(np.uint8).reshape(out, -1)
