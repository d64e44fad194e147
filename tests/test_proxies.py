"""HAProxy and nginx with the files of deploy/, before two servers with a script."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import httpx
import pytest

from minikin.errors import Overloaded
from tests.fakes import ScriptedEngine
from tests.patience import until
from tests.proxies import PROXIES, running_proxy

CHAT = "/v1/chat/completions"
PAUSE = 0.05


class Pair:
    """Two servers behind a proxy."""

    def __init__(self, url, servers):
        self.url = url
        self.servers = servers

    def ask(self, headers=None, **body):
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]} | body
        return httpx.post(self.url + CHAT, json=body, headers=headers)

    def stream(self):
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        return httpx.stream("POST", self.url + CHAT, json=body)

    @property
    def counts(self):
        return [len(server.engine.requests) for server in self.servers]


@contextmanager
def behind(proxy, servers, folder, **how):
    """The servers behind a proxy."""
    with running_proxy(proxy, [server.url for server in servers], folder, **how) as url:
        yield Pair(url, servers)


@pytest.fixture(params=PROXIES)
def pair(request, serve, tmp_path):
    """Each proxy before two servers that answer with 20 tokens in a second."""
    servers = [serve(ScriptedEngine(tokens=["a"] * 20, pause=PAUSE)) for _ in range(2)]
    with behind(request.param, servers, tmp_path) as pair:
        yield pair


@pytest.fixture(params=PROXIES)
def sticky(request, serve, tmp_path):
    """Each proxy before two servers, which keeps a conversation on its server at any load."""
    servers = [serve(ScriptedEngine()) for _ in range(2)]
    with behind(request.param, servers, tmp_path, spreads=False) as pair:
        yield pair


@pytest.fixture
def haproxy(serve, tmp_path):
    servers = [serve(ScriptedEngine()) for _ in range(2)]
    with behind("haproxy", servers, tmp_path, spreads=False) as pair:
        yield pair


def test_a_client_that_sends_the_session_back_meets_the_same_server(sticky):
    for turn in range(5):
        hello = [{"role": "user", "content": f"conversation {turn}"}]
        session = sticky.ask(messages=hello, max_tokens=1).headers["x-session-id"]
        before = sticky.counts
        for _ in range(2):
            sticky.ask({"x-session-id": session}, messages=hello, max_tokens=1)
        assert sorted(now - then for now, then in zip(sticky.counts, before, strict=True)) == [0, 2]


def conversation(number, turns):
    system = {"role": "system", "content": "You are helpful."}
    messages = [system, {"role": "user", "content": f"This is conversation {number}"}]
    for _ in range(turns):
        messages += [{"role": "assistant", "content": "Yes"}, {"role": "user", "content": "And?"}]
    return messages


@pytest.mark.parametrize("as_parts", [False, True])
def test_haproxy_finds_the_conversation_in_the_body(haproxy, as_parts):
    used = set()
    for number in range(12):
        before = haproxy.counts
        for turns in range(3):
            messages = conversation(number, turns)
            if as_parts:
                messages = messages[1:]
                content = messages[0]["content"]
                messages[0]["content"] = [{"type": "text", "text": content}]
            assert haproxy.ask(messages=messages).status_code == 200
        added = [now - then for now, then in zip(haproxy.counts, before, strict=True)]
        assert sorted(added) == [0, 3]
        used.add(added.index(3))
    assert used == {0, 1}


def test_haproxy_follows_prompt_cache_key(haproxy):
    for number in range(4):
        haproxy.ask(messages=conversation(number, 0), prompt_cache_key="tenant")
    assert sorted(haproxy.counts) == [0, 4]


def test_a_long_conversation_comes_through(haproxy):
    long = [*conversation(0, 0), {"role": "assistant", "content": "word " * 100_000}]
    answer = haproxy.ask(messages=long)
    assert answer.json()["error"]["code"] == "context_length_exceeded"


def test_tokens_do_not_come_in_bursts(pair):
    arrivals = []
    with pair.stream() as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                arrivals.append(time.monotonic())
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert sum(gap > PAUSE / 2 for gap in gaps) > len(gaps) / 2


def test_a_request_that_one_server_refuses_is_answered_by_the_other(pair):
    refusing, other = (server.engine for server in pair.servers)
    refusing.fail_after, refusing.failure = 0, Overloaded("The queue is full.")
    for number in range(4):
        assert pair.ask(messages=conversation(number, 0), max_tokens=1).status_code == 200
    assert len(other.finished) == 4


def test_a_server_that_drains_loses_no_stream(pair):
    with pair.stream() as answer:
        lines = answer.iter_lines()
        next(lines)
        serving = pair.servers[pair.counts.index(1)]
        serving.service.draining = True
        for number in range(6):
            assert pair.ask(messages=conversation(number, 0), max_tokens=1).status_code == 200
        assert list(lines)[-2:] == ["data: [DONE]", ""]
    assert len(serving.engine.requests) == 1


def test_a_server_that_ended_is_left_out(pair):
    pair.servers[0].stop()
    for number in range(6):
        assert pair.ask(messages=conversation(number, 0), max_tokens=1).status_code == 200
    assert pair.counts == [0, 6]


def test_a_client_that_leaves_frees_its_place(pair):
    with pair.stream() as answer:
        next(answer.iter_lines())
    until(lambda: sum(len(server.engine.cancelled) for server in pair.servers) == 1)
    until(lambda: all(server.service.in_flight == 0 for server in pair.servers))


def test_many_streams_at_once_spread_and_all_end(pair):
    def whole(number):
        body = {"model": "tiny", "messages": conversation(number, 0), "stream": True}
        with httpx.stream("POST", pair.url + CHAT, json=body) as answer:
            return list(answer.iter_lines())[-2]

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(whole, range(16))) == {"data: [DONE]"}
