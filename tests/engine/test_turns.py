import msgspec

from tests.engine.fakes import make_engine, request, run


def of(owner, prompt, **options):
    return msgspec.structs.replace(request(prompt, **options), scope=owner)


def ends(events):
    return [event.id for event in events if event.ends]


def test_an_owner_with_many_requests_does_not_keep_out_another():
    engine = make_engine(max_running=2)
    for i in range(10):
        engine.add(of("many", f"m{i} ", id=f"many {i}", max_tokens=4))
    engine.step()
    engine.add(of("one", "o ", id="one", max_tokens=4))
    order = ends(run(engine))
    assert order.index("one") <= 3
    assert [name for name in order if name != "one"] == [f"many {i}" for i in range(10)]


def test_owners_take_turns():
    engine = make_engine(max_running=1)
    for owner in ("a", "b", "c"):
        for i in range(3):
            engine.add(of(owner, f"{owner}{i} ", id=f"{owner}{i}", max_tokens=1))
    order = ends(run(engine))
    assert [name[0] for name in order] == list("abcabcabc")


def test_small_requests_overtake_a_prompt_that_waits_for_the_cache():
    engine = make_engine(blocks=16, context=512, max_running=8, prefill_chunk=64)
    for i in range(4):
        engine.add(request(f"{i}" * 400, id=f"huge {i}", max_tokens=60))
    for _ in range(3):
        engine.step()
    for i in range(6):
        engine.add(request(f"small {i}", id=f"small {i}", max_tokens=2))
    order = ends(run(engine))
    assert order[:6] == [f"small {i}" for i in range(6)]


def test_a_stream_of_small_requests_does_not_starve_the_prompt_that_waits():
    engine = make_engine(blocks=20, context=512, max_running=8, prefill_chunk=64)
    engine.add(request("a" * 400, id="first", max_tokens=30))
    engine.step()
    engine.add(request("b" * 500, id="huge", max_tokens=2))
    finished, steps = [], 0
    while "huge" not in finished:
        engine.add(request(f"small {steps}", id=f"small {steps}", max_tokens=6))
        finished += ends(engine.step())
        steps += 1
        assert steps < 400
    assert any(name.startswith("small") for name in finished[: finished.index("huge")])
    run(engine)
