import asyncio
import contextlib
import sqlite3
import time

import openai
import pytest

from minikin.api.batches import runner
from minikin.store.batches import Batches
from minikin.store.database import check_database
from tests.api.batches.batch_client import Held, begin, ended, line, results
from tests.openai_clients import client_of
from tests.other_server import all_taken_over
from tests.patience import until


def test_lines_run_in_the_background_and_a_share_at_a_time(serve, monkeypatch):
    monkeypatch.setattr(runner, "MAX_RUNNING", 4)
    engine = Held()
    server = serve(engine, max_queued=1)
    client = client_of(server)
    made = begin(client, *(line(str(i)) for i in range(10)))
    until(lambda: engine.running == 4)
    answer = client.chat.completions.create(**line(text="fast")["body"])
    assert answer.choices[0].message.content == "Hello there!"
    engine.let_go = True
    assert ended(client, made).request_counts.completed == 10
    assert [request.gives_way for request in engine.requests] == [False] + [True] * 10
    assert engine.most <= 5


def test_batches_take_turns(serve, monkeypatch):
    monkeypatch.setattr(runner, "MAX_RUNNING", 2)
    engine = Held()
    client = client_of(serve(engine))
    long = begin(client, *(line(str(i)) for i in range(200)))
    until(lambda: engine.running == 2)
    short = begin(client, line("fast", "fast"))
    engine.let_go = True
    ended(client, short)
    assert client.batches.retrieve(long.id).status == "in_progress"
    ended(client, long)


def test_a_stopped_server_goes_on_where_it_was(serve, tmp_path):
    place = {"database": str(tmp_path / "kept.sqlite3")}
    engine = Held()
    first = serve(engine, **place)
    made = begin(client_of(first), line("a", "fast"), line("b"), line("c"))
    until(lambda: client_of(first).batches.retrieve(made.id).request_counts.completed == 1)
    first.stop()
    second = serve(**place)
    batch = ended(client_of(second), made)
    assert set(results(client_of(second), batch.output_file_id)) == {"a", "b", "c"}
    assert len(second.engine.requests) == 2, "the finished line did not run again"


def test_each_server_of_a_database_runs_its_own_batches(serve, location, monkeypatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.05)
    servers = [serve(database=location) for _ in range(2)]
    for server in servers:
        batch = ended(client_of(server), begin(client_of(server), line("a"), line("b")))
        assert batch.request_counts.completed == 2
    assert [len(server.engine.requests) for server in servers] == [2, 2]


def test_a_batch_that_ends_while_the_runner_looks_does_not_begin_again(serve, monkeypatch, caplog):
    looks = 0

    async def slow(batches):
        nonlocal looks
        found = await mine(batches)
        await asyncio.sleep(0.3)
        looks += 1
        return found

    mine = Batches.mine
    monkeypatch.setattr(Batches, "mine", slow)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    engine = Held()
    client = client_of(serve(engine))
    made = begin(client, line("a"))
    until(lambda: engine.running == 1)
    until(lambda seen=looks: looks > seen)
    engine.let_go = True
    ended(client, made)
    until(lambda seen=looks: looks > seen + 1)
    assert "stopped" not in caplog.text
    assert len(engine.requests) == 1


async def test_a_batch_ends_where_another_server_has_taken_it_over(serve, location, monkeypatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.05)
    engine = Held()
    server = serve(engine, database=location)
    made = begin(client_of(server), line("a"))
    until(lambda: engine.running == 1)
    async with all_taken_over(location):
        until(lambda: engine.running == 0)
        engine.let_go = True
        assert client_of(server).batches.retrieve(made.id).status == "in_progress"
        assert engine.requests == []


def test_a_database_of_a_newer_minikin_stops_batches_but_not_answers(serve, tmp_path, caplog):
    path = tmp_path / "kept.sqlite3"
    serve(database=str(path)).stop()
    check_database(str(path))
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    client = client_of(serve(database=str(path)))
    answer = client.chat.completions.create(**line()["body"])
    assert answer.choices[0].message.content == "Hello there!"
    until(lambda: "Batches do not run" in caplog.text)
    with pytest.raises(openai.InternalServerError, match="9999 of a newer Minikin"):
        client.batches.retrieve("batch_x")


def test_a_batch_runs_on_either_database(serve, location, tmp_path):
    place = {"database": location, "files": str(tmp_path / "files")}
    client = client_of(serve(**place))
    batch = ended(client, begin(client, *(line(f"\0{i}é") for i in range(120)), line("x", n=0)))
    assert len(results(client, batch.output_file_id)) == 120
    assert list(results(client, batch.error_file_id)) == ["x"]
    assert time.time() - batch.created_at < 3600
