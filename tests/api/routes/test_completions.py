"""POST /v1/completions, with the real `openai` client where an answer is expected."""

import json

import httpx
import openai
import pytest

from minikin.engine.messages import ChoiceUsage, Event, TokenEntry, TokenLogprob
from minikin.errors import EngineFailure
from tests.fakes import ScriptedEngine
from tests.patience import PATIENCE, until

MODEL = "gpt-4.1-mini"


@pytest.fixture(scope="module")
def server():
    from tests.fakes import live_server

    with live_server(ScriptedEngine(), extensions=True) as server:
        yield server


@pytest.fixture
def create(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        yield lambda **asked: client.completions.create(**({"model": MODEL} | asked))


def post(server, **body):
    body = {"model": MODEL, "prompt": "Once", **body}
    return httpx.post(f"{server.url}/v1/completions", json=body, timeout=PATIENCE)


def test_without_extensions_it_is_the_originals_404(shared_server):
    for body in ({}, {"prompt": 7}):
        answer = post(shared_server, **body)
        assert answer.status_code == 404
        assert answer.json()["error"] == {
            "message": "This is a chat model and not supported in the v1/completions endpoint. "
            "Did you mean to use v1/chat/completions?",
            "type": "invalid_request_error",
            "param": "model",
            "code": None,
        }


def test_a_header_has_the_extension_for_one_request(shared_server):
    answer = httpx.post(
        f"{shared_server.url}/v1/completions",
        json={"model": MODEL, "prompt": "Once"},
        headers={"x-minikin-extensions": "true"},
    )
    assert answer.json()["choices"][0]["text"] == "Hello there!"


def test_an_answer_has_the_recorded_keys_in_their_order(server):
    made = post(server).json()
    assert list(made) == ["id", "object", "created", "model", "choices", "usage"]
    assert made["id"].startswith("cmpl-")
    assert made["object"] == "text_completion"
    assert made["model"] == "gpt-4.1-mini-2025-04-14"
    assert made["choices"] == [
        {"text": "Hello there!", "index": 0, "logprobs": None, "finish_reason": "stop"}
    ]
    assert made["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}


def test_the_engine_gets_the_prompt_as_it_is(create, server):
    create(prompt="<|im_start|>Once")
    assert server.engine.requests[-1].prompt == list(b"<|im_start|>Once")
    assert server.engine.requests[-1].params.max_tokens == 16
    create(prompt=[256, 65], max_tokens=3, temperature=0.5, seed=4, stop=["x"])
    asked = server.engine.requests[-1]
    assert asked.prompt == [256, 65]
    params = asked.params
    assert (params.max_tokens, params.temperature, params.seed) == (3, 0.5, 4)
    assert params.stop == ("x",)


def test_choices_of_several_prompts_are_numbered_in_their_order(create):
    made = create(prompt=["One", "Two"], n=2, echo=True)
    assert [choice.index for choice in made.choices] == [0, 1, 2, 3]
    assert [choice.text[:3] for choice in made.choices] == ["One", "One", "Two", "Two"]
    assert all(choice.text.endswith("Hello there!") for choice in made.choices)
    assert made.usage.prompt_tokens == 6
    assert made.usage.completion_tokens == 20


def test_token_ids_are_echoed_as_text(create):
    made = create(prompt=[[79, 110], [72, 105]], echo=True)
    assert [choice.text for choice in made.choices] == ["OnHello there!", "HiHello there!"]


def test_log_probabilities_have_offsets_after_the_prompt(create):
    (choice,) = create(prompt="Once", logprobs=2).choices
    assert choice.logprobs.tokens == ["Hel", "lo", " there", "!"]
    assert choice.logprobs.token_logprobs == [-0.1] * 4
    assert choice.logprobs.top_logprobs[0] == {"Hel": -0.1, "x": -9.0}
    assert choice.logprobs.text_offset == [4, 7, 9, 15]
    (choice,) = create(prompt="Once", logprobs=0).choices
    assert choice.logprobs.tokens == ["Hel", "lo", " there", "!"]
    assert choice.logprobs.top_logprobs is None


def test_a_stream_has_the_same_answers(create):
    prompts = ["One", "Two"]
    chunks = list(
        create(prompt=prompts, n=2, echo=True, stream=True, stream_options={"include_usage": True})
    )
    texts = {}
    for chunk in chunks[:-1]:
        assert chunk.usage is None
        (choice,) = chunk.choices
        texts[choice.index] = texts.get(choice.index, "") + choice.text
    plain = create(prompt=prompts, n=2, echo=True)
    assert texts == {choice.index: choice.text for choice in plain.choices}
    assert chunks[-1].choices == []
    assert chunks[-1].usage == plain.usage


def test_a_raw_stream_ends_with_done(server):
    *events, done, _ = post(server, stream=True).text.split("\n\n")
    assert done == "data: [DONE]"
    first = json.loads(events[0].removeprefix("data: "))
    assert list(first) == ["id", "object", "created", "choices", "model"]
    assert json.loads(events[-1].removeprefix("data: "))["choices"][0]["finish_reason"] == "stop"


class Unequal(ScriptedEngine):
    """Its second answer is the most likely one, then the third."""

    def _events(self, request):
        for index in range(request.n):
            likely = {1: -0.1, 2: -0.5}.get(index, -2.0)
            entry = TokenEntry(b"\xe2", likely, (TokenLogprob(b"\xe2", likely),))
            yield Event(
                id=request.id,
                index=index,
                text=str(index),
                token_ends=(1,),
                logprobs=(entry,) if request.params.top_logprobs is not None else (),
                finish_reason="stop",
                usage=ChoiceUsage(completion_tokens=2),
            )


def test_best_of_returns_the_most_likely_answers(serve):
    server = serve(Unequal(), extensions=True)
    made = post(server, prompt=["a", "b"], n=2, best_of=4).json()
    assert [choice["text"] for choice in made["choices"]] == ["1", "2", "1", "2"]
    assert [choice["index"] for choice in made["choices"]] == [0, 1, 2, 3]
    assert all(choice["logprobs"] is None for choice in made["choices"])
    assert made["usage"]["completion_tokens"] == 16


def test_part_of_a_character_is_written_as_bytes(serve):
    made = post(serve(Unequal(), extensions=True), logprobs=1).json()
    assert made["choices"][0]["logprobs"]["tokens"] == [r"bytes:\xe2"]


@pytest.mark.parametrize("token", [-1, 16_384, 999_999_999, 10**30])
def test_an_unknown_token_is_an_error(server, token):
    answer = post(server, prompt=[[1], [2, token]])
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"] == (
        f"Invalid token in prompt: {token}. Minimum value is 0, maximum value is 16383 (inclusive)."
    )
    assert (error["param"], error["code"]) == (None, None)


@pytest.mark.parametrize("prompt", ["a" * 5000, "a" * 100_000, [65] * 5000])
def test_a_prompt_beyond_the_window_is_an_error(server, prompt):
    error = post(server, prompt=prompt).json()["error"]
    assert (error["param"], error["code"]) == ("prompt", "context_length_exceeded")


def test_an_error_of_the_engine_before_the_first_token_is_a_500(serve):
    engine = ScriptedEngine(fail_after=0, failure=EngineFailure("It stopped."))
    answer = post(serve(engine, extensions=True), prompt=["a", "b"], stream=True)
    assert answer.status_code == 500


def test_an_error_in_a_stream_is_its_last_event(serve):
    engine = ScriptedEngine(fail_after=2, failure=EngineFailure("It stopped."))
    server = serve(engine, extensions=True)
    last = post(server, prompt=["a", "b"], stream=True).text.split("\n\n")[-2]
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "It stopped."
    until(lambda: len(engine.cancelled) == 2)


def test_a_client_that_leaves_cancels_all_prompts(serve):
    engine = ScriptedEngine(tokens=["a"] * 1000, pause=0.02)
    server = serve(engine, extensions=True)
    body = {"model": MODEL, "prompt": ["a", "b", "c"], "max_tokens": 900, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body) as answer:
        next(answer.iter_lines())
    until(lambda: len(engine.cancelled) == 3)
    assert server.service.in_flight == 0


def test_an_echo_with_log_probabilities_has_those_of_the_prompt(create):
    (choice,) = create(prompt="Once", echo=True, logprobs=2, max_tokens=2).choices
    assert choice.text == "OnceHello"
    assert choice.logprobs.tokens == ["O", "n", "c", "e", "Hel", "lo"]
    assert choice.logprobs.token_logprobs == [None] + [-0.1] * 5
    assert choice.logprobs.top_logprobs[:2] == [None, {"n": -0.1, "x": -9.0}]
    assert choice.logprobs.text_offset == [0, 1, 2, 3, 4, 7]
    (choice,) = create(prompt="Once", echo=True, logprobs=0, max_tokens=2).choices
    assert choice.logprobs.top_logprobs is None
    assert choice.logprobs.token_logprobs == [None] + [-0.1] * 5


@pytest.mark.parametrize("stream", [False, True])
def test_without_tokens_of_an_answer_only_the_prompt_is_there(create, stream):
    asked = {"prompt": ["Once", "a"], "echo": True, "logprobs": 1, "max_tokens": 0}
    made = create(**asked, stream=stream)
    chunks = list(made) if stream else [made]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert ["".join(c.text for c in choices if c.index == at) for at in (0, 1)] == ["Once", "a"]
    tokens = [[t for c in choices if c.index == at and c.logprobs for t in c.logprobs.tokens]
              for at in (0, 1)]  # fmt: skip
    assert tokens == [list("Once"), ["a"]]
    assert choices[-1].finish_reason == "length"
    if not stream:
        assert made.usage.completion_tokens == 0


def test_all_answers_to_a_prompt_have_its_log_probabilities(create):
    made = create(prompt=["One", "Hi"], n=2, best_of=3, echo=True, logprobs=1, max_tokens=1)
    assert [choice.logprobs.tokens for choice in made.choices] == [
        ["O", "n", "e", "Hel"], ["O", "n", "e", "Hel"], ["H", "i", "Hel"], ["H", "i", "Hel"]
    ]  # fmt: skip


def test_characters_of_several_tokens_have_one_offset(create):
    (choice,) = create(prompt="aéb", echo=True, logprobs=0, max_tokens=0).choices
    assert choice.text == "aéb"
    assert choice.logprobs.text_offset == [0, 1, 1, 2]


def test_a_prompt_fits_the_whole_window_if_nothing_follows(server):
    prompt = "a" * 4096
    assert post(server, prompt=prompt, max_tokens=0).json()["usage"]["prompt_tokens"] == 4096
    assert post(server, prompt=prompt + "a", max_tokens=0).status_code == 400
    assert post(server, prompt=prompt, max_tokens=1).status_code == 400
