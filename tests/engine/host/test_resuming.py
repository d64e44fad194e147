"""What a client gets if the engines of its answer are lost."""

from __future__ import annotations

import pytest

from minikin.engine.host.resuming import MAX_LOST, resuming
from minikin.engine.messages import Event, GenerationRequest, SamplingParams
from minikin.errors import EngineLost

REQUEST = GenerationRequest(id="r", prompt=[1], params=SamplingParams(max_tokens=4))


async def nothing():
    pass


async def test_an_answer_continues_after_the_last_token_that_came():
    asked = []

    async def attempt(request):
        asked.append(request)
        begun = len(request.resumed[0].tokens) if request.resumed else 0
        yield Event(id="r", index=0, text="a", tokens=(begun,))
        if len(asked) < 3:
            raise EngineLost("Gone.")

    events = [event async for event in resuming(REQUEST, attempt, nothing)]
    assert [event.tokens for event in events] == [(0,), (1,), (2,)]
    assert asked[0] == REQUEST
    assert asked[2].resumed[0].tokens == (0, 1)


async def test_it_does_not_lose_engines_for_ever():
    lost = 0

    async def attempt(request):
        nonlocal lost
        lost += 1
        raise EngineLost("Gone.")
        yield

    with pytest.raises(EngineLost):
        [event async for event in resuming(REQUEST, attempt, nothing)]
    assert lost == MAX_LOST


async def test_nothing_is_tried_again_if_there_is_no_other_engine():
    async def attempt(request):
        yield Event(id="r", index=0, text="a", tokens=(1,))
        raise EngineLost("Gone.")

    async def none():
        raise EngineLost("None is left.")

    with pytest.raises(EngineLost, match="None is left"):
        [event async for event in resuming(REQUEST, attempt, none)]
