from __future__ import annotations

import threading

import pytest

from minikin.constrain import masks as module
from minikin.constrain.masks import MaskError, Masks
from minikin.constrain.plan import Constraint
from tests.constrain.schemas import closed
from tests.constrain.walk import EOS, TOKENIZER, grammar_of

CHOICE = grammar_of({"enum": ["yes", "no"]})


def begun(grammar):
    return Masks(TOKENIZER).begin(grammar).result().fresh()


def allowed(mask):
    return {token for token, free in enumerate(mask.allowed(5.0)) if free}


def test_only_what_the_grammar_allows_may_follow():
    mask = begun(CHOICE)
    assert allowed(mask) == {ord('"')}
    mask.accept(ord('"'), forced=False)
    assert allowed(mask) == {ord("y"), ord("n")}


def test_forced_tokens_are_returned_and_accepted():
    mask = begun(CHOICE)
    assert mask.accept(ord('"'), forced=True) == []
    assert bytes(mask.accept(ord("n"), forced=True)) == b'o"'
    assert mask.finished


def test_the_answer_may_end_where_the_grammar_may():
    mask = begun(grammar_of({"type": "integer", "minimum": 1, "maximum": 50}))
    assert EOS not in allowed(mask)
    mask.accept(ord("4"), forced=False)
    assert allowed(mask) == {EOS, *b"0123456789"}


def test_each_answer_has_a_place_of_its_own():
    mask = begun(CHOICE)
    mask.accept(ord('"'), forced=False)
    assert allowed(mask.fresh()) == {ord('"')}
    assert allowed(mask) == {ord("y"), ord("n")}


def test_a_token_out_of_the_grammar_is_an_error_of_this_answer():
    mask = begun(CHOICE)
    with pytest.raises(MaskError):
        mask.accept(ord("x"), forced=False)


def test_a_grammar_that_cannot_be_followed_raises():
    with pytest.raises(MaskError, match="uniqueItems"):
        begun(str(Constraint('{"grammars":[{"json_schema":{"type":"array","uniqueItems":true}}]}')))


def test_only_the_latest_grammars_are_kept():
    made = Masks(TOKENIZER)
    first = made.begin(CHOICE)
    assert made.begin(CHOICE) is first
    for i in range(module.CACHED_GRAMMARS):
        made.begin(CHOICE + " " * (i + 1))
    assert made.begin(CHOICE) is not first


@pytest.fixture
def slow():
    """A mask that takes until the event, in a way that the test chooses."""
    release = threading.Event()

    def made(spend):
        mask = begun(grammar_of(closed(a={"type": "boolean"})))
        compute = mask._compute

        def slowly():
            mask._spent = module.ThreadTime()
            spend(release)
            return compute()

        mask._compute = slowly
        return mask

    yield made
    release.set()


def work(release):
    while not release.is_set():
        pass


def test_a_slow_mask_is_late_at_first_and_an_error_in_the_end(slow, monkeypatch):
    mask = slow(work)
    assert mask.allowed(0.01) is None
    monkeypatch.setattr(module, "STEP_SECONDS", 0.0)
    with pytest.raises(MaskError, match="too long"):
        mask.allowed(0.5)


def test_a_mask_that_the_machine_lets_wait_is_only_late(slow, monkeypatch):
    monkeypatch.setattr(module, "STEP_SECONDS", 0.05)
    mask = slow(lambda release: release.wait())
    assert mask.allowed(0.3) is None
    assert mask.allowed(0.3) is None
