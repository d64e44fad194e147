"""Two engines and two edges behind one address, as clients see them."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.api.test_oracle import ROWS, compare, rows
from tests.cluster.conftest import LOOK_SECONDS, START_SECONDS
from tests.patience import until
from tests.real_model import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.model]

CHAT = "/v1/chat/completions"
ENDLESS = {"logit_bias": {"0": -100, "2": -100}}
"""Bans the tokens that end an answer."""
LONG = {"seed": 7, "temperature": 1, "max_tokens": 300, **ENDLESS}


def body(text="What is the capital of France?", **options):
    messages = [{"role": "user", "content": text}]
    return {"model": "gpt-4.1-mini", "messages": messages, "temperature": 0} | options


def ask(cluster, *args, **options):
    answer = httpx.post(cluster.url + CHAT, json=body(*args, **options), timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()


def lines(cluster, on_first=None, **options):
    """The events of a stream without the id and the times, as far as it comes."""
    asked = body(stream=True, stream_options={"include_usage": True}, **options)
    found = []
    with httpx.stream("POST", cluster.url + CHAT, json=asked, timeout=300) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found.append(line)
                if len(found) == 20 and on_first:
                    on_first()
    return found


def text_of(events):
    deltas = [json.loads(event[6:]) for event in events if event != "data: [DONE]"]
    return "".join(c["delta"].get("content") or "" for d in deltas for c in d.get("choices", ()))


@pytest.mark.skipif(not ROWS.exists(), reason="the recorded requests are not on this machine")
def test_every_recorded_request_is_answered_as_it_was(cluster):
    wrong = {}
    with httpx.Client(base_url=cluster.url, timeout=300) as client:
        for row in rows():
            answer = client.post(CHAT, json=row["request"])
            try:
                compare(answer, row)
            except AssertionError as difference:
                wrong[f"{row['key']} {row['name']}"] = str(difference)
    assert not wrong, json.dumps(wrong, indent=1)


def test_an_answer_has_one_request_id(cluster):
    answer = httpx.get(f"{cluster.url}/v1/models")
    assert len(answer.headers.get_list("x-request-id")) == 1


def test_each_edge_finds_what_another_one_stored(cluster):
    stored = ask(cluster, max_tokens=5, store=True)
    first = httpx.post(
        f"{cluster.url}/v1/responses",
        json={"model": "gpt-4.1-mini", "input": "Hi", "max_output_tokens": 16},
        timeout=120,
    ).json()
    for _ in range(6):  # each by a connection of its own
        found = httpx.get(f"{cluster.url}{CHAT}/{stored['id']}")
        assert found.json()["choices"] == stored["choices"]
        chained = {
            "model": "gpt-4.1-mini", "input": "More", "max_output_tokens": 16,
            "previous_response_id": first["id"],
        }  # fmt: skip
        answer = httpx.post(f"{cluster.url}/v1/responses", json=chained, timeout=120)
        assert answer.status_code == 200, answer.text


def test_the_turns_of_a_conversation_meet_the_same_engine(cluster):
    """16 conversations of 5 turns, 4 at a time: nearly all of their earlier turns is cached."""

    def conversation(number):
        system = f"You are assistant {number}. " + f"Rule {number}: be brief and clear. " * 300
        messages = [{"role": "system", "content": system}]
        cached, prompts = [], []
        for turn in range(5):
            messages.append({"role": "user", "content": f"Question {turn}, please."})
            answer = ask(cluster, messages=messages, max_tokens=16)
            messages.append(answer["choices"][0]["message"])
            cached.append(answer["usage"]["prompt_tokens_details"]["cached_tokens"])
            prompts.append(answer["usage"]["prompt_tokens"])
        return sum(cached[1:]), sum(prompts[1:])

    with ThreadPoolExecutor(4) as pool:
        cached, prompts = zip(*pool.map(conversation, range(16)), strict=True)
    assert sum(cached) / sum(prompts) >= 0.94


def test_a_killed_edge_ends_its_streams_only(cluster):
    with ThreadPoolExecutor(4) as pool:
        started = threading.Barrier(5)
        asked = [pool.submit(_until_lost, cluster, started) for _ in range(4)]
        started.wait(120)
        killed = cluster.busiest("edge")
        os.kill(killed, signal.SIGKILL)
        ends = [future.result() for future in asked]
    assert "cut off" in ends
    assert set(ends) <= {"whole", "cut off"}
    wait(lambda: len(cluster.pids("edge")) == 2 and killed not in cluster.pids("edge"))
    assert "Paris" in ask(cluster, max_tokens=20)["choices"][0]["message"]["content"]


def _until_lost(cluster, started):
    """Whether a stream came whole, or was cut off, which every client notices."""
    try:
        events = lines(cluster, started.wait, **LONG | {"max_tokens": 1_000})
    except httpx.RemoteProtocolError:
        return "cut off"
    assert events[-1] == "data: [DONE]"
    return "whole"


def wait(condition):
    until(condition, START_SECONDS, pause=LOOK_SECONDS)


def settled(cluster):
    """Wait until two replicas of each kind run."""
    wait(lambda: len(cluster.pids("edge")) == len(cluster.pids("engine")) == 2)


def together(cluster, count, during, **options):
    """The events of so many streams of different conversations. `during` runs in their middle."""
    started = threading.Barrier(count + 1)
    with ThreadPoolExecutor(count) as pool:
        asked = [
            pool.submit(lines, cluster, started.wait, text=f"Tell me about {number}.", **options)
            for number in range(count)
        ]
        started.wait(240)
        during()
        return [future.result() for future in asked]


def summary(events):
    """Text, log probabilities and usage of a stream. It must have ended well."""
    assert events[-1] == "data: [DONE]", events[-1]
    chunks = [json.loads(event[6:]) for event in events[:-1]]
    entries = [
        entry
        for chunk in chunks
        for choice in chunk["choices"]
        for entry in (choice["logprobs"] or {}).get("content") or ()
    ]
    return text_of(events), entries, chunks[-1]["usage"]


def test_another_engine_continues_the_answers_of_a_killed_one(cluster):
    options = LONG | {"logprobs": True, "top_logprobs": 2}
    settled(cluster)
    undisturbed = [summary(events) for events in together(cluster, 6, lambda: None, **options)]
    kill = lambda: os.kill(cluster.busiest("engine"), signal.SIGKILL)  # noqa: E731
    events = together(cluster, 6, kill, **options)
    assert [summary(those) for those in events] == undisturbed


def test_an_error_ends_the_streams_when_all_engines_are_killed(cluster):
    """It comes long before new engines are ready."""
    settled(cluster)
    killed = []

    def kill():
        killed.extend(cluster.pids("engine"))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    for events in together(cluster, 4, kill, **LONG | {"max_tokens": 2_000}):
        assert json.loads(events[-1][6:])["error"]["type"] == "server_error"
    wait(lambda: not {*killed} & {*cluster.pids("engine")})
    settled(cluster)
    assert "Paris" in ask(cluster, max_tokens=20)["choices"][0]["message"]["content"]


def test_an_update_replaces_all_replicas_and_loses_nothing(cluster):
    settled(cluster)
    before = {*cluster.pids("edge"), *cluster.pids("engine")}
    over = threading.Event()

    def probe():
        answers = []
        while not over.wait(0.3):
            answers.append(httpx.get(f"{cluster.url}/v1/models", timeout=60).status_code)
        return answers

    with ThreadPoolExecutor(1) as pool:
        probes = pool.submit(probe)
        try:
            update = lambda: cluster.update("--max-running", "40", "--max-queued", "70")  # noqa: E731
            streams = together(cluster, 8, update, **LONG)
        finally:
            over.set()
    assert all(events[-1] == "data: [DONE]" for events in streams)
    assert {*probes.result()} == {200}
    assert not before & {*cluster.pids("edge"), *cluster.pids("engine")}


def test_the_file_for_ray_serve_deploys_the_same(cluster, tmp_path):
    settled(cluster)
    before = {*cluster.pids("edge"), *cluster.pids("engine")}
    cluster.deploy(ROOT / "deploy" / "serve.yaml", tmp_path)
    settled(cluster)
    wait(lambda: not before & {*cluster.pids("edge"), *cluster.pids("engine")})
    assert "Paris" in ask(cluster, max_tokens=20)["choices"][0]["message"]["content"]
