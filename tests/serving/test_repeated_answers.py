"""Seeded answers repeat, to the last digit of their log probabilities, in any company."""

import random

import pytest

from bench.determinism import Requests, alone, run
from minikin.config import EngineSettings
from minikin.constrain.masks import Masks
from minikin.engine.loader import load_engine

pytestmark = pytest.mark.model


@pytest.mark.timeout(900)
@pytest.mark.parametrize("trials", [8, pytest.param(16, marks=pytest.mark.thorough)])
def test_seeded_answers_repeat_beside_others_and_with_cold_and_warm_caches(model_path, trials):
    asked, differing = run(model_path, trials=trials, seed=100 + trials)
    assert asked.total() == trials
    assert not differing.total(), differing


def test_seeded_answers_repeat_after_a_restart_and_with_other_threads(model_path):
    def answers(threads):
        settings = EngineSettings(model=model_path, context_length=1024, threads=threads)
        engine, _ = load_engine(settings, Masks)
        requests = Requests(engine, random.Random(5))
        return [alone(engine, requests.one()) for _ in range(4)]

    assert answers(2) == answers(1)
