"""POST /v1/completions on the real default model, with the real `openai` client."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
import torch

from bench.numerics import TEXTS
from bench.reference import reference_logits, reference_model
from minikin.model_file.gguf import GGUFFile
from tests.real_model import default_model, real_server

pytestmark = pytest.mark.model
PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def client():
    with (
        real_server("--extensions") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as made,
    ):
        yield made


def complete(client, **asked):
    return client.completions.create(model="gpt-4.1-mini", **({"temperature": 0} | asked))


def test_a_text_is_continued_in_all_forms(client):
    plain = complete(client, prompt=PROMPT, max_tokens=8)
    assert "Paris" in plain.choices[0].text
    assert plain.choices[0].finish_reason == "length"
    assert plain.usage.completion_tokens == 8
    tokens = client.post("/../tokenize", body={"text": PROMPT}, cast_to=dict)["ids"]
    assert plain.usage.prompt_tokens in (len(tokens), len(tokens) + 1)
    by_ids = complete(client, prompt=tokens, max_tokens=8, echo=True)
    assert by_ids.choices[0].text == PROMPT + plain.choices[0].text
    pieces = complete(client, prompt=PROMPT, max_tokens=8, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == plain.choices[0].text


def test_prompts_beside_each_other_get_their_own_answers(client):
    prompts = [PROMPT, "One, two, three,", ""]
    together = complete(client, prompt=prompts, max_tokens=6, seed=1)
    alone = [complete(client, prompt=prompt, max_tokens=6, seed=1) for prompt in prompts]
    assert [c.text for c in together.choices] == [one.choices[0].text for one in alone]


def test_log_probabilities_spell_the_text(client):
    (choice,) = complete(client, prompt=PROMPT, max_tokens=6, logprobs=3).choices
    text = PROMPT + choice.text
    for token, at in zip(choice.logprobs.tokens, choice.logprobs.text_offset, strict=True):
        assert text[at:].startswith(token)
    assert all(len(top) == 3 for top in choice.logprobs.top_logprobs)


def test_the_best_of_several_is_the_most_likely(client):
    asked = {"prompt": PROMPT, "max_tokens": 6, "temperature": 1.5, "seed": 3}
    (best,) = complete(client, **asked, best_of=4, logprobs=0).choices
    every = complete(client, **asked, n=4, logprobs=0).choices
    means = {
        choice.text: sum(choice.logprobs.token_logprobs) / len(choice.logprobs.token_logprobs)
        for choice in every
    }
    assert best.text == max(means, key=means.get)


def score(client, prompt, **asked):
    """The log probabilities of a prompt, as evaluations ask for them."""
    asked = {"echo": True, "logprobs": 1, "max_tokens": 0} | asked
    (choice,) = complete(client, prompt=prompt, **asked).choices
    return choice.logprobs


def ids_of(client, text):
    return client.post("/../tokenize", body={"text": text}, cast_to=dict)["ids"]


def test_log_probabilities_of_prompts_are_those_of_the_model_in_float32(client):
    reference, differences = reference_model(GGUFFile.open(default_model())), []
    for text in TEXTS[:8]:
        ids = ids_of(client, text)
        expected = reference_logits(reference, ids).log_softmax(-1)
        found = score(client, ids)
        assert found.token_logprobs[0] is found.top_logprobs[0] is None
        rows = zip(found.token_logprobs[1:], found.top_logprobs[1:], strict=True)
        for at, (own, top) in enumerate(rows):
            likely = expected[at].max()
            assert max(top.values()) == pytest.approx(likely.item(), abs=0.3)
            differences.append(abs(own - expected[at, ids[at + 1]].item()))
    assert torch.tensor(differences).mean() < 0.05


def test_the_most_likely_token_is_recognized_as_such(client):
    # lm-evaluation-harness compares the two values for its accuracy of greedy answers.
    (answer,) = complete(client, prompt=PROMPT, max_tokens=8, logprobs=0).choices
    begin = ids_of(client, PROMPT)
    whole = begin + ids_of(client, answer.text)
    found = score(client, whole, max_tokens=1)
    pairs = list(zip(found.token_logprobs, found.top_logprobs, strict=True))[len(begin) : -1]
    assert all(own == max(top.values()) for own, top in pairs)
    assert sum(own for own, _ in pairs) == pytest.approx(
        sum(answer.logprobs.token_logprobs), abs=0.2
    )


@pytest.mark.thorough
def test_log_probabilities_of_prompts_repeat_to_the_last_bit_in_company(client):
    texts = [" ".join(TEXTS[at:] + TEXTS[:at]) for at in (0, 4, 8)]
    alone = [score(client, text, max_tokens=1).token_logprobs for text in texts]
    with ThreadPoolExecutor(8) as threads:
        pairs = [(text, threads.submit(score, client, text, max_tokens=1)) for text in texts * 2]
        answers = [threads.submit(complete, client, prompt=text, max_tokens=30) for text in texts]
        together = [asked.result().token_logprobs for _, asked in pairs]
        assert all(answer.result().choices for answer in answers)
    assert together == alone * 2


def test_a_stream_has_the_same_log_probabilities(client):
    asked = {"prompt": TEXTS[2], "echo": True, "logprobs": 2, "max_tokens": 3}
    (plain,) = complete(client, **asked).choices
    parts = [piece.choices[0] for piece in complete(client, **asked, stream=True)]
    assert "".join(part.text for part in parts) == plain.text
    found = [part.logprobs for part in parts if part.logprobs]
    for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        joined = [value for part in found for value in getattr(part, name)]
        assert joined == getattr(plain.logprobs, name)
    for token, at in zip(plain.logprobs.tokens, plain.logprobs.text_offset, strict=True):
        assert plain.text[at:].startswith(token)
