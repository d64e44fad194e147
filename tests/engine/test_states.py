import random

import pytest

from tests.engine.fakes import answer, request, run, texts
from tests.engine.stateful import StatefulModel, make_engine


def prompt_of(seed, length):
    return "".join(random.Random(seed).choices("abc ", k=length))


@pytest.mark.parametrize("rooms", [1 + 2 * 7, 1 + 4 * 7])
def test_alone_or_in_company_the_answer_is_the_same(rooms):
    prompts = [prompt_of(i, 3 + 11 * i) for i in range(20)]
    engine = make_engine(max_running=7, rooms=rooms)
    for i, prompt in enumerate(prompts):
        engine.add(request(prompt, id=str(i), max_tokens=5 + i))
    found = texts(run(engine))
    for i, prompt in enumerate(prompts):
        assert found[str(i), 0] == answer(prompt, max_tokens=5 + i)


@pytest.mark.parametrize("rooms", [1 + 2 * 64, 1 + 4 * 64])
def test_preempted_sequences_go_on_from_a_snapshot_or_begin_again(rooms):
    rng = random.Random(5)
    model = StatefulModel()
    engine = make_engine(
        model, blocks=8 * 8, rooms=rooms, max_running=64, prefill_chunk=32, context=128
    )
    wanted = {}
    for i in range(200):
        prompt = "".join(rng.choices("xyz", k=rng.randint(1, 90)))
        length = rng.randint(1, 128 - 90)
        params = {"temperature": rng.choice([0.0, 1.0]), "top_k": 1}
        wanted[str(i), 0] = answer(prompt, max_tokens=length)
        engine.add(request(prompt, id=str(i), max_tokens=length, **params))
    assert texts(run(engine)) == wanted


def test_the_next_turn_computes_only_what_is_new():
    model = StatefulModel()
    engine = make_engine(model)
    engine.add(request("z" * 160, max_tokens=4))
    run(engine)
    model.rows.clear()
    engine.add(request("z" * 160 + "more", id="next", max_tokens=4))
    events = run(engine)
    assert sum(model.rows) <= 32 + 4 + 4
    assert events[-1].usage.cached_tokens == 160
    assert texts(events)["next", 0] == answer("z" * 160 + "more", max_tokens=4)


def test_the_next_turn_begins_after_the_answer():
    engine = make_engine()
    engine.add(request("z" * 100, max_tokens=60, temperature=1.0, top_k=1))
    said = texts(run(engine))["r", 0]
    prompt = "z" * 100 + said + "more"
    engine.add(request(prompt, id="next", max_tokens=4, temperature=1.0, top_k=1))
    events = run(engine)
    assert events[-1].usage.cached_tokens == 128
    assert texts(events)["next", 0] == answer(prompt, max_tokens=4)


def test_an_idle_engine_prepares_the_next_turn_of_an_answer_with_a_seed():
    def cached_in_the_next_turn(pause):
        engine = make_engine()
        engine.add(request("z" * 100, max_tokens=60, seed=1))
        said = texts(run(engine))["r", 0]
        renewed = [engine.renew() for _ in range(pause)]
        assert not any(renewed[3:]), "it ends"
        engine.check_integrity()
        engine.add(request("z" * 100 + said + "more", id="next", max_tokens=4, seed=1))
        return run(engine)[-1].usage.cached_tokens

    assert [cached_in_the_next_turn(pause) for pause in (0, 1, 9)] == [96, 128, 128]


def test_a_prefix_of_several_prompts_gets_a_snapshot_when_it_is_seen_again():
    system = prompt_of(1, 150)
    engine, cached = make_engine(), []
    for i in range(3):
        prompt = system + prompt_of(i + 2, 300)
        engine.add(request(prompt, id=str(i), max_tokens=4))
        events = run(engine)
        assert texts(events)[str(i), 0] == answer(prompt, max_tokens=4)
        cached.append(events[-1].usage.cached_tokens)
    assert cached == [0, 0, 128]


def test_choices_share_the_prompt():
    model = StatefulModel()
    engine = make_engine(model)
    engine.add(request(prompt_of(1, 200), n=4, max_tokens=8))
    found = texts(run(engine))
    assert set(found.values()) == {answer(prompt_of(1, 200), max_tokens=8)}
    assert sum(model.rows) < 200 + 4 * (32 + 8 * 2)


def test_correct_guesses_are_computed_again_and_change_nothing():
    prompt = prompt_of(1, 40)
    said = answer(prompt, max_tokens=90)
    for prediction in (said, said[:50] + "#" + said[50:], "none of it"):
        model = StatefulModel()
        engine = make_engine(model)
        tokens = tuple(prediction.encode())
        engine.add(request(prompt, max_tokens=90, prediction=tokens))
        assert texts(run(engine))["r", 0] == said
        if prediction == said:
            assert len(model.rows) < 30


def test_a_failed_step_repeats_from_the_states_before_it():
    model = StatefulModel()
    engine = make_engine(model)
    good, bad = prompt_of(1, 90), "abc!"
    engine.add(request(good, id="good", max_tokens=40))
    for _ in range(10):
        engine.step()
    model.fail_on = ord("!")
    engine.add(request(bad, id="bad", max_tokens=4))
    events = [event for event in run(engine) if event.error]
    assert [event.id for event in events] == ["bad"]
    engine.add(request(good + answer(good, max_tokens=40), id="next", max_tokens=4))
    assert texts(run(engine))["next", 0] == answer(good + answer(good, max_tokens=40), max_tokens=4)


def test_a_repeatable_answer_does_not_begin_from_the_state_of_an_answer():
    engine = make_engine()
    engine.add(request("z" * 60, max_tokens=60, temperature=1.0, top_k=1))
    prompt = "z" * 60 + texts(run(engine))["r", 0] + "more"
    engine.add(request(prompt, id="next", max_tokens=4, seed=1))
    assert run(engine)[-1].usage.cached_tokens == 32
