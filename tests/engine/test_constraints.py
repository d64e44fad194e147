"""Constrained answers beside free ones, on the scripted model and a mask of the test's own."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from tests.engine.fakes import EOS, VOCABULARY, make_engine, request, run, texts

SPELLED = b"<b>hello</b>"


class Spelling:
    """Allows one text only; every second byte is forced."""

    def __init__(self, slow=0, broken_at=None):
        self.slow, self.broken_at, self.at, self.waited = slow, broken_at, 0, 0

    @property
    def finished(self):
        return self.at == len(SPELLED)

    def fresh(self):
        return Spelling(self.slow, self.broken_at)

    def prepare(self):
        pass

    def allowed(self, seconds):
        if self.broken_at == self.at:
            raise ValueError("no way on")
        if self.waited < self.slow:
            self.waited += 1
            return None
        self.waited = 0
        allowed = np.zeros(VOCABULARY, dtype=bool)
        allowed[SPELLED[self.at]] = True
        return allowed

    def steer(self, token, room):
        return token

    def accept(self, token, *, forced):
        assert token == SPELLED[self.at]
        self.at += 1
        following = list(SPELLED[self.at : self.at + 3]) if forced and self.at % 2 else []
        self.at += len(following)
        return following


class Maker:
    def __init__(self, mask):
        self.mask = mask

    def begin(self, grammar):
        future = Future()
        if isinstance(self.mask, Exception):
            future.set_exception(self.mask)
        elif self.mask:
            future.set_result(self.mask)
        return future


def engine_with(mask, **options):
    return make_engine(masks=Maker(mask), **options)


def test_an_answer_is_what_its_grammar_allows_and_ends_with_it():
    engine = engine_with(Spelling())
    engine.add(request("abc", grammar="g", max_tokens=50))
    events = run(engine)
    assert texts(events) == {("r", 0): SPELLED.decode()}
    assert events[-1].finish_reason == "stop"
    assert events[-1].usage.completion_tokens == len(SPELLED) + 1


def test_forced_tokens_take_no_step_of_their_own_but_with_log_probabilities():
    steps = []
    for top_logprobs in (None, 0):
        engine = engine_with(Spelling())
        engine.add(request("abc", grammar="g", max_tokens=50, top_logprobs=top_logprobs))
        events = run(engine)
        assert texts(events)["r", 0] == SPELLED.decode()
        steps.append(len(engine.decoder.rows))
        if top_logprobs is not None:
            assert sum(len(event.logprobs) for event in events) == len(SPELLED)
    assert steps == [3, 12]


@pytest.mark.parametrize("most", range(1, len(SPELLED) + 1))
def test_the_limit_holds_within_a_forced_span(most):
    engine = engine_with(Spelling())
    engine.add(request("abc", grammar="g", max_tokens=most))
    events = run(engine)
    assert texts(events).get(("r", 0), "") == SPELLED[:most].decode()
    assert events[-1].finish_reason == "length"
    assert events[-1].usage.completion_tokens == most


def test_a_stop_text_inside_a_forced_span_ends_the_answer():
    engine = engine_with(Spelling())
    engine.add(request("abc", grammar="g", max_tokens=50, stop=("ello",)))
    events = run(engine)
    assert texts(events)["r", 0] == "<b>h"
    assert events[-1].finish_reason == "stop"


@pytest.mark.parametrize("slow", [0, 3])
def test_other_answers_do_not_change(slow):
    alone = make_engine()
    alone.add(request("free", id="free", max_tokens=30))
    expected = texts(run(alone))
    engine = engine_with(Spelling(slow=slow), blocks=12)
    engine.add(request("free", id="free", max_tokens=30))
    engine.add(request("bound " * 9, id="bound", grammar="g", n=3, max_tokens=50, temperature=1.0))
    said = texts(run(engine))
    assert said["free", 0] == expected["free", 0]
    assert {said["bound", index] for index in range(3)} == {SPELLED.decode()}


def test_a_mask_that_is_late_again_holds_up_nobody_else():
    waits = []

    class Never(Spelling):
        def fresh(self):
            return self

        def allowed(self, seconds):
            waits.append(seconds)

    mask = Never()
    engine = engine_with(mask)
    engine.add(request("slow", id="slow", grammar="spelling"))
    engine.add(request("free", id="free", max_tokens=10))
    while engine.scheduler.running or engine.scheduler.waiting:
        if any(event.id == "free" and event.ends for event in engine.step()):
            break
    first, *later = waits
    assert first > 0
    assert later
    assert set(later) == {0.0}
    engine.step()
    engine.step()
    assert waits[-1] > 0, "without company, a step waits, or it would compute for nothing"


def test_a_grammar_without_a_way_on_ends_its_own_answer_only():
    engine = engine_with(Spelling(broken_at=4))
    engine.add(request("free", id="free", max_tokens=30))
    engine.add(request("abc", id="bound", grammar="g", max_tokens=50))
    events = run(engine)
    [failed] = [event for event in events if event.error]
    assert (failed.id, failed.error) == ("bound", "ValueError")
    assert len(texts(events)["free", 0]) == 30


def test_a_grammar_that_does_not_compile_ends_every_choice():
    engine = engine_with(RuntimeError())
    engine.add(request("abc", grammar="g", n=2))
    assert [event.error for event in run(engine)] == ["RuntimeError"] * 2


def test_a_request_may_be_cancelled_while_its_grammar_compiles():
    engine = engine_with(None)
    engine.add(request("abc", grammar="g"))
    assert engine.busy
    assert engine.step() == []
    engine.cancel("r")
    assert not engine.busy


def test_bias_and_penalties_cannot_leave_the_grammar():
    engine = engine_with(Spelling())
    bias = dict.fromkeys({*SPELLED}, -100.0) | {EOS: 100.0}
    engine.add(request("abc", grammar="g", max_tokens=50, logit_bias=bias, frequency_penalty=2.0))
    assert texts(run(engine))["r", 0] == SPELLED.decode()


class Steered(Spelling):
    """Allows every token, and replaces the sampled ones with its own text."""

    def fresh(self):
        return Steered()

    def allowed(self, seconds):
        return np.ones(VOCABULARY, dtype=bool)

    def steer(self, token, room):
        return SPELLED[self.at]


def test_a_steered_token_is_taken_with_its_own_log_probability():
    engine = make_engine(masks=Maker(Steered()))
    engine.add(request("abc", grammar="g", max_tokens=30, top_logprobs=0))
    events = run(engine)
    assert texts(events)["r", 0] == SPELLED.decode()
    entries = [entry for event in events for entry in event.logprobs]
    assert b"".join(entry.token for entry in entries) == SPELLED


def test_steering_knows_how_many_tokens_are_left_of_limit_and_context():
    rooms = []

    class Noting(Spelling):
        def fresh(self):
            return Noting()

        def steer(self, token, room):
            rooms.append(room)
            return token

    for context, most in ((512, 30), (20, 30)):
        engine = make_engine(masks=Maker(Noting()), context=context)
        engine.add(request("abc", grammar="g", max_tokens=most, top_logprobs=0))
        run(engine)
    count = len(SPELLED)
    assert rooms == [*range(30, 30 - count, -1), *range(17, 17 - count, -1)]


def test_steering_can_be_turned_off():
    engine = make_engine(masks=Maker(Steered()), cut_at_limit=True)
    engine.add(request("abc", grammar="g", max_tokens=30))
    assert run(engine)[-1].error == "AssertionError"  # the sampled token is not what Spelling wants


def test_a_fault_in_steering_ends_no_answer():
    class Broken(Spelling):
        def fresh(self):
            return Broken()

        def steer(self, token, room):
            raise ValueError("no way on")

    engine = make_engine(masks=Maker(Broken()))
    engine.add(request("abc", grammar="g", max_tokens=30))
    assert texts(run(engine))["r", 0] == SPELLED.decode()
