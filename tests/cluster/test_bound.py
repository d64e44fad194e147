"""How many requests a replica may have."""

import pytest

from minikin.cluster.bound import bound


@pytest.mark.parametrize(
    ("requests", "replicas", "most"),
    [(0, 1, 8), (0, 2, 8), (11, 2, 8), (15, 2, 10), (16, 2, 11), (99, 4, 32), (7, 0, 10)],
)
def test_a_replica_takes_up_to_a_quarter_more_than_the_mean(requests, replicas, most):
    assert bound(requests, replicas) == most
