"""What Prometheus reads of a server."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from minikin.engine.messages import EngineStats
from minikin.errors import EngineFailure
from tests.fakes import ScriptedEngine, live_server
from tests.patience import until
from tests.raw_http import HI, talk
from tests.real_model import ROOT

ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}
TINY = {"model_name": "tiny"}


def read(server, **headers):
    answer = httpx.get(f"{server.url}/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(server, name, **labels):
    return read(server).get((name, *sorted(labels.items())))


def ask(server, **more):
    return httpx.post(f"{server.url}/v1/chat/completions", json=ASK | more)


@pytest.mark.parametrize("stream", [False, True])
def test_answers_count_by_the_model_and_not_by_the_name_that_was_asked(stream):
    with live_server(ScriptedEngine(cached=3, restored=2)) as server:
        usage = ask(server).json()["usage"]
        assert ask(server, stream=stream).status_code == 200
        assert ask(server, max_tokens=2, n=2).status_code == 200
        found = read(server)

    def count(name, **labels):
        return found[name, *sorted((TINY | labels).items())]

    assert count("vllm:prompt_tokens_total") == 3 * usage["prompt_tokens"]
    assert count("vllm:generation_tokens_total") == 2 * usage["completion_tokens"] + 2 * 2
    assert count("vllm:prefix_cache_queries_total") == 4 * usage["prompt_tokens"]
    assert count("vllm:prefix_cache_hits_total") == 4 * 3
    assert count("minikin_prefix_store_hits_total") == 4 * 2
    assert count("vllm:request_success_total", finished_reason="stop") == 2
    assert count("vllm:request_success_total", finished_reason="length") == 2
    assert count("vllm:time_to_first_token_seconds_count") == 3
    assert count("vllm:e2e_request_latency_seconds_count") == 3
    assert count("vllm:inter_token_latency_seconds_count") == 4 + 4 + 2 * 2


def test_times_are_those_of_the_answer():
    with live_server(ScriptedEngine(tokens=["a"] * 4, pause=0.1)) as server:
        ask(server)
        first = value(server, "vllm:time_to_first_token_seconds_sum", **TINY)
        between = value(server, "vllm:inter_token_latency_seconds_sum", **TINY)
        whole = value(server, "vllm:e2e_request_latency_seconds_sum", **TINY)
    assert first >= 0.09
    assert between >= 0.28
    assert whole == pytest.approx(first + between, abs=0.001)


def test_the_state_of_the_engine_is_the_last_that_it_reported():
    engine = ScriptedEngine(stats=EngineStats(running=3, waiting=2, cache_used=0.25), restarts=4)
    with live_server(engine) as server:
        until(lambda: value(server, "minikin_model_loaded", **TINY) == 1)
        assert value(server, "vllm:num_requests_running", **TINY) == 3
        assert value(server, "vllm:num_requests_waiting", **TINY) == 2
        assert value(server, "vllm:kv_cache_usage_perc", **TINY) == 0.25
        assert value(server, "minikin_engine_restarts_total", **TINY) == 4
        assert value(server, "minikin_requests_in_flight") == 0


def test_a_model_that_loads_is_not_loaded():
    with live_server(ScriptedEngine(is_ready=False)) as server:
        assert value(server, "minikin_model_loaded", **TINY) == 0


def test_errors_count_by_status_and_no_label_comes_from_a_client():
    with live_server(ScriptedEngine()) as server:
        for name in ("evil-one", "evil-two"):
            assert ask(server, model=name).status_code == 404
            httpx.get(f"{server.url}/{name}")
        assert ask(server, n=0).status_code == 400
        assert value(server, "minikin_errors_total", status="404") == 4
        assert value(server, "minikin_errors_total", status="400") == 1
        assert "evil" not in httpx.get(f"{server.url}/metrics").text


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_fails_ends_an_answer_with_an_error(stream):
    engine = ScriptedEngine(fail_after=2, failure=EngineFailure("It stopped."))
    with live_server(engine) as server:
        ask(server, stream=stream)
        httpx.post(f"{server.url}/v1/responses", json={"model": "tiny", "input": "Hi"})
        labels = {**TINY, "finished_reason": "error"}
        assert value(server, "vllm:request_success_total", **labels) == 2


def test_a_client_that_leaves_ends_an_answer():
    with live_server(ScriptedEngine(tokens=["a"] * 10_000, pause=0.01)) as server:
        ask_stream = ASK | {"stream": True}
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=ask_stream) as stream:
            lines = stream.iter_lines()
            next(lines)
            assert value(server, "minikin_requests_in_flight") == 1
        labels = {**TINY, "finished_reason": "abort"}
        until(lambda: value(server, "vllm:request_success_total", **labels) == 1)


def test_they_need_a_key_if_the_server_has_keys():
    with live_server(ScriptedEngine(), api_keys=("key-of-the-operator",)) as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 401
        assert read(server, authorization="Bearer key-of-the-operator")


def test_the_dashboard_and_the_table_of_metrics_name_only_what_there_is():
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    shown = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    described = (ROOT / "docs" / "operating.md").read_text()
    with live_server(ScriptedEngine()) as server:
        ask(server)
        ask(server, n=0)
        there = {name for name, *_ in read(server)}
    named = set(re.findall(r"(?:vllm:|minikin_)\w+", shown))
    assert len(named) > 10
    assert named <= there
    table = set(re.findall(r"`((?:vllm:|minikin_)\w+)`", described))
    assert {name.removesuffix("_bucket") for name in named} <= table
    assert all(name in there or f"{name}_count" in there for name in table)


def test_two_servers_in_one_process_count_for_themselves():
    with live_server(ScriptedEngine()) as one, live_server(ScriptedEngine()) as other:
        ask(one)
        assert value(one, "vllm:prompt_tokens_total", **TINY)
        assert value(other, "vllm:prompt_tokens_total", **TINY) is None


def test_a_broken_head_and_a_client_that_left_count_as_errors():
    with live_server(ScriptedEngine(pause=5)) as server:
        assert talk(server, b"NONSENSE\r\n\r\n").startswith(b"HTTP/1.1 400")
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/chat/completions", json=HI, timeout=0.5)
        until(lambda: value(server, "minikin_errors_total", status="499") == 1)
        assert value(server, "minikin_errors_total", status="400") == 1
