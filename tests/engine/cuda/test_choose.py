from __future__ import annotations

import numpy as np
import pytest
import torch

from minikin.engine.cuda.choose import CudaChooser, Kind, Limits
from minikin.engine.model.native_decoder import NativeChooser
from minikin.engine.native.build import load_library
from minikin.engine.native.draw import Draw
from minikin.engine.native.kernels import Kernels


def cases(count):
    """Logits and draws of all kinds."""
    rng = np.random.default_rng(3)
    logits = (rng.standard_normal((count, 3000)) * 4).astype(np.float32)
    logits[::5] = np.round(logits[::5])  # many are equal
    kinds = [
        {"temperature": 0.0}, {"temperature": 1.0}, {"temperature": 0.3, "top_p": 0.8},
        {"temperature": 1.5, "top_k": 7}, {"temperature": 1.0, "min_p": 0.05},
        {"temperature": 2.0, "top_p": 0.95, "top_k": 50, "min_p": 0.01}, {"temperature": 1e-5},
    ]  # fmt: skip
    return logits, [Draw(**kinds[i % len(kinds)], point=rng.random()) for i in range(count)]


def test_draws_are_those_of_the_cpu():
    if (library := load_library()) is None:
        pytest.skip("no gcc here")
    logits, draws = cases(700)
    expected = NativeChooser(Kernels(library, 1)).choose(logits.copy(), draws)
    found = CudaChooser().choose(torch.from_numpy(logits), draws)
    # A point very near the border of two tokens can fall to the other side.
    assert (found != expected).sum() <= 1


def test_a_row_is_chosen_alone_as_in_any_company():
    logits, draws = cases(70)
    together = CudaChooser().choose(torch.from_numpy(logits), draws)
    for row, draw in enumerate(draws):
        alone = CudaChooser().choose(torch.from_numpy(logits[row : row + 1]), [draw])
        assert alone == together[row]


def test_a_point_just_below_one_draws_the_last_token():
    draws = [Draw(1.0, point=1 - 2**-53), Draw(1.0, 0.9999, point=1 - 2**-53)]
    assert CudaChooser().choose(torch.zeros(2, 1000), draws).tolist() == [999, 999]


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_rows_that_are_no_numbers_have_no_token(spoilt):
    logits = torch.zeros(3, 50)
    logits[1, 7] = spoilt
    if spoilt < 0:
        logits[1] = spoilt
    draws = [Draw(1.0, 0.5, point=0.3)] * 3
    assert (CudaChooser().choose(logits, draws) < 0).tolist() == [False, True, False]


def test_only_what_rows_need_is_computed():
    assert Limits.of([Draw(0.0, 0.5)]).kind == Kind.GREEDY
    assert Limits.of([Draw(), Draw(1.0)]).kind == Kind.FREE
    assert Limits.of([Draw(1.0), Draw(1.0, top_k=1)]).kind == Kind.LIMITED
