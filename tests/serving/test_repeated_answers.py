"""Seeded answers repeat, to the last digit of their log probabilities, in any company."""

import pytest

from bench.determinism import run

pytestmark = pytest.mark.model


@pytest.mark.timeout(900)
def test_seeded_answers_repeat_beside_others_and_with_cold_and_warm_caches(model_path):
    asked, differing = run(model_path, trials=24, seed=100)
    assert asked.total() == 24
    assert not differing.total(), differing
