"""Prompts that outlast an engine: over a scripted model, which sees the cache's slots."""

from __future__ import annotations

import logging
import random
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import torch

from minikin.engine import prefix_files, prefix_store
from minikin.engine.engine import Engine
from minikin.engine.model.block import BLOCK
from minikin.engine.prefix_files import PrefixFiles
from minikin.engine.prefix_store import BLOCKS, LEAST_TOKENS, UNIT, PrefixStore, Unit
from tests.engine.fakes import ByteTokenizer, HashingModel, request, run, texts
from tests.patience import PATIENCE, until

CONTEXT = 4096
LONG = "".join(random.Random(1).choices("abc ", k=1300))
STORED = 10 * UNIT
"""Its tokens in whole units, without its last token."""


def make_engine(folder: Path | None, model=None, *, key=b"key", blocks=128, chunk=512, most=10**9):
    cache = SimpleNamespace(
        blocks=blocks, rooms=0, tokens=torch.zeros(blocks * BLOCK, dtype=torch.int64)
    )
    numbers = cache.tokens.numpy().view(np.uint16).reshape(blocks, -1)
    files = PrefixFiles(folder, most, BLOCKS * numbers[0].size) if folder else None
    return Engine(
        model or HashingModel(),
        cache,
        ByteTokenizer(),
        context_length=CONTEXT,
        max_running=8,
        prefill_chunk=chunk,
        store=PrefixStore(files, key, [numbers]) if files else None,
    )


def answers(engine, prompt=LONG, **more):
    """The events of one answer, after which its prompt is stored."""
    scope, gives_way = more.pop("scope", ""), more.pop("gives_way", False)
    sent = request(prompt, **more)
    engine.add(msgspec.structs.replace(sent, scope=scope, gives_way=gives_way))
    events = run(engine)
    if engine.scheduler.store:
        assert engine.scheduler.store.finish(PATIENCE)
    return events


def cached(engine, prompt=LONG, **more):
    """The tokens that were not computed, and those of them from the store."""
    usage = answers(engine, prompt, **more)[-1].usage
    return usage.cached_tokens, usage.restored_tokens


def said(engine, prompt=LONG, **more):
    return texts(answers(engine, prompt, **more))["r", 0]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "prefixes"


def stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.prefix"))


@pytest.mark.parametrize("params", [{}, {"seed": 1, "temperature": 1.0}, {"temperature": 1.0}])
def test_a_new_engine_computes_only_what_is_new(folder, params):
    expected = said(make_engine(None), **params)
    assert cached(make_engine(folder)) == (0, 0)
    model = HashingModel()
    engine = make_engine(folder, model)
    events = answers(engine, **params)
    assert (events[-1].usage.cached_tokens, events[-1].usage.restored_tokens) == (STORED, STORED)
    if "seed" in params or not params:
        assert texts(events)["r", 0] == expected
    assert sum(model.rows) < 100
    assert cached(engine) == (STORED + BLOCK * ((1300 - 1 - STORED) // BLOCK), 0)


def test_the_next_question_after_the_same_start_reuses_it(folder):
    answers(make_engine(folder))
    other = LONG[: 5 * UNIT] + "?" * 700
    expected = said(make_engine(None), other)
    engine = make_engine(folder)
    assert said(engine, other) == expected
    assert cached(make_engine(folder), other + "more")[1] == len(other) // UNIT * UNIT


def test_blocks_that_memory_has_are_not_read_again(folder):
    answers(make_engine(folder))
    engine = make_engine(folder)
    start = UNIT + 2 * BLOCK  # in the middle of a unit
    assert cached(engine, LONG[: start + 1]) == (0, 0)
    expected = said(make_engine(None))
    events = answers(engine)
    assert texts(events)["r", 0] == expected
    assert events[-1].usage.cached_tokens == STORED
    assert events[-1].usage.restored_tokens == STORED - start


def test_what_is_used_from_memory_counts_as_used(folder):
    engine = make_engine(folder)
    answers(engine)
    before = {file: file.stat().st_mtime_ns for file in stored(folder)}
    answers(engine)
    assert all(file.stat().st_mtime_ns > used for file, used in before.items())


def test_the_end_of_a_prompt_leaves_before_its_start(folder):
    answers(make_engine(folder))
    store = make_engine(folder).scheduler.store
    files = [folder / f"{name}.prefix" for name in store.names(list(LONG.encode()), "")]
    assert set(files) == set(stored(folder))
    used = [file.stat().st_mtime_ns for file in files]
    assert used == sorted(used, reverse=True)
    assert len(set(used)) == len(used)


def test_the_limit_holds(folder):
    file_size = 40 + 2 * BLOCKS * BLOCK * 4  # the scripted cache has 8 bytes a token
    size = 12 * file_size
    engine = make_engine(folder, most=size)
    for at in range(4):
        answers(engine, f"{at}" + LONG)
        assert len(stored(folder)) * file_size <= size
    assert cached(make_engine(folder, most=size), "3" + LONG)[1] > 0


@pytest.mark.parametrize("other", [{"scope": "another API key"}, {"key": b"another model"}])
def test_others_do_not_find_it(folder, other):
    key = {"key": other.pop("key")} if "key" in other else {}
    answers(make_engine(folder))
    assert cached(make_engine(folder, **key), **other) == (0, 0)
    assert cached(make_engine(folder)) == (STORED, STORED)


def test_a_short_prompt_is_not_stored(folder):
    answers(make_engine(folder), LONG[: LEAST_TOKENS - 1])
    assert stored(folder) == []
    answers(make_engine(folder), LONG[:LEAST_TOKENS])
    assert len(stored(folder)) == (LEAST_TOKENS - 1) // UNIT


def test_a_prompt_in_the_background_is_not_stored_but_can_be_found(folder):
    answers(make_engine(folder), gives_way=True)
    assert stored(folder) == []
    answers(make_engine(folder))
    assert cached(make_engine(folder), gives_way=True) == (STORED, STORED)


def test_log_probabilities_of_a_prompt_need_its_computation(folder):
    answers(make_engine(folder))
    model = HashingModel()
    events = answers(make_engine(folder, model), prompt_logprobs=0, max_tokens=1)
    assert sum(len(event.prompt_logprobs) for event in events) == len(LONG) - 1
    assert sum(model.rows) >= len(LONG)


def test_a_running_answer_goes_through_while_blocks_are_read(folder):
    answers(make_engine(folder))
    engine = make_engine(folder, chunk=UNIT)
    engine.add(request("short", id="short", max_tokens=40))
    engine.step()
    engine.add(request(LONG, id="long", max_tokens=1))
    events = run(engine)
    order = [event.id for event in events]
    assert order.index("long") >= 10, "one unit is read in each step"
    assert texts(events)["long", 0] == said(make_engine(None), max_tokens=1)


def test_many_that_bring_the_same_prompt_read_it_once(folder, monkeypatch):
    answers(make_engine(folder))
    reads = []
    read = PrefixFiles.read
    monkeypatch.setattr(PrefixFiles, "read", lambda *args: (reads.append(args[1]), read(*args))[1])
    engine = make_engine(folder)
    for at in range(4):
        engine.add(request(LONG, id=f"{at}", n=2, max_tokens=4))
    found = texts(run(engine))
    assert set(found.values()) == {said(make_engine(None), max_tokens=4)}
    assert len(reads) == len(set(reads)) == STORED // UNIT


def test_sequences_that_are_preempted_as_they_read_begin_again(folder):
    prompts = [f"{at}" + LONG for at in range(4)]
    first = make_engine(folder, blocks=512)
    expected = {f"{at}": said(first, prompt, max_tokens=90) for at, prompt in enumerate(prompts)}
    engine = make_engine(folder, blocks=84, chunk=UNIT)
    for at, prompt in enumerate(prompts):
        engine.add(request(prompt, id=f"{at}", max_tokens=90))
    assert {name: text for (name, _), text in texts(run(engine)).items()} == expected


def test_a_cancelled_request_stops_reading(folder):
    answers(make_engine(folder))
    engine = make_engine(folder, chunk=UNIT)
    engine.add(request(LONG))
    engine.step()
    engine.cancel("r")
    assert run(engine) == []
    assert said(engine) == said(make_engine(None))


def test_a_damaged_unit_is_computed_and_stored_again(folder, caplog):
    expected = said(make_engine(folder))
    names = make_engine(folder).scheduler.store.names(list(LONG.encode()), "")
    file = folder / f"{names[4]}.prefix"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"\1")
    engine = make_engine(folder)
    events = answers(engine)
    assert texts(events)["r", 0] == expected
    assert events[-1].usage.restored_tokens == 4 * UNIT
    assert "cannot use" in caplog.text
    assert file.read_bytes() == whole
    assert cached(make_engine(folder)) == (STORED, STORED)


def test_blocks_that_are_needed_again_as_they_are_copied_are_not_stored(folder, monkeypatch):
    engine = make_engine(folder)
    pool, copy = engine.scheduler.pool, Unit.copy

    def steal(*args):
        until(lambda: not engine.busy)
        copy(*args)
        pool.release(pool.allocate(pool.available))

    monkeypatch.setattr(Unit, "copy", steal)
    answers(engine)
    assert stored(folder) == []
    monkeypatch.undo()
    answers(engine)
    assert len(stored(folder)) == STORED // UNIT


def test_a_full_disk_is_one_line_of_the_log(folder, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    engine = make_engine(folder)
    expected = said(make_engine(None))
    assert said(engine) == expected
    assert said(engine, "another" + LONG)
    assert [record.getMessage() for record in caplog.records] == [
        f"Cannot store prompts in {folder}: [Errno 28] the disk has less than 1 GB left"
    ]
    monkeypatch.undo()
    answers(engine)
    assert cached(make_engine(folder)) == (STORED, STORED)


def test_a_folder_that_is_deleted_costs_nothing_but_the_store(folder):
    engine = make_engine(folder)
    shutil.rmtree(folder)
    assert said(engine) == said(make_engine(None))
    assert said(engine, "another" + LONG)


def test_more_prompts_than_can_wait_are_dropped(folder, monkeypatch):
    begin, go = threading.Event(), threading.Event()
    touch = PrefixFiles.touch

    def slow(*args):
        begin.set()
        assert go.wait(PATIENCE)
        return touch(*args)

    monkeypatch.setattr(prefix_store, "MOST_WAITING", 2)
    monkeypatch.setattr(prefix_files.PrefixFiles, "touch", slow)
    engine = make_engine(folder, blocks=512)
    for at in range(5):
        engine.add(request(f"{at}" + LONG, id=f"{at}"))
        run(engine)
        assert begin.wait(PATIENCE)
    go.set()
    assert engine.scheduler.store.finish(PATIENCE)
    assert len(stored(folder)) == 3 * STORED // UNIT


def test_the_thread_rests_while_the_engine_computes(folder, monkeypatch):
    rests = []
    monkeypatch.setattr(prefix_store.time, "sleep", rests.append)
    engine = make_engine(folder)
    engine.add(request(LONG, max_tokens=1000))
    while not rests:
        engine.step()
    engine.cancel("r")
    assert engine.scheduler.store.finish(PATIENCE)
    assert 0 < len(rests) <= STORED // UNIT


def test_two_engines_that_store_the_same_prompts_agree(folder):
    engines = [make_engine(folder, blocks=512) for _ in range(2)]
    for at in range(4):
        for engine in engines:
            engine.add(request(f"{at}" + LONG, id=f"{at}"))
    for engine in engines:
        run(engine)
    for engine in engines:
        assert engine.scheduler.store.finish(PATIENCE)
    assert len(stored(folder)) == 4 * STORED // UNIT
    assert not [*folder.glob("*.part")]
    for at in range(4):
        assert cached(make_engine(folder), f"{at}" + LONG)[1] == STORED
