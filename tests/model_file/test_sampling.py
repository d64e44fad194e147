from __future__ import annotations

import math

import numpy as np
import pytest

from minikin.model_file.sampling import as_metadata, recommended_sampling

QWEN = {
    "do_sample": True,
    "eos_token_id": [151645, 151643],
    "repetition_penalty": 1.05,
    "temperature": 0.7,
    "top_k": 20,
    "top_p": 0.8,
    "min_p": None,
}
FOLLOWED = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}


def test_a_folder_and_a_file_recommend_the_same_in_their_own_words():
    assert recommended_sampling(as_metadata(QWEN)) == FOLLOWED
    gguf = {
        "general.sampling.temp": float(np.float32(0.7)),
        "general.sampling.top_p": float(np.float32(0.8)),
        "general.sampling.top_k": 20,
        "general.sampling.min_p": 0,
        "general.sampling.penalty_repeat": float(np.float32(1.05)),
        "general.sampling.penalty_last_n": 64,
        "general.sampling.sequence": "edkypmxt",
    }
    assert recommended_sampling(gguf) == FOLLOWED | {"min_p": 0}


def test_a_model_that_recommends_nothing():
    assert recommended_sampling({"general.name": "Tiny"}) == {}
    assert as_metadata({"eos_token_id": 2}) == {}


@pytest.mark.parametrize("top_k", [0, -1, 0.0])
def test_a_limit_without_effect_is_ignored(top_k: float, caplog: pytest.LogCaptureFixture):
    assert recommended_sampling(as_metadata({"top_k": top_k, "top_p": 1})) == {"top_p": 1}
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", value) for value in (math.nan, math.inf, -0.5, 2.5, 1e9, 10**400)),
        *(("temperature", value) for value in (True, "0.7", "x" * 10**6, [0.7], {"x": 1})),
        ("temperature", np.zeros(1000)),
        ("top_k", np.zeros(1)),
        ("top_k", 2**31),
        ("top_k", 0.5),
        ("top_k", math.nan),
        ("top_p", 1.01),
        ("min_p", -0.01),
        ("repetition_penalty", 0),
        ("repetition_penalty", 1e300),
    ],
)
def test_an_invalid_value_is_ignored_and_logged(
    name: str, value: object, caplog: pytest.LogCaptureFixture
):
    metadata = as_metadata({name: value, "top_p": value if name == "top_p" else 0.9})
    assert name not in recommended_sampling(metadata)
    (said,) = caplog.messages
    assert name in said
    assert said.endswith("ignored")
    assert len(said) < 200
