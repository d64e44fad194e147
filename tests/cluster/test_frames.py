"""What an engine's replica sends arrives as it was."""

import pytest

from minikin.cluster.frames import Events, Failed, decode, encode
from minikin.engine.messages import ChoiceUsage, Event, TokenEntry
from minikin.errors import (
    Cancelled,
    EngineFailure,
    EngineLost,
    Overloaded,
    Quarantined,
    ShuttingDown,
    StoreFailure,
)


def test_events_arrive_as_they_were():
    entry = TokenEntry(b"\xff", -0.5, ())
    event = Event(id="a", index=1, text="é", token_ends=(1,), logprobs=(entry,))
    last = Event(id="a", index=1, finish_reason="stop", usage=ChoiceUsage(completion_tokens=2))
    frame = Events([event, last])
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize(
    "error",
    [
        Cancelled(),
        Quarantined(),
        ShuttingDown(),
        Overloaded("Full."),
        EngineFailure("Broken."),
        EngineLost("Gone."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_stays_the_same_error(error):
    frame = decode(encode(Failed.of(error)))
    assert isinstance(frame, Failed)
    assert type(frame.error) is type(error)
    assert frame.error.body() == error.body()


def test_an_error_that_no_engine_raises_is_a_failure():
    assert type(Failed.of(StoreFailure("x")).error) is EngineFailure
