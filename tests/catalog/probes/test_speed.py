import pytest

from minikin.catalog.facts.evidence import Evidence, Speed, agrees, carried
from minikin.catalog.probes.checks import CHECKS
from minikin.catalog.probes.client import Client
from minikin.catalog.probes.probe import Asker, Failed, probe
from minikin.catalog.probes.speed import measure
from tests.catalog.probes.fake_server import TOKEN_SECONDS


def test_the_speed_is_that_of_the_server(honest):
    with Client(f"{honest}/v1") as client:
        speed = measure(Asker(client, "fake"))
        assert client.tape.exchanges[1:] == []  # only the request that finds the settings
    assert 0 < speed.tokens_per_second < 1.1 / TOKEN_SECONDS
    assert 0 < speed.tokens_per_second_of_8 < 8.8 / TOKEN_SECONDS
    assert speed.first_token_ms >= 1000 * TOKEN_SECONDS


def test_the_measure_adds_nothing_to_the_bodies_of_the_last_check(honest):
    bodies = {}
    with Client(f"{honest}/v1") as client:
        found = probe(client, "fake", "host/fake", {"text": CHECKS["text"]}, bodies=bodies)
        measure(Asker(client, "fake"))
    assert agrees(found.results[0], bodies["text"])


def test_without_a_stream_there_is_no_speed(proxy, monkeypatch):
    wall, url = proxy
    monkeypatch.setattr(wall, "fault", ("streaming", "dropped"))
    with Client(url) as client, pytest.raises(Failed, match="does not stream"):
        measure(Asker(client, "fake"))


def test_a_probe_without_a_measure_keeps_the_last_speed():
    speed = Speed(100, 20.0, 90.0, "2026-11-20T00:00:00Z")
    old = Evidence("a/b", "http://x", "b", None, "minikin", [], speed)
    new = Evidence("a/b", "http://x", "b", None, "minikin", [])
    assert carried(old, new).speed == speed
    assert carried(None, new).speed is None
