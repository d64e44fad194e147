"""The events of answers: their text, their ends, their token counts."""

import pytest

from tests.engine.fakes import EOS, ByteTokenizer, HashingModel, make_engine, request, run, texts


def test_the_end_token_ends_the_answer_and_counts():
    model = HashingModel()
    model.script = lambda context: EOS if len(context) == 5 else ord("x")
    engine = make_engine(model)
    engine.add(request("ab", top_logprobs=2))
    events = run(engine)
    assert texts(events)["r", 0] == "xxx"
    assert events[-1].finish_reason == "stop"
    assert events[-1].usage.completion_tokens == 4
    assert [entry.token for event in events for entry in event.logprobs] == [b"x"] * 3


def test_the_limit_ends_the_answer_exactly():
    engine = make_engine()
    engine.add(request("ab", max_tokens=7))
    events = run(engine)
    assert events[-1].finish_reason == "length"
    assert events[-1].usage.completion_tokens == 7 == len(texts(events)["r", 0])


def test_the_context_window_ends_the_answer():
    engine = make_engine(context=40)
    engine.add(request("p" * 39, max_tokens=100))
    events = run(engine)
    assert events[-1].finish_reason == "length"
    assert events[-1].usage.completion_tokens == 1


@pytest.mark.parametrize(
    ("stop", "shown", "tokens"), [("cd", "ab", 3), ("a", "", 1), ("zz", "abcdef", 6)]
)
def test_a_stop_text_is_never_shown(stop, shown, tokens):
    model = HashingModel()
    model.script = lambda context: b"abcdef"[len(context) - 2]
    engine = make_engine(model)
    engine.add(request("pp", stop=(stop,), max_tokens=6, top_logprobs=0))
    events = run(engine)
    assert texts(events)["r", 0] == shown
    assert events[-1].usage.completion_tokens == tokens
    assert sum(len(event.logprobs) for event in events) == len(shown)


def test_a_character_is_shown_whole():
    model = HashingModel()
    spelled = "é€🎉".encode()
    model.script = lambda context: spelled[len(context) - 1]
    engine = make_engine(model)
    engine.add(request("p", max_tokens=len(spelled), top_logprobs=0))
    events = [event for event in run(engine) if event.text]
    assert [event.text for event in events] == ["é", "€", "🎉"]
    assert [len(event.logprobs) for event in events] == [2, 3, 4]


def test_a_prediction_ends_where_the_answer_ends():
    model = HashingModel()
    model.script = lambda context: b"abcdefghij"[len(context) - 2]
    engine = make_engine(model)
    engine.add(request("pp", stop=("fg",), max_tokens=9, prediction=tuple(b"abcdefghij")))
    events = run(engine)
    assert texts(events)["r", 0] == "abcde"
    assert events[-1].finish_reason == "stop"
    assert events[-1].usage.accepted_prediction_tokens <= 7
    assert engine.scheduler.pool.available == 64


def test_an_answer_that_cannot_be_spelled_ends_alone():
    class Broken(ByteTokenizer):
        def token_bytes(self, token):
            return super().token_bytes(token) if token != ord("!") else None

    model = HashingModel()
    model.script = lambda context: ord("!" if context[0] == ord("b") else "x")
    engine = make_engine(model, tokenizer=Broken())
    engine.add(request("bad", id="bad"))
    engine.add(request("good", id="good"))
    events = run(engine)
    assert [(event.id, event.error) for event in events if event.error] == [("bad", "TypeError")]
    assert texts(events)["good", 0] == "x" * 8
    assert engine.scheduler.pool.available == 64
