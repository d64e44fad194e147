import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from minikin.store.batches import Batches
from tests.api.batches.batch_client import begin, ended, jsonl, line, results
from tests.openai_clients import client_of
from tests.patience import until

ROOT = Path(__file__).parents[3]


def start(database, folder):
    """A server process, and a client for it."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("server_process.py"), database, folder],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout
    return process, client_of(SimpleNamespace(url=process.stdout.readline().strip()))


@pytest.mark.parametrize(
    ("lines", "kills"),
    [(200, (0, 50)), pytest.param(600, (0, 50, 150, 250), marks=pytest.mark.thorough)],
)
def test_a_killed_server_loses_no_line_and_repeats_none(location, tmp_path, lines, kills):
    names = {f"r{i}" for i in range(lines)}
    process, client = start(location, tmp_path / "files")
    made = begin(client, *map(line, sorted(names)), line("refused", n=0))

    def completed():
        return client.batches.retrieve(made.id).request_counts.completed

    try:
        for killed_at in kills:
            until(lambda least=killed_at: completed() >= least)
            finished = completed()
            process.kill()
            process.communicate()
            process, client = start(location, tmp_path / "files")
            assert completed() >= finished, "a finished line is never lost"
        batch = ended(client, made)
        assert batch.request_counts.to_dict() == {
            "total": lines + 1,
            "completed": lines,
            "failed": 1,
        }
        assert set(results(client, batch.output_file_id)) == names
        assert list(results(client, batch.error_file_id)) == ["refused"]
        assert len(client.files.list().data) == 3
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_server_that_dies_when_a_batch_ends_shows_its_files_once(serve, monkeypatch, moment):
    monkeypatch.setattr("minikin.api.batches.runner.POLL_SECONDS", 0.05)
    end, ends = Batches.end, []

    async def dies(self, *args):
        ends.append(args)
        if moment == "after":
            await end(self, *args)
        if len(ends) == 1:
            raise RuntimeError("killed")
        await end(self, *args)

    monkeypatch.setattr(Batches, "end", dies)
    client = client_of(serve())
    made = begin(client, line("a"), line("b", n=0))
    batch = ended(client, made)
    until(lambda: len(ends) == (2 if moment == "before" else 1))
    assert set(results(client, batch.output_file_id)) == {"a"}
    assert len(client.files.list().data) == 3


@pytest.mark.parametrize("url", ["/v1/chat/completions", "/v1/responses"])
def test_a_line_that_was_stored_before_a_kill_is_not_stored_twice(serve, monkeypatch, url):
    monkeypatch.setattr("minikin.api.batches.runner.POLL_SECONDS", 0.05)
    finish, lost = Batches.finish_line, []

    async def dies(self, *args):
        if len(lost) < 2:
            lost.append(args)
            raise RuntimeError("killed")
        await finish(self, *args)

    monkeypatch.setattr(Batches, "finish_line", dies)
    server = serve()
    client = client_of(server)
    chat = url.endswith("completions")
    asked = {"messages": [{"role": "user", "content": "Hi"}]} if chat else {"input": "Hi"}
    body = {"model": "gpt-4.1-mini", "store": True, "metadata": {"a": "b"}, **asked}
    lines = [{"custom_id": name, "method": "POST", "url": url, "body": body} for name in ("a", "b")]
    file = client.files.create(file=("in.jsonl", jsonl(*lines)), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h")
    found = results(client, ended(client, made).output_file_id)
    assert len(lost) == 2
    ids = {each["response"]["body"]["id"] for each in found.values()}
    assert len(ids) == 2
    assert len({request.id for request in server.engine.requests}) == len(ids)
    kept = client.chat.completions if chat else client.responses
    for each in found.values():
        answer = each["response"]["body"]
        again = kept.retrieve(answer["id"]).to_dict()
        assert {name: again[name] for name in answer} == answer
    if chat:
        assert {each.id for each in client.chat.completions.list().data} == ids
