from __future__ import annotations

import gguf
import numpy as np
import pytest

from minikin.model_file.dequantize import LAYOUTS, dequantize
from minikin.model_file.gguf import GGMLType


def random_bytes(ggml_type: GGMLType, blocks: int) -> np.ndarray:
    nbytes = blocks * ggml_type.block_bytes
    return np.random.default_rng(ggml_type).integers(0, 256, nbytes, dtype=np.uint8)


@pytest.mark.parametrize("ggml_type", [kind for kind in GGMLType if kind != GGMLType.Q1_0])
def test_agrees_bit_for_bit_with_the_gguf_package(ggml_type: GGMLType) -> None:
    packed = random_bytes(ggml_type, blocks=24)
    shape = (3, 2, 4 * ggml_type.block_size)

    values = dequantize(packed, ggml_type, shape)

    with np.errstate(all="ignore"):
        reference = gguf.dequantize(
            packed.reshape(6, -1), gguf.GGMLQuantizationType(ggml_type)
        ).reshape(shape)
    assert values.dtype == np.float32
    same = values.view(np.uint32) == reference.view(np.uint32)
    assert (same | np.isnan(values) & np.isnan(reference)).all()
    assert np.isfinite(values).mean() > 0.5


def test_a_bit_of_q1_0_is_the_scale_or_its_opposite() -> None:
    # The gguf package cannot read this type.
    packed = np.zeros(18, dtype=np.uint8)
    packed[:2] = np.array([0.5], dtype=np.float16).view(np.uint8)
    packed[2], packed[17] = 0b101, 0x80

    values = dequantize(packed, GGMLType.Q1_0, (128,))

    assert np.flatnonzero(values == 0.5).tolist() == [0, 2, 127]
    assert (np.delete(values, [0, 2, 127]) == -0.5).all()


@pytest.mark.parametrize("ggml_type", GGMLType)
def test_block_sizes_are_those_of_ggml(ggml_type: GGMLType) -> None:
    reference = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(ggml_type)]

    assert (ggml_type.block_size, ggml_type.block_bytes) == reference
    assert LAYOUTS[ggml_type].itemsize == ggml_type.block_bytes


def test_a_tensor_longer_than_one_chunk_is_whole() -> None:
    packed = random_bytes(GGMLType.Q8_0, blocks=70_000)

    whole = dequantize(packed, GGMLType.Q8_0, (70_000, 32))
    tail = dequantize(packed[-34 * 10 :], GGMLType.Q8_0, (10, 32))

    assert np.array_equal(whole[-10:], tail, equal_nan=True)


def test_the_result_is_new_and_writable() -> None:
    packed = np.zeros(8, dtype=np.uint8)
    packed.flags.writeable = False

    values = dequantize(packed, GGMLType.F32, (2,))
    values[0] = 1

    assert not packed.any()


def test_a_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot reshape"):
        dequantize(random_bytes(GGMLType.Q4_0, blocks=3), GGMLType.Q4_0, (2, 32))
