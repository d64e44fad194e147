"""An answer that another engine continues is the same as one that was never interrupted."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from minikin.engine.host.resuming import Unfinished
from tests.engine.fakes import make_engine, request, run


def interrupted(asked, after):
    """The events of an answer whose engine is lost after so many events."""
    first, second = make_engine(), make_engine()
    first.add(asked)
    unfinished, events = Unfinished(asked), []
    while first.busy and len(events) < after:
        for event in first.step():
            unfinished.add(event)
            events.append(event)
    second.add(unfinished.rest())
    return events + run(second)


def choices(events):
    """Text, log probabilities of answer and prompt, end and usage of each choice."""
    found = {}
    for event in events:
        text, entries, scores, _ = found.get(event.index, ("", (), (), None))
        found[event.index] = (
            text + event.text,
            entries + event.logprobs,
            scores + event.prompt_logprobs,
            (event.finish_reason, event.usage),
        )
    return found


CASES = {
    "plain": {},
    "sampled": {"temperature": 8.0, "seed": 3},
    "logprobs": {"top_logprobs": 2},
    "stop": {"stop": ("zzzz", "ab"), "temperature": 8.0, "seed": 5},
    "penalties": {"frequency_penalty": 1.0, "presence_penalty": 0.5, "temperature": 8.0, "seed": 1},
    "choices": {"n": 3, "temperature": 8.0, "seed": 2},
    "prediction": {"prediction": tuple(b"qqqq" * 3 + b"abc"), "temperature": 0.5, "seed": 4},
    "prompt": {"prompt_logprobs": 1, "top_logprobs": 0},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
@pytest.mark.parametrize("after", [0, 1, 2, 7, 20])
def test_it_continues_as_if_nothing_had_happened(options, after):
    options = dict(options)
    asked = replace(request("q" * 70, max_tokens=24, **options), n=options.pop("n", 1))
    engine = make_engine()
    engine.add(asked)
    assert choices(interrupted(asked, after)) == choices(run(engine))
