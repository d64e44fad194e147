from __future__ import annotations

import numpy as np
import pytest

from minikin.engine.native.quantized import GROUP, IN_C, Blocks, regroup
from minikin.model_file.dequantize import LAYOUTS, dequantize
from minikin.model_file.gguf import GGMLType
from tests.engine.native.samples import numbers, packed_rows

PLAIN = {GGMLType.F32, GGMLType.F16, GGMLType.BF16}
QUANTIZED = [kind for kind in GGMLType if kind not in PLAIN]
FOUR_BITS = {
    GGMLType.Q4_0, GGMLType.Q4_1, GGMLType.Q4_K, GGMLType.IQ1_S, GGMLType.TQ1_0, GGMLType.TQ2_0,
    GGMLType.Q1_0,
}  # fmt: skip
ROUNDED = {
    GGMLType.Q4_K, GGMLType.Q5_K, GGMLType.IQ1_S, GGMLType.IQ1_M, GGMLType.IQ2_XXS,
    GGMLType.IQ3_XXS, GGMLType.IQ3_S, GGMLType.IQ4_XS,
}  # fmt: skip
REQUANTIZED = {GGMLType.Q2_K, GGMLType.Q6_K, GGMLType.IQ2_XS, GGMLType.IQ2_S, GGMLType.NVFP4}
OUT, WIDTH = 96, 1024


def exact(rows: np.ndarray, kind: GGMLType) -> np.ndarray:
    return dequantize(rows.reshape(-1), kind, (len(rows), WIDTH)).astype(np.float64)


def read(kind: GGMLType) -> Blocks:
    blocks = Blocks.stack([(packed_rows(kind), kind)])
    assert blocks is not None
    return blocks


def change(blocks: Blocks, values: np.ndarray) -> float:
    return float(np.linalg.norm(numbers(blocks) - values) / np.linalg.norm(values))


@pytest.mark.parametrize("kind", QUANTIZED)
def test_a_matrix_stays_what_it_was(kind: GGMLType) -> None:
    blocks = read(kind)

    most = 6e-3 if kind in REQUANTIZED else 1e-3 if kind in ROUNDED else 1e-7
    assert change(blocks, exact(packed_rows(kind), kind)) < most
    assert blocks.bits == (4 if kind in FOUR_BITS else 8)
    assert int(blocks.levels.max()) < 2**blocks.bits
    assert blocks.levels.shape == (OUT, WIDTH)
    assert blocks.scale.shape == blocks.minimum.shape == (OUT, WIDTH // GROUP)
    assert blocks.scale.dtype == blocks.minimum.dtype == np.float16


@pytest.mark.parametrize("kind", PLAIN)
def test_a_type_that_is_not_quantized_is_not_packed(kind: GGMLType) -> None:
    rows = np.ones((OUT, WIDTH * kind.block_bytes), dtype=np.uint8)

    assert Blocks.stack([(rows, kind)]) is None


def test_types_of_four_and_eight_bits_share_a_matrix() -> None:
    parts = [(packed_rows(kind, 32), kind) for kind in (GGMLType.Q4_K, GGMLType.Q6_K)]

    both = Blocks.stack(parts)

    assert both is not None
    assert both.bits == 8
    assert change(both, np.concatenate([exact(*part) for part in parts])) < 6e-3


def test_one_part_that_is_not_quantized_keeps_all_out() -> None:
    quantized = packed_rows(GGMLType.Q4_0), GGMLType.Q4_0
    plain = np.zeros((OUT, WIDTH * 4), dtype=np.uint8), GGMLType.F32

    assert Blocks.stack([quantized, plain]) is None


@pytest.mark.parametrize("d", [6e-8, np.inf, np.nan])
def test_scales_that_halves_cannot_hold_keep_a_matrix_out(d: float) -> None:
    # 6e-8 is the least half: scales of a few times that lose most of their digits.
    rows = packed_rows(GGMLType.Q6_K)
    rows.view(LAYOUTS[GGMLType.Q6_K])["d"] = d

    assert Blocks.stack([(rows, GGMLType.Q6_K)]) is None


@pytest.mark.parametrize(
    ("exponent", "kept_out"), [(104, False), (98, True), (140, False), (141, True), (255, True)]
)
def test_mxfp4_scales_that_halves_cannot_hold_keep_a_matrix_out(
    exponent: int, kept_out: bool
) -> None:
    rows = packed_rows(GGMLType.MXFP4)
    rows.view(LAYOUTS[GGMLType.MXFP4])["e"] = exponent

    with np.errstate(over="ignore"):
        values = exact(rows, GGMLType.MXFP4)
    read = Blocks.stack([(rows, GGMLType.MXFP4)])

    assert (read is None) == kept_out
    assert read is None or np.array_equal(numbers(read), values)


def test_one_scale_that_a_half_cannot_hold_keeps_a_matrix_out_wherever_it_is() -> None:
    rows = packed_rows(GGMLType.MXFP4, out=4096)
    rows.view(LAYOUTS[GGMLType.MXFP4])["e"][1000, 1] = 200  # where no sample is taken

    assert Blocks.stack([(rows, GGMLType.MXFP4)]) is None


def test_a_matrix_of_zeros_is_numbers() -> None:
    rows = np.zeros_like(packed_rows(GGMLType.Q6_K))

    blocks = Blocks.stack([(rows, GGMLType.Q6_K)])

    assert blocks is not None
    assert not numbers(blocks).any()


def test_every_q3_k_product_fits_its_level() -> None:
    rows = packed_rows(GGMLType.Q3_K)
    blocks = rows.view(LAYOUTS[GGMLType.Q3_K])
    blocks["scales"], blocks["q"], blocks["high"] = 0, 0, 0  # -32 times -4, the largest

    read = Blocks.stack([(rows, GGMLType.Q3_K)])

    assert read is not None
    assert np.array_equal(numbers(read), exact(rows, GGMLType.Q3_K))


def random_blocks(kind: GGMLType, count: int) -> np.ndarray:
    """Every bit is random, but scales are finite: half of them small, as those of models."""
    chance = np.random.default_rng(kind)
    blocks = chance.integers(0, 256, (count, kind.block_bytes), np.uint8).view(LAYOUTS[kind])[:, 0]
    for name in {"d", "m"} & {*(LAYOUTS[kind].names or ())}:
        exponents = chance.choice([0, 1, 4, 8, 12, 15], count).astype(np.uint16)
        bits = chance.integers(0, 1 << 10, count).astype(np.uint16)
        signs = chance.integers(0, 2, count).astype(np.uint16)
        blocks[name] = (signs << 15 | exponents << 10 | bits).view(np.float16)
    return blocks


@pytest.mark.parametrize("kind", sorted(IN_C), ids=lambda kind: kind.name)
def test_c_regroups_as_numpy_does_bit_for_bit(kernels, kind: GGMLType) -> None:
    blocks = random_blocks(kind, 1500)
    expected, found = regroup(blocks, kind), kernels.regroup(blocks, kind)
    assert expected is not None
    assert found is not None
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.view(f"u{one.itemsize}"), other.view(f"u{one.itemsize}"))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 65504])
@pytest.mark.parametrize("kind", sorted(IN_C), ids=lambda kind: kind.name)
def test_c_rejects_the_blocks_that_numpy_rejects(kernels, kind: GGMLType, value: float) -> None:
    blocks = random_blocks(kind, 700)
    blocks["d"][699] = value
    assert (kernels.regroup(blocks, kind) is None) == (regroup(blocks, kind) is None)
