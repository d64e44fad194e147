"""POST /v1/completions on the real default model, with the real `openai` client."""

import openai
import pytest

from tests.real_model import real_server

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
