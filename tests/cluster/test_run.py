"""How many engines there are, and what each needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikin.cluster.run import check_host, scale
from minikin.config import ClusterSettings, EngineSettings
from minikin.errors import SetupError

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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "::1"])
def test_several_machines_need_a_host_that_each_has(host):
    check_host(host, 1)
    with pytest.raises(SetupError, match=r"Set --host 0\.0\.0\.0"):
        check_host(host, 2)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_several_machines_can_listen_on_all_addresses(host):
    check_host(host, 2)
