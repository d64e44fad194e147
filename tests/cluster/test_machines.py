"""Two machines: the link between them is cut and healed.

The first has the head of a Ray cluster, an edge and an engine, and the second one an engine.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.cluster.conftest import LOOK_SECONDS
from tests.cluster.machines import Machine, two_machines
from tests.cluster.test_cluster import LONG, lines, summary
from tests.patience import until

pytestmark = [pytest.mark.cluster, pytest.mark.model]

FIRST, SECOND = "10.77.0.1", "10.77.0.2"
PORT = 8017
PATIENCE = 300.0
BRIEF = 3.0
"""Seconds of a cut that Ray does not notice."""
STREAMS = 6
ENGINE, EDGE = "minikin.engine_main", "ray::ServeReplica:minikin:edge"
"""What command lines of the two kinds of processes contain."""


class Client:
    """Asks from the first machine."""

    url = f"http://{FIRST}:{PORT}"

    def __init__(self, machine: Machine) -> None:
        self._threads = ThreadPoolExecutor(STREAMS, initializer=machine.enter)

    def answers(self) -> bool:
        def get():
            try:
                return httpx.get(f"{self.url}/v1/models").status_code == 200
            except httpx.TransportError:
                return False

        return self._threads.submit(get).result()

    def ask(self, when_all_run=lambda: None) -> list:
        """The summaries of streams of different conversations."""
        running = []

        def begun():
            running.append(True)
            if len(running) == STREAMS:
                when_all_run()

        asked = [
            self._threads.submit(lines, self, begun, text=f"Tell me about {number}.", **LONG)
            for number in range(STREAMS)
        ]
        return [summary(future.result()) for future in asked]


@pytest.fixture
def machines(tmp_path):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: make test-cluster installs it")
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("only root can make network namespaces, with iproute2")
    with two_machines((FIRST, SECOND), tmp_path) as pair:
        yield pair


def wait(condition):
    until(condition, PATIENCE, pause=LOOK_SECONDS)


def test_the_answers_of_an_engine_go_on_when_the_link_to_its_machine_is_cut(machines, tmp_path):
    first, second = machines
    first.start_ray("--head", "--include-dashboard", "false")
    deploying = first.start(
        "minikin", "cluster", "--address", f"{FIRST}:6379", "--host", "0.0.0.0", "--port",
        str(PORT), "--replicas", "2", "--threads", "1", "--database", f"{tmp_path}/store",
    )  # fmt: skip
    wait(lambda: (first.pids(ENGINE) and first.pids(EDGE)) or deploying.poll())
    assert not deploying.poll(), first.printed
    join = ("--address", f"{FIRST}:6379")
    second.start_ray(*join)
    assert deploying.wait(PATIENCE) == 0, first.printed
    client = Client(first)
    wait(client.answers)
    undisturbed = client.ask()

    def briefly():
        second.cut()
        time.sleep(BRIEF)
        second.heal()

    assert client.ask(briefly) == undisturbed
    assert client.ask(second.cut) == undisturbed
    second.kill()
    second.heal()
    second.start_ray(*join)
    wait(lambda: second.pids(ENGINE))
    assert client.ask() == undisturbed
