import json
import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from minikin.catalog.probes.checks import CHECKS
from minikin.catalog.probes.client import Client
from minikin.catalog.probes.probe import probe
from tests.catalog.probes.fake_server import NEEDLE, error
from tests.catalog.probes.faults import FAULTS


def outcomes(base_url, names=tuple(CHECKS)):
    with Client(base_url) as client:
        checks = {name: CHECKS[name] for name in names}
        evidence = probe(client, "thinker", "host/thinker", checks)
    assert evidence.fingerprint == "fp_fake"
    return {result.capability: result for result in evidence.results}


def outcomes_at_once(base_url, parts=4):
    """The same in a third of the time: a check mostly waits. The one that takes times is alone."""
    timed = outcomes(base_url, ["streaming"])
    others = [name for name in CHECKS if name not in timed]
    with ThreadPoolExecutor(parts) as pool:
        found = pool.map(lambda at: outcomes(base_url, others[at::parts]), range(parts))
        return timed | {name: result for part in found for name, result in part.items()}


def test_an_honest_server_gets_every_badge(proxy):
    wall, url = proxy
    wall.fault = None
    found = outcomes_at_once(url)
    assert {
        name: (r.outcome, r.reason) for name, r in found.items() if r.outcome != "verified"
    } == {}


OPTIONAL = [
    "input_image", "input_audio", "input_pdf", "output_audio", "attachments",
    "reasoning_effort", "include_reasoning", "verbosity", "top_k", "min_p", "typical_p", "tfs",
    "mirostat", "mirostat_tau", "repetition_penalty", "no_repeat_ngram_size", "bad_words",
    "allowed_tokens", "stop_token_ids", "max_output_tokens", "echo", "batch",
]  # fmt: skip


def test_what_a_server_refuses_beyond_chat_is_absent_and_not_wrong(serve):
    """As OpenAI's gpt-4.1-mini does: it refuses unknown fields, kinds of parts and routes."""
    known = {"model", "messages", "max_tokens", "temperature", "top_p", "seed"}

    async def chat(request):
        sent = json.loads(await request.body())
        parts = [m["content"] for m in sent["messages"] if isinstance(m["content"], list)]
        if parts or sent.keys() - known:
            return error(400, "Unrecognized request argument supplied")
        choice = {
            "index": 0,
            "message": {"content": "one two one two one two"},
            "finish_reason": "length",
        }
        return JSONResponse({"choices": [choice], "usage": {}})

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    with serve(app) as url, Client(f"{url}/v1") as client:
        found = probe(client, "fake", "host/fake", {name: CHECKS[name] for name in OPTIONAL})
    assert {r.capability: r.outcome for r in found.results} == dict.fromkeys(OPTIONAL, "absent")
    assert found.counted == []


@pytest.mark.parametrize(("reads", "outcome"), [(True, "inconclusive"), (False, "failed")])
def test_a_model_that_repeats_no_code_of_a_long_prompt_is_not_a_server_that_cuts_it(
    serve, reads, outcome
):
    async def chat(request):
        sent = json.loads(await request.body())
        prompt = sent["messages"][0]["content"]
        is_short = len(prompt) < 1_000
        code = NEEDLE.search(prompt)[1] if "harbour" in prompt else "0"
        entry = {"token": "x", "logprob": -float(code) if reads else -1.0}
        choice = {"index": 0, "finish_reason": "stop", "logprobs": {"content": [entry]}}
        choice["message"] = {"role": "assistant", "content": code if is_short else "the wind"}
        usage = {"prompt_tokens": len(prompt.split())}
        return JSONResponse({"choices": [choice], "usage": usage})

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    with serve(app) as url, Client(f"{url}/v1") as client:
        checks = {"long_context": CHECKS["long_context"]}
        (result,) = probe(client, "fake", "host/fake", checks).results
    assert (result.outcome, "0%, 25%, 50%, 75%, 100%" in result.reason) == (outcome, True)


def weighed():
    """The faults: a few, one of each check (`thorough`), and all others (`slow`)."""
    seen = set()
    for number, fault in enumerate(FAULTS):
        mark = pytest.mark.slow if fault[0] in seen else pytest.mark.thorough
        seen.add(fault[0])
        yield pytest.param(fault, marks=mark if number % 24 else (), id=" ".join(fault))


@pytest.mark.parametrize("fault", [*weighed()])
def test_one_fault_turns_exactly_one_badge_red(proxy, fault):
    wall, url = proxy
    wall.fault = fault
    found = outcomes_at_once(url)
    red = {
        name: (r.outcome, r.reason)
        for name, r in found.items()
        if r.outcome in ("failed", "ignored")
    }
    assert red.keys() == {fault[0], *FAULTS[fault].get("also", ())}, red


@pytest.mark.parametrize(
    "run", [0, *(pytest.param(run, marks=pytest.mark.thorough) for run in (1, 2))]
)
def test_noise_in_greedy_answers_turns_no_badge(proxy, run):
    wall, url = proxy
    wall.fault, wall.noise = None, random.Random(run)
    try:
        found = outcomes(url)
    finally:
        wall.noise = None
    red = {name: r.reason for name, r in found.items() if r.outcome != "verified"}
    assert red == {}


def test_a_first_answer_that_differs_by_chance_is_not_the_only_prediction(proxy):
    class Once(random.Random):
        left = 1

        def random(self):
            self.left -= 1
            return 0.0 if self.left >= 0 else 1.0

    wall, url = proxy
    wall.fault, wall.noise = None, Once()
    try:
        with Client(url) as client:
            checks = {"prediction": CHECKS["prediction"]}
            # The request that finds the settings has the first chance, and the answer the second.
            wall.noise.left = 2
            (result,) = probe(client, "fake", "host/fake", checks).results
    finally:
        wall.noise = None
    assert result.outcome == "verified", result.reason


class Thinker:
    """A server whose model thinks before each answer, in the ways of several hosts."""

    def __init__(self, upstream, limit="max_tokens", efforts=(), tokens=200):
        self.upstream, self.limit, self.efforts, self.tokens = upstream, limit, efforts, tokens

    def __call__(self, sent):
        other = {"max_tokens", "max_completion_tokens"} - {self.limit}
        if sent.keys() & other:
            return error(400, f"Unsupported parameter: {other}. Use {self.limit} instead.")
        effort = sent.pop("reasoning_effort", None)
        if effort is not None and effort not in self.efforts:
            return error(400, f"Unsupported value: {effort}")
        allowed = sent.pop(self.limit, 10_000)
        thought = 0 if effort == "none" else min(self.tokens, allowed)
        sent["max_tokens"] = max(min(allowed - thought, 40), 1)
        reply = httpx.post(self.upstream, json=sent, timeout=60, trust_env=False)
        body = reply.json()
        if reply.status_code != 200:
            return JSONResponse(body, reply.status_code)
        if thought:
            body["choices"][0]["message"]["reasoning_content"] = "Hmm. " * thought
            body["usage"]["completion_tokens_details"]["reasoning_tokens"] = thought
        if thought == allowed:
            body["choices"][0] |= {"finish_reason": "length"}
            body["choices"][0]["message"] |= {"content": "", "tool_calls": None}
        return JSONResponse(body)

    def app(self):
        async def chat(request):
            sent = json.loads(await request.body())
            sent.pop("stream", None)
            return await to_thread.run_sync(self, sent)

        return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


PLAIN = ("text", "structured_outputs", "format_response", "tools", "tool_choice", "stop", "seed")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"limit": "max_completion_tokens"},
        {"efforts": ("none", "low")},
        {"limit": "max_completion_tokens", "efforts": ("minimal", "low")},
    ],
    ids=str,
)
def test_a_model_that_thinks_first_gets_its_badges(honest, serve, settings):
    thinker = Thinker(f"{honest}/v1/chat/completions", **settings)
    checks = {name: CHECKS[name] for name in PLAIN}
    with serve(thinker.app()) as url, Client(f"{url}/v1") as client:
        found = probe(client, "fake", "host/fake", checks)
    red = {r.capability: r.reason for r in found.results if r.outcome != "verified"}
    assert red == {}


def test_only_thoughts_are_no_failure(honest, serve):
    thinker = Thinker(f"{honest}/v1/chat/completions", tokens=100_000)
    checks = {name: CHECKS[name] for name in PLAIN}
    with serve(thinker.app()) as url, Client(f"{url}/v1") as client:
        found = probe(client, "fake", "host/fake", checks)
    assert {r.outcome for r in found.results} == {"inconclusive"}
    assert "only thoughts" in found.results[0].reason


def test_every_check_has_a_fault_that_it_finds():
    assert {capability for capability, _ in FAULTS} == set(CHECKS)


def test_a_slow_plain_answer_does_not_hide_a_stream_that_was_computed_first(proxy):
    wall, url = proxy
    # Two requests find the settings.
    wall.fault, wall.pauses = ("streaming", "computed first"), [0.0, 0.0, 0.5]
    with Client(url) as client:
        checks = {"streaming": CHECKS["streaming"]}
        (result,) = probe(client, "thinker", "host/thinker", checks).results
    assert wall.pauses == []
    assert result.outcome == "failed", result.reason
