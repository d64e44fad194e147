import random
from types import SimpleNamespace

import msgspec
import pytest

from minikin.engine import sampler
from minikin.engine.answer_text import AnswerText
from minikin.engine.messages import EngineStats
from minikin.engine.scheduler import CALM_SECONDS, SHORT_CHUNK, SHORT_ROWS, Scheduler
from minikin.engine.sequence import Sequence
from minikin.engine.states import States
from tests.engine import stateful
from tests.engine.fakes import HashingModel, answer, make_engine, request, run, texts
from tests.engine.stateful import StatefulModel


def test_alone_or_in_company_the_answer_is_the_same():
    prompts = ["".join(random.Random(i).choices("abc ", k=3 + 11 * i)) for i in range(20)]
    engine = make_engine(max_running=7)
    for i, prompt in enumerate(prompts):
        engine.add(request(prompt, id=str(i), max_tokens=5 + i))
    found = texts(run(engine))
    for i, prompt in enumerate(prompts):
        assert found[str(i), 0] == answer(prompt, max_tokens=5 + i)


def test_two_hundred_mixed_requests_share_a_cache_for_eight():
    rng = random.Random(5)
    engine = make_engine(blocks=8 * 8, max_running=64, prefill_chunk=32, context=128)
    wanted = {}
    for i in range(200):
        prompt = "".join(rng.choices("xyz", k=rng.randint(1, 90)))
        length = rng.randint(1, 128 - 90)
        wanted[str(i), 0] = answer(prompt, max_tokens=length)
        engine.add(request(prompt, id=str(i), max_tokens=length))
    assert texts(run(engine)) == wanted


def test_a_long_prompt_never_fills_a_step_alone():
    model = HashingModel()
    engine = make_engine(model, prefill_chunk=16)
    engine.add(request("short", id="short", max_tokens=40))
    for _ in range(3):
        engine.step()
    engine.add(request("y" * 300, id="long", max_tokens=1))
    events = run(engine)
    assert max(model.rows) <= 16 + 1
    positions = [i for i, event in enumerate(events) if event.id == "long"]
    assert positions[0] > 10, "the short answer went on while the long prompt was read"


def test_small_prompts_do_not_wait_behind_a_huge_one():
    engine = make_engine(prefill_chunk=32)
    engine.add(request("h" * 400, id="huge", max_tokens=1))
    engine.add(request("small", id="small", max_tokens=1))
    assert [event.id for event in run(engine)] == ["small", "huge"]


def test_the_next_turn_computes_only_what_is_new():
    model = HashingModel()
    engine = make_engine(model)
    engine.add(request("z" * 160, max_tokens=4))
    run(engine)
    model.rows.clear()
    engine.add(request("z" * 160 + "more", id="next", max_tokens=4))
    events = run(engine)
    assert sum(model.rows) < 32
    assert events[-1].usage.cached_tokens == 160
    assert texts(events)["next", 0] == answer("z" * 160 + "more", max_tokens=4)


def test_an_idle_engine_prepares_the_next_turn_of_an_answer_with_a_seed():
    def cached_in_the_next_turn(pause):
        engine = make_engine()
        engine.add(request("z" * 100, max_tokens=60, seed=1))
        said = texts(run(engine))["r", 0]
        for _ in range(pause):
            engine.renew()
        engine.check_integrity()
        engine.add(request("z" * 100 + said + "more", id="next", max_tokens=4, seed=1))
        return run(engine)[-1].usage.cached_tokens

    # Blocks have 32 tokens: 3 are of the prompt, and 1 is of the answer alone.
    assert [cached_in_the_next_turn(pause) for pause in (0, 1, 9)] == [96, 128, 128]


def test_an_answer_that_cannot_be_prepared_costs_nothing_but_that():
    model = HashingModel()
    engine = make_engine(model)
    engine.add(request("z" * 100, max_tokens=60, seed=1))
    run(engine)
    model.fail_on = ord("z")
    assert engine.renew()
    assert not engine.renew()
    engine.check_integrity()
    engine.add(request("other", id="next", max_tokens=4))
    assert texts(run(engine))["next", 0] == answer("other", max_tokens=4)


@pytest.mark.parametrize(
    ("make", "model"), [(make_engine, HashingModel()), (stateful.make_engine, StatefulModel())]
)
def test_a_prefix_that_many_bring_at_once_is_computed_once(make, model):
    engine = make(model, max_running=8)
    prefix = "".join(random.Random(1).choices("abc ", k=200))
    wanted = {}
    for i in range(8):
        wanted[str(i), 0] = answer(f"{prefix}{i}", max_tokens=4)
        engine.add(request(f"{prefix}{i}", id=str(i), max_tokens=4))
    assert texts(run(engine)) == wanted
    assert sum(model.rows) < 200 + 8 * 64


def test_a_prefix_is_each_scopes_own():
    model = HashingModel()
    engine = make_engine(model)
    for scope in ("", "key one", "key two"):
        sent = request("z" * 160, id=scope, max_tokens=1)
        engine.add(msgspec.structs.replace(sent, scope=scope))
    # Nobody waits for another key's prompt, since it would be of no use.
    assert {event.usage.cached_tokens for event in run(engine)} == {0}
    assert sum(model.rows) == 3 * 160


def test_choices_share_their_prompt_and_end_alone():
    model = HashingModel()
    engine = make_engine(model)
    engine.add(request("q" * 100, n=4, max_tokens=6))
    events = run(engine)
    assert sum(model.rows) < 100 + 4 * (6 + 16)
    assert {index for _, index in texts(events)} == {0, 1, 2, 3}
    assert [e.index for e in events if e.finish_reason] == [0, 1, 2, 3]


def test_cancelling_frees_the_place_at_once():
    engine = make_engine(max_running=1)
    for name in ("running", "queued", "kept"):
        engine.add(request(name, id=name, max_tokens=50))
    engine.step()
    engine.cancel("running")
    engine.cancel("queued")
    engine.cancel("unknown")
    events = run(engine)
    assert {event.id for event in events} == {"kept"}
    assert engine.scheduler.pool.available == 64


def test_a_failed_step_ends_its_requests_and_nothing_else():
    model = HashingModel()
    model.fail_on = ord("!")
    engine = make_engine(model)
    engine.add(request("bad!", id="bad"))
    failed = run(engine)
    assert [event.error for event in failed] == ["RuntimeError"]
    engine.add(request("good", id="good"))
    assert texts(run(engine))["good", 0] == answer("good")


def test_a_failure_of_the_model_ends_one_request_and_not_those_beside_it():
    model = HashingModel()
    model.fail_on = ord("!")
    engine = make_engine(model)
    for name in ("good", "bad!", "fine"):
        engine.add(request(name, id=name, max_tokens=9))
    events = run(engine)
    assert [event.id for event in events if event.error] == ["bad!"]
    for name in ("good", "fine"):
        assert texts(events)[name, 0] == answer(name, max_tokens=9)
    assert engine.scheduler.pool.available == 64


@pytest.mark.parametrize("fault", [RuntimeError, ValueError, MemoryError, KeyError])
@pytest.mark.parametrize("place", ["sample", "spell", "begin"])
def test_a_failure_at_one_request_ends_it_alone(monkeypatch, place, fault):
    def fail_for_bad(sequences, *_):
        if any(sequence.request.id == "bad" for sequence in sequences):
            raise fault("injected")

    engine = make_engine()
    if place == "sample":
        draw = sampler.draw_of
        monkeypatch.setattr(sampler, "draw_of", lambda sequence, ahead: (
            fail_for_bad([sequence]), draw(sequence, ahead))[1])  # fmt: skip
    elif place == "spell":
        take = AnswerText.take
        monkeypatch.setattr(AnswerText, "take", lambda self, token, entry: (
            fail_for_bad([s for s in engine._choices.get("bad", ()) if s.answer is self]),
            take(self, token, entry))[1])  # fmt: skip
    else:
        begin = Sequence.begin
        monkeypatch.setattr(Sequence, "begin", lambda asked, *rest: (
            fail_for_bad([SimpleNamespace(request=asked)]), begin(asked, *rest))[1])  # fmt: skip
    for name in ("good", "bad", "fine"):
        engine.add(request(name, id=name, max_tokens=9, n=2))
    events = run(engine)
    assert {event.id for event in events if event.error} == {"bad"}
    for name in ("good", "fine"):
        assert texts(events)[name, 1] == answer(name, max_tokens=9)
    assert engine.scheduler.pool.available == 64


def test_a_seed_repeats_the_draws_beside_any_other_requests():
    class Flat(HashingModel):
        def logits(self, hidden, few):
            return super().logits(hidden, few) * 0

    def drawn(engine, **params):
        engine.add(request("s", max_tokens=20, temperature=1.0, **params))
        return texts(run(engine))["r", 0]

    alone = drawn(make_engine(Flat()), seed=7)
    crowd = make_engine(Flat())
    for i in range(5):
        crowd.add(request("other", id=str(i), temperature=1.0))
    assert drawn(crowd, seed=7) == alone
    assert drawn(make_engine(Flat()), seed=8) != alone
    assert drawn(make_engine(Flat())) != drawn(make_engine(Flat()))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_prediction_changes_the_pace_and_not_the_answer(temperature):
    def asked(predicted):
        model = HashingModel()
        engine = make_engine(model)
        params = {"max_tokens": 60, "temperature": temperature, "seed": 3}
        engine.add(request("once upon", prediction=tuple(predicted.encode()), **params))
        events = run(engine)
        return texts(events)["r", 0], len(model.rows), events[-1].usage

    plain, steps, _ = asked("")
    assert steps == 60
    changed = plain[:30] + "#" + plain[31:]
    for predicted in (plain, changed, plain[:20] + plain[25:], "nothing like it", "x" + plain):
        text, _, usage = asked(predicted)
        assert text == plain
        assert usage.completion_tokens == 60 + usage.rejected_prediction_tokens
    _, steps, usage = asked(plain)
    assert steps < 10
    assert usage.accepted_prediction_tokens > 50
    assert usage.rejected_prediction_tokens == 0
    _, steps, usage = asked(changed)
    assert steps < 15
    assert 0 < usage.rejected_prediction_tokens < 60


def test_a_prediction_keeps_out_of_the_way_of_a_repetition_penalty():
    model = HashingModel()
    model.script = lambda context: ord("x" if len(context) == len("once upon") else "a")
    engine = make_engine(model)
    settings = {"repetition_penalty": 4.0, "logit_bias": {ord("b"): 10.0}}
    engine.add(request("once upon", max_tokens=5, prediction=tuple(b"xaaaa"), **settings))
    # The first `a` takes its logit from 20 to 5, below that of `b`.
    assert texts(run(engine))["r", 0] == "xabbb"


def test_repeated_text_is_guessed_and_nothing_else_changes():
    song = b"row row row your boat gently down the stream, merrily, "
    model = HashingModel()
    model.script = lambda context: song[(len(context) - 1) % len(song)]
    engine = make_engine(model)
    engine.add(request("x", max_tokens=300))
    assert texts(run(engine))["r", 0].encode() == (song * 6)[:300]
    assert len(model.rows) < 150
    assert engine.scheduler.pool.available == 64


def test_wrong_guesses_are_given_up():
    model = HashingModel()
    # The same three tokens again and again, and another one after them each time.
    model.script = lambda context: 97 + (len(context) * 7 % 26 if len(context) % 4 == 0 else 0)
    engine = make_engine(model)
    engine.add(request("odd", max_tokens=300))
    run(engine)
    assert sum(model.rows) < 300 * 1.25


def test_with_many_answers_at_once_nothing_is_guessed():
    model = HashingModel()
    model.script = lambda context: 97
    engine = make_engine(model)
    for i in range(8):
        engine.add(request("abc", id=str(i), max_tokens=50))
    run(engine)
    assert max(model.rows) <= 8 * len("abc")
    assert len(model.rows) >= 50


@pytest.mark.parametrize(
    ("prompts", "roles"),
    [
        ([("short", None)], ["exact"]),
        ([("short", 7)], ["prompt"]),  # its result must not depend on the others' lengths
        ([("short", None), ("short too", None)], ["prompt", "prompt"]),
        ([("short", None), ("l" * 30, None)], ["prompt", "prompt"]),
        ([("l" * 30, None)], ["prompt"]),
    ],
    ids=["short", "seeded", "many rows", "beside a long one", "long"],
)
def test_only_short_prompts_that_need_not_repeat_use_the_kernels_for_answers(prompts, roles):
    engine = make_engine()
    for i, (prompt, seed) in enumerate(prompts):
        engine.add(request(prompt, id=str(i), temperature=1.0, seed=seed))
    assert [span.role for span in engine.scheduler.schedule()] == roles


def gives_way(prompt, **options):
    return msgspec.structs.replace(request(prompt, **options), gives_way=True)


def test_a_request_in_the_background_waits_for_all_others():
    model = HashingModel()
    engine = make_engine(model)
    for i in range(4):
        engine.add(gives_way(f"below {i}", id=f"below {i}", max_tokens=30))
    for _ in range(5):
        engine.step()
    engine.add(request("above", id="above", max_tokens=20))
    events, model.rows = [], []
    while not any(event.id == "above" and event.ends for event in events):
        events += engine.step()
    assert {event.id for event in events} == {"above"}
    assert max(model.rows[1:]) < 4, "no step has rows of the background"
    events += run(engine)
    found = texts(events)
    assert found["above", 0] == answer("above", max_tokens=20)
    for i in range(4):
        whole = answer(f"below {i}", max_tokens=30)
        assert whole.endswith(found[f"below {i}", 0])
        assert found[f"below {i}", 0]


def test_the_background_makes_room_and_still_gets_its_whole_answers():
    rng = random.Random(6)
    engine = make_engine(blocks=8 * 8, max_running=6, prefill_chunk=32, context=128)
    wanted, events = {}, []
    for i in range(120):
        prompt = "".join(rng.choices("xyz", k=rng.randint(1, 90)))
        length = rng.randint(1, 128 - 90)
        wanted[str(i), 0] = answer(prompt, max_tokens=length)
        make = request if i % 3 else gives_way
        engine.add(make(prompt, id=str(i), max_tokens=length))
        for _ in range(rng.randint(0, 12)):
            events += engine.step()
    assert texts(events + run(engine)) == wanted
    engine.check_integrity()
    assert engine.scheduler.pool.available == 64


def test_a_full_house_of_the_background_does_not_keep_a_request_out():
    engine = make_engine(max_running=3)
    for i in range(5):
        engine.add(gives_way(f"below {i}", id=f"below {i}", max_tokens=30))
    for _ in range(3):
        engine.step()
    assert len(engine.scheduler.running) == 3
    for i in range(3):
        engine.add(request(f"above {i}", id=f"above {i}", max_tokens=3))
    engine.step()
    assert all(not s.gives_way for s in engine.scheduler.running)
    ends = [event.id for event in run(engine) if event.ends]
    assert [name[:5] for name in ends] == ["above"] * 3 + ["below"] * 5


def test_a_request_does_not_wait_for_a_prefix_of_the_background():
    engine = make_engine(prefill_chunk=16)
    engine.add(gives_way("p" * 400, id="below", max_tokens=1))
    engine.step()
    engine.add(request("p" * 300, id="above", max_tokens=1))
    ends = [event.id for event in run(engine) if event.ends]
    assert ends == ["above", "below"]


def test_its_stats_are_those_of_the_moment():
    engine = make_engine(max_running=1)
    assert engine.stats == EngineStats()
    for name in ("one", "two"):
        engine.add(request("z" * 64, id=name, max_tokens=4))
    engine.step()
    stats = engine.stats
    assert (stats.running, stats.waiting) == (1, 1)
    assert 2 / 64 <= stats.cache_used <= 4 / 64
    run(engine)
    assert engine.stats == EngineStats()


def test_the_background_takes_short_steps_while_requests_come():
    now, model = [0.0], HashingModel()
    engine = make_engine(model, max_running=32)
    engine.scheduler = Scheduler(
        engine.scheduler.pool, States(0), context_length=128, max_running=32, prefill_chunk=64,
        clock=lambda: now[0],
    )  # fmt: skip
    for i in range(20):
        engine.add(gives_way(f"below {i}", id=f"below {i}", max_tokens=60))
    while any(s.pending > 1 for s in engine.scheduler.running) or not engine.scheduler.running:
        engine.step()
    engine.step()
    assert model.rows[-1] == 20, "without requests, a step has all of them"
    engine.add(request("above", id="above", max_tokens=3))
    while not any(event.id == "above" and event.ends for event in engine.step()):
        pass
    tokens = {s.request.id: s.sampled for s in engine.scheduler.running}
    model.rows.clear()
    for _ in range(10):
        engine.step()
    assert max(model.rows) <= SHORT_ROWS
    gained = [s.sampled - tokens[s.request.id] for s in engine.scheduler.running]
    assert min(gained) >= 3, "they take turns"
    now[0] += CALM_SECONDS
    engine.step()
    assert model.rows[-1] == 20
    events = run(engine)
    for name, index in texts(events):
        assert answer(name, max_tokens=60).endswith(texts(events)[name, index])
    engine.check_integrity()


def test_a_long_prompt_of_the_background_is_read_in_short_steps_while_requests_come():
    model = HashingModel()
    engine = make_engine(model, prefill_chunk=64)
    engine.add(request("above", id="above", max_tokens=1))
    run(engine)
    engine.add(gives_way("p" * 200, id="below", max_tokens=1))
    model.rows.clear()
    assert texts(run(engine))["below", 0] == answer("p" * 200, max_tokens=1)
    assert max(model.rows) <= SHORT_CHUNK
