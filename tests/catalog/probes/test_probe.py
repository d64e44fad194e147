import pytest

from minikin.catalog.probes.checks import CHECKS
from minikin.catalog.probes.client import Client
from minikin.catalog.probes.probe import probe
from tests.catalog.probes.fault_proxy import FAULTS


def outcomes(base_url):
    with Client(base_url) as client:
        evidence = probe(client, "fake", "host/fake", CHECKS)
    assert evidence.fingerprint == "fp_fake"
    return {result.capability: result for result in evidence.results}


def test_an_honest_server_gets_every_badge(proxy):
    wall, url = proxy
    wall.fault = None
    found = outcomes(url)
    assert {
        name: (r.outcome, r.reason) for name, r in found.items() if r.outcome != "verified"
    } == {}


@pytest.mark.parametrize("fault", FAULTS, ids=" ".join)
def test_one_fault_turns_exactly_one_badge_red(proxy, fault):
    wall, url = proxy
    wall.fault = fault
    found = outcomes(url)
    red = {name: (r.outcome, r.reason) for name, r in found.items() if r.outcome != "verified"}
    assert list(red) == [fault[0]], red
    assert red[fault[0]][0] in ("failed", "ignored"), red


def test_every_check_has_a_fault_that_it_finds():
    assert {capability for capability, _ in FAULTS} == set(CHECKS)
