"""How many engines there are, and what each needs."""

from __future__ import annotations

from pathlib import Path

from minikin.cluster.run import scale
from minikin.config import ClusterSettings, EngineSettings

ENGINE = EngineSettings(model=Path("model"), threads=4)
ON_GPU = EngineSettings(model=Path("model"), device="cuda", max_running=256)


def test_the_number_of_engines_is_fixed_without_a_maximum():
    assert scale(ENGINE, ClusterSettings(replicas=3)) == {
        "num_replicas": 3,
        "ray_actor_options": {"num_cpus": 4},
    }


def test_more_engines_start_when_each_has_more_requests_than_it_computes_at_once():
    found = scale(ON_GPU, ClusterSettings(replicas=0, max_replicas=4))
    growing = found["autoscaling_config"]
    assert (growing["min_replicas"], growing["max_replicas"]) == (0, 4)
    assert growing["target_ongoing_requests"] == ON_GPU.max_running


def test_an_engine_on_a_gpu_gets_one_of_its_own():
    assert scale(ON_GPU, ClusterSettings())["ray_actor_options"]["num_gpus"] == 1
