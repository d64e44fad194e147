"""Log probabilities of prompts. The hashing model finds a token either certain or unlikely."""

import random

import pytest
import torch

from tests.engine.fakes import HashingModel, make_engine, request, run, texts


def scores(events, id="r"):
    return [entry for event in events if event.id == id for entry in event.prompt_logprobs]


def expected(prompt):
    """For each token but the first, whether the model would have said it."""
    tokens = list(prompt.encode())
    return [HashingModel().next(tokens[:at]) == tokens[at] for at in range(1, len(tokens))]


def likely_text(length, odd=()):
    """A text that the model would say, with other characters at the places `odd`."""
    tokens = [ord("a")]
    while len(tokens) < length:
        tokens.append(ord("#") if len(tokens) in odd else HashingModel().next(tokens))
    return bytes(tokens).decode()


def said(entries):
    return [entry.logprob > -1 for entry in entries]


@pytest.mark.parametrize("length", [1, 2, 32, 33, 64, 65, 200])
def test_every_token_but_the_first_has_one(length):
    prompt = likely_text(length, odd={5, 31, 32, 33, 100})
    engine = make_engine()
    engine.add(request(prompt, prompt_logprobs=2, max_tokens=3))
    events = run(engine)
    entries = scores(events)
    assert said(entries) == expected(prompt)
    assert b"".join(entry.token for entry in entries) == prompt.encode()[1:]
    assert all(len(entry.top) == 2 for entry in entries)
    assert events[-1].finish_reason == "length"
    assert texts(events)["r", 0] == texts(run_plain(prompt))["r", 0]


def run_plain(prompt):
    engine = make_engine()
    engine.add(request(prompt, max_tokens=3))
    return run(engine)


def test_a_token_that_is_not_likely_keeps_its_log_probability():
    class Ranked(HashingModel):
        def logits(self, hidden, few):
            return super().logits(hidden, few) * 0 - torch.arange(257.0)

    engine = make_engine(Ranked())
    engine.add(request("az", prompt_logprobs=1, max_tokens=1))
    (entry,) = scores(run(engine))
    assert -123 < entry.logprob < -122


def test_they_come_before_the_answer_and_once_for_all_choices():
    engine = make_engine(prefill_chunk=16)
    engine.add(request(likely_text(100), prompt_logprobs=0, n=3, max_tokens=2))
    events = run(engine)
    first = next(i for i, event in enumerate(events) if event.text)
    assert len(scores(events[:first])) == 99
    assert len(scores(events)) == 99
    assert {event.index for event in events if event.prompt_logprobs} == {0}
    assert {event.index for event in events if event.ends} == {0, 1, 2}


def test_a_known_prompt_is_computed_again_and_others_reuse_it():
    prompt = likely_text(160, odd={70})
    engine = make_engine()
    engine.add(request(prompt, max_tokens=1))
    run(engine)
    engine.add(request(prompt, prompt_logprobs=0, max_tokens=1))
    events = run(engine)
    assert said(scores(events)) == expected(prompt)
    assert events[-1].usage.cached_tokens == 0
    engine.add(request(prompt + "more", id="next", max_tokens=1))
    assert run(engine)[-1].usage.cached_tokens == 160


def test_no_request_for_them_waits_for_the_same_prompt():
    model = HashingModel()
    engine = make_engine(model, prefill_chunk=512)
    for name in "abcd":
        engine.add(request("q" * 100, id=name, prompt_logprobs=0, max_tokens=0))
    assert len({event.id for event in engine.step() if event.ends}) == 4


def test_crowds_chunks_and_preemptions_change_nothing():
    rng = random.Random(3)
    engine = make_engine(blocks=14, max_running=6, prefill_chunk=24, context=300)
    prompts = {}
    for i in range(30):
        length = rng.randint(1, 150)
        prompts[str(i)] = likely_text(length, odd={rng.randrange(1, 150) for _ in range(9)})
        engine.add(
            request(
                prompts[str(i)], id=str(i), max_tokens=rng.choice([0, 1, 40, 90]),
                prompt_logprobs=rng.choice([0, 3]), temperature=rng.choice([0.0, 1.0]),
            )
        )  # fmt: skip
    events = run(engine)
    for name, prompt in prompts.items():
        assert said(scores(events, name)) == expected(prompt), name


def test_a_preempted_prompt_goes_on_where_it_was():
    model = HashingModel()
    engine = make_engine(model, blocks=8, prefill_chunk=32, context=256)
    engine.add(request("s" * 31, id="first", max_tokens=100))
    engine.step()
    prompt = likely_text(200, odd={3, 120})
    engine.add(request(prompt, id="second", prompt_logprobs=0, max_tokens=1))
    events = run(engine)
    assert said(scores(events, "second")) == expected(prompt)


def test_a_failed_step_repeats_without_doubling_them():
    class FailsOnce(HashingModel):
        failed = False

        def logits(self, hidden, few):
            if not self.failed and len(hidden) == 1:
                self.failed = True
                raise RuntimeError("once")
            return super().logits(hidden, few)

    prompt = likely_text(60, odd={8})
    engine = make_engine(FailsOnce())
    engine.add(request(prompt, prompt_logprobs=0, max_tokens=1))
    assert said(scores(run(engine))) == expected(prompt)


def test_nonsense_from_the_model_ends_the_request_with_an_error():
    class Broken(HashingModel):
        def logits(self, hidden, few):
            return super().logits(hidden, few) * float("nan")

    engine = make_engine(Broken())
    engine.add(request("abc", prompt_logprobs=0, max_tokens=0))
    (event,) = run(engine)
    assert event.error == "FloatingPointError"


@pytest.mark.parametrize("prompt", ["z", "z" * 33, "z" * 128])
def test_no_tokens_at_all_compute_only_the_prompt(prompt):
    engine = make_engine(context=128)
    engine.add(request(prompt, max_tokens=0, n=2))
    events = run(engine)
    assert [(e.index, e.text, e.finish_reason) for e in events] == [
        (0, "", "length"), (1, "", "length")
    ]  # fmt: skip
    assert {event.usage.completion_tokens for event in events} == {0}
