"""Short forms of `make overload`, `make kill-test` and `make soak`, without limits of time."""

import asyncio
import random

import pytest

from bench import kill, overload, soak
from bench.server import serving
from tests.patience import PATIENCE
from tests.real_model import default_model

pytestmark = pytest.mark.model


@pytest.mark.thorough
def test_after_kills_the_server_is_what_it_was(monkeypatch):
    monkeypatch.setattr(kill, "STREAMS", 4)
    report = kill.kill_workers(str(default_model()), 2, random.Random(2))
    assert report.kills == 2
    assert report.faults == []


def test_a_killed_server_leaves_no_process_behind(monkeypatch):
    monkeypatch.setattr(kill, "GONE_SECONDS", PATIENCE)  # other tests use the processors too
    report = kill.Report()
    kill.kill_servers(str(default_model()), 1, random.Random(3), report)
    assert report.faults == []


@pytest.mark.thorough
def test_too_many_requests_are_refused_and_nothing_hangs():
    options = ("--max-running", "4", "--max-queued", "8", "--no-access-log")
    with serving(str(default_model()), *options) as server:
        count = asyncio.run(overload.closed(server.url, 32, 3))
    assert count.tokens
    assert count.refused
    assert (count.hung, count.other, count.untruthful) == (0, [], 0)


@pytest.mark.thorough
def test_mixed_traffic_gets_only_expected_answers():
    with serving(str(default_model()), "--no-access-log") as server:
        samples = asyncio.run(soak.run(server, 8, 8))
    assert samples.statuses.keys() <= {*map(str, soak.EXPECTED), "left"}
    assert soak.report(samples, 8)
