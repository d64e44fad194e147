"""Steps that start before the tokens of the step before are read."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from minikin.engine.messages import Opening
from minikin.engine.scheduler import CALM_SECONDS
from tests.engine.fakes import EOS, HashingModel, LaunchingModel, make_engine, request, run, texts
from tests.engine.test_constraints import Maker, Spelling


def both(requests, **limits):
    """The texts and usages of these requests, without a device and with one, and its model."""
    found, model = [], LaunchingModel()
    for one in (HashingModel(), model):
        engine = make_engine(one, **limits)
        for each in requests:
            engine.add(each)
        events = run(engine)
        ends = {(e.id, e.index): (e.finish_reason, e.usage) for e in events if e.finish_reason}
        found.append((texts(events), ends))
        assert engine.scheduler.pool.available == engine.scheduler.pool.size
    return *found, model


def test_a_step_starts_before_the_tokens_of_the_last_one_are_read():
    expected, found, model = both([request("a prompt", max_tokens=9)])
    assert found == expected
    # The prompt's step chooses the first token.
    kinds = [kind for kind, _ in model.launcher.log]
    assert kinds == ["start", *["start", "read"] * 7, "read"]


def test_answers_that_end_by_themselves_are_the_same(monkeypatch):
    def ends(context):
        return EOS if len(context) % 7 == 6 else 97 + sum(context) % 26

    for model in (HashingModel, LaunchingModel):
        monkeypatch.setattr(model, "next", lambda self, context: ends(context))
    requests = [request("x" * n, id=str(n), max_tokens=20) for n in range(1, 9)]
    expected, found, model = both(requests)
    assert found == expected
    assert {reason for reason, _ in found[1].values()} == {"stop"}
    rows = sum(count for kind, count in model.launcher.log if kind == "read")
    assert rows > sum(usage.completion_tokens for _, usage in found[1].values()) - 2 * 8


def mixed(rng, number):
    """A request of any kind."""
    params = [
        {}, {"temperature": 1.0, "seed": number}, {"temperature": 0.8, "seed": 3, "top_p": 0.7},
        {"temperature": 1.0, "seed": 5, "top_k": 3, "min_p": 0.1}, {"stop": ("a", "qz")},
        {"presence_penalty": 1.0}, {"logit_bias": {100: 2.0}}, {"top_logprobs": 2}, {"n": 3},
        {"opening": Opening((100, 101), 50.0)}, {"prediction": tuple(b"abcdef")},
        {"repetition_penalty": 1.3},
    ]  # fmt: skip
    prompt = "".join(rng.choices("xyz", k=rng.randint(1, 90)))
    return request(prompt, id=str(number), max_tokens=rng.randint(1, 60), **rng.choice(params))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("blocks", [12, 64])
def test_any_mix_of_answers_is_the_same(seed, blocks):
    rng = random.Random(seed)
    requests = [mixed(rng, number) for number in range(30)]
    expected, found, model = both(requests, blocks=blocks, context=160, prefill_chunk=32)
    assert found == expected
    assert ahead(model) > 0


def test_requests_that_come_and_go_change_no_other_answer():
    rng = random.Random(7)
    requests = [mixed(rng, number) for number in range(40)]
    alone = {}
    for one in requests:
        engine = make_engine(context=160)
        engine.add(one)
        alone |= texts(run(engine))
    engine, found, gone = make_engine(LaunchingModel(), blocks=32, context=160), [], set()
    for one in requests:
        engine.add(one)
        for _ in range(rng.randint(0, 6)):
            found += engine.step()
        if rng.random() < 0.3:
            gone.add(cancelled := str(rng.randint(0, 39)))
            engine.cancel(cancelled)
    found += run(engine)
    for key, text in texts(found).items():
        assert alone[key] == text or (key[0] in gone and alone[key].startswith(text))
    assert engine.scheduler.pool.available == 32


@pytest.mark.parametrize(
    "params",
    [
        {"top_logprobs": 0}, {"presence_penalty": 1.0}, {"frequency_penalty": -1.0},
        {"repetition_penalty": 1.1}, {"logit_bias": {1: 1.0}},
    ],
)  # fmt: skip
def test_what_the_host_must_choose_is_waited_for(params):
    requests = [request("a", id="a", max_tokens=9, **params), request("b", id="b", max_tokens=30)]
    expected, found, model = both(requests)
    assert found == expected
    assert 15 < len(model.launcher.log) // 2 < 22, "only after the end of the first"


def test_a_grammar_is_waited_for():
    engine = make_engine(model := LaunchingModel(), masks=Maker(Spelling()))
    engine.add(request("a", max_tokens=90, grammar="any"))
    run(engine)
    assert model.launcher.log == []


def test_a_guess_is_waited_for():
    model = LaunchingModel()
    model.script = lambda context: 97 + len(context) % 4
    engine = make_engine(model)
    engine.add(request("z", max_tokens=60))
    run(engine)
    assert len(model.launcher.log) // 2 < 20
    assert max(model.rows) > 3


def test_a_waiting_request_is_not_kept_waiting():
    engine = make_engine(model := LaunchingModel())
    engine.add(request("long", id="long", max_tokens=100))
    for _ in range(5):
        engine.step()
    engine.add(request("late", id="late", max_tokens=1))
    events = engine.step() + engine.step()
    assert "late" in {event.id for event in events}
    assert model.launcher.log[-1][0] == "read"
    # One that has no place to run does not stop the others.
    engine = make_engine(model := LaunchingModel(), max_running=1)
    for number in range(2):
        engine.add(request("x", id=str(number), max_tokens=30))
    run(engine)
    assert ahead(model) == 2 * 28


def test_a_request_in_the_background_does_not_stop_the_others():
    engine = make_engine(model := LaunchingModel())
    slow = request("slow", id="slow", max_tokens=50)
    engine.add(msgspec.structs.replace(slow, gives_way=True))
    engine.step()
    engine.add(request("fast", id="fast", max_tokens=40))
    run(engine)
    assert ahead(model) > 75
    assert engine.scheduler._clock() - engine.scheduler._foreground_at < CALM_SECONDS


def ahead(model):
    """How many steps started before the step before was read."""
    flying, count = 0, 0
    for kind, _ in model.launcher.log:
        count += kind == "start" and flying > 0
        flying += 1 if kind == "start" else -1
    return count


def test_a_step_that_does_not_start_is_waited_for(caplog):
    expected = texts(run(started(HashingModel())))
    engine = started(model := LaunchingModel())
    model.launcher.fail = True
    assert texts(run(engine)) == expected
    assert "did not start" in caplog.text


def test_numbers_that_are_none_end_their_answer_alone(caplog):
    class Spoilt(LaunchingModel):
        def logits(self, hidden, few):
            found = super().logits(hidden, few)
            for row, place in enumerate(hidden.tolist()):
                if self.contexts[place][0] == ord("b") and len(self.contexts[place]) > 6:
                    found[row] = np.nan
            return found

    engine = make_engine(Spoilt())
    for name in "abc":
        engine.add(request(name, id=name, max_tokens=12))
    events = run(engine)
    assert {e.id: e.error for e in events if e.ends} == {
        "a": None, "b": "FloatingPointError", "c": None,
    }  # fmt: skip
    assert texts(events)["a", 0] == texts(run(started(HashingModel(), "a", 12)))["r", 0]


def started(model, prompt="a prompt", max_tokens=9, **params):
    engine = make_engine(model)
    engine.add(request(prompt, max_tokens=max_tokens, **params))
    return engine


def test_random_numbers_of_a_step_ahead_are_those_of_its_position():
    class Flat(LaunchingModel):
        def logits(self, hidden, few):
            return super().logits(hidden, few) * 0

    waiting = Flat()
    waiting.launcher = None
    found = [
        texts(run(started(model, max_tokens=40, temperature=1.0, seed=11)))
        for model in (Flat(), waiting)
    ]
    assert found[0] == found[1]
