"""Responses with `background: true`: polled, streamed, cancelled, and run after a restart."""

from __future__ import annotations

import json

import httpx
import pytest

from minikin.api.routes import background, stored_events
from minikin.errors import EngineFailure
from minikin.store.events import ResponseEvents
from minikin.store.responses import Responses
from tests.api.batches.test_killed import start
from tests.fakes import ScriptedEngine, live_server
from tests.other_server import all_taken_over
from tests.patience import PATIENCE, until

SLOW = {"tokens": [f"{n} " for n in range(40)], "pause": 0.02}
STUCK = {"tokens": ["a", "b"], "pause": 3600.0}


def create(server, **fields):
    body = {"model": "gpt-4.1-mini", "input": "Hi", "background": True, **fields}
    got = httpx.post(f"{server.url}/v1/responses", json=body, timeout=PATIENCE)
    assert got.status_code == 200, got.text
    return got.json()


def get(server, path, method="GET", status=200):
    got = httpx.request(method, f"{server.url}/v1/responses/{path}", timeout=PATIENCE)
    assert got.status_code == status, got.text
    return got.json()


def read_events(lines):
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def follow(server, path):
    with httpx.stream("GET", f"{server.url}/v1/responses/{path}", timeout=PATIENCE) as answer:
        assert answer.status_code == 200
        return list(read_events(answer.iter_lines()))


def ended(server, identifier):
    def has_ended():
        return get(server, identifier)["status"] not in ("queued", "in_progress")

    until(has_ended)
    return get(server, identifier)


@pytest.mark.parametrize("store", [True, False])
def test_a_response_is_queued_and_then_polled(serve, store):
    server = serve()
    made = create(server, store=store)
    assert (made["status"], made["output"], made["usage"]) == ("queued", [], None)
    assert made["service_tier"] == "auto"
    assert "billing" not in made
    done = ended(server, made["id"])
    assert done["status"] == "completed"
    assert done["output"][0]["content"][0]["text"] == "Hello there!"
    assert done["billing"] == {"payer": "developer"}


def test_a_stream_begins_with_queued_and_can_be_resumed(serve):
    server = serve(ScriptedEngine(**SLOW))
    body = {"model": "gpt-4.1-mini", "input": "Hi", "background": True, "stream": True}
    url = f"{server.url}/v1/responses"
    with httpx.stream("POST", url, json=body, timeout=PATIENCE) as answer:
        some = []
        for event in read_events(answer.iter_lines()):
            some.append(event)
            if len(some) == 8:
                break  # the client leaves, the response goes on
    assert [e["type"] for e in some[:3]] == [
        "response.created", "response.queued", "response.in_progress",
    ]  # fmt: skip
    assert some[0]["response"]["status"] == "queued"
    identifier = some[0]["response"]["id"]
    rest = follow(server, f"{identifier}?stream=true&starting_after=7")
    assert [e["sequence_number"] for e in rest] == list(range(8, 8 + len(rest)))
    assert rest[-1]["type"] == "response.completed"
    text = "".join(e.get("delta", "") for e in some + rest)
    assert text == "".join(SLOW["tokens"])
    again = follow(server, f"{identifier}?stream=true&include_obfuscation=false")
    assert not any("obfuscation" in event for event in again)
    assert len(again) == len(some) + len(rest)
    assert follow(server, f"{identifier}?stream=true&starting_after=999") == []


def test_only_a_response_that_streams_can_be_streamed(serve):
    server = serve()
    made = create(server)
    ended(server, made["id"])
    get(server, f"{made['id']}?stream=true", status=400)
    get(server, "resp_x?stream=true", status=404)


def test_a_cancelled_response_stays_so(serve):
    server = serve(ScriptedEngine(**STUCK))
    made = create(server)
    until(lambda: server.engine.requests)
    cancelled = get(server, f"{made['id']}/cancel", "POST")
    assert cancelled["status"] == "cancelled"
    assert server.engine.cancelled == [made["id"]]
    assert get(server, f"{made['id']}/cancel", "POST")["status"] == "cancelled"
    assert get(server, made["id"])["status"] == "cancelled"


def test_a_running_response_cannot_be_continued(serve):
    server = serve(ScriptedEngine(**STUCK))
    made = create(server)
    body = {"model": "gpt-4.1-mini", "input": "Hi", "previous_response_id": made["id"]}
    got = httpx.post(f"{server.url}/v1/responses", json=body, timeout=PATIENCE)
    assert got.json()["error"]["param"] == "previous_response_id"


def test_a_deleted_response_is_cancelled(serve):
    server = serve(ScriptedEngine(**STUCK))
    made = create(server)
    until(lambda: server.engine.requests)
    get(server, made["id"], "DELETE")
    assert server.engine.cancelled == [made["id"]]
    get(server, made["id"], status=404)


@pytest.mark.parametrize("after", [0, 2])
def test_a_failure_is_a_status(serve, after):
    failure = EngineFailure("The engine stopped.")
    server = serve(ScriptedEngine(fail_after=after, failure=failure))
    done = ended(server, create(server)["id"])
    assert done["status"] == "failed"
    assert done["error"] == {"code": "server_error", "message": "The engine stopped."}


def test_too_many_get_503(serve):
    server = serve(ScriptedEngine(**STUCK), max_queued=2)
    create(server)
    create(server)
    body = {"model": "gpt-4.1-mini", "input": "Hi", "background": True}
    got = httpx.post(f"{server.url}/v1/responses", json=body, timeout=PATIENCE)
    assert got.status_code == 503


def test_a_response_runs_again_after_a_restart(serve, tmp_path):
    place = {"database": str(tmp_path / "kept.sqlite3")}
    with live_server(ScriptedEngine(tokens=["One"]), **place) as first:
        body = {"model": "gpt-4.1-mini", "input": "Before?"}
        url = f"{first.url}/v1/responses"
        parent = httpx.post(url, json=body, timeout=PATIENCE).json()
    with live_server(ScriptedEngine(**STUCK), **place) as stuck:
        made = create(stuck, input="And?", previous_response_id=parent["id"], instructions="Brief.")
        until(lambda: stuck.engine.requests)
    second = serve(ScriptedEngine(tokens=["Two"]), **place)
    done = ended(second, made["id"])
    assert done["output"][0]["content"][0]["text"] == "Two"
    assert (done["id"], done["created_at"]) == (made["id"], made["created_at"])
    assert second.engine.requests[0].prompt == stuck.engine.requests[0].prompt
    listed = get(second, f"{made['id']}/input_items")["data"]
    assert [item["content"][0]["text"] for item in listed] == ["And?", "One", "Before?"]


def test_a_killed_server_loses_no_response(location, tmp_path):
    process, client = start(location, tmp_path / "files")
    try:
        made = client.responses.create(model="gpt-4.1-mini", input="Hi", background=True)
        process.kill()
        process.communicate()
        process, client = start(location, tmp_path / "files")
        until(lambda: client.responses.retrieve(made.id).status == "completed")
        assert client.responses.retrieve(made.id).output_text == "Hello there!"
    finally:
        process.kill()
        process.communicate()


def test_another_server_of_the_database_does_not_run_it_too(serve, tmp_path):
    place = {"database": str(tmp_path / "kept.sqlite3")}
    stuck = serve(ScriptedEngine(**STUCK), **place)
    made = create(stuck)
    until(lambda: stuck.engine.requests)
    other = serve(ScriptedEngine(), **place)
    done = ended(other, create(other)["id"])
    assert done["status"] == "completed"
    assert get(other, made["id"])["status"] == "queued"
    assert [request.id for request in other.engine.requests] == [done["id"]]


def test_a_server_that_starts_later_does_not_run_what_another_one_runs(serve, location):
    with live_server(ScriptedEngine(), database=location) as first:
        ended(first, create(first)["id"])
        stuck = serve(ScriptedEngine(**STUCK), database=location)
        made = create(stuck)
        until(lambda: stuck.engine.requests)
    later = serve(ScriptedEngine(), database=location)
    done = ended(later, create(later)["id"])
    assert get(later, made["id"])["status"] == "queued"
    assert [request.id for request in later.engine.requests] == [done["id"]]


def test_a_response_runs_at_another_server_after_the_end_of_its_own(serve, location, monkeypatch):
    monkeypatch.setattr(background, "TAKE_SECONDS", 0.05)
    other = serve(ScriptedEngine(tokens=["Two"]), database=location)
    with live_server(ScriptedEngine(**STUCK), database=location) as stuck:
        made = create(stuck)
        until(lambda: stuck.engine.requests)
    assert ended(other, made["id"])["output"][0]["content"][0]["text"] == "Two"


def test_an_unexpected_error_does_not_end_the_watch_over_other_servers(
    serve, location, monkeypatch
):
    monkeypatch.setattr(background, "TAKE_SECONDS", 0.05)
    others, failed = Responses.others, []

    async def fail_once(responses):
        if not failed:
            failed.append(True)
            raise KeyError("unexpected")
        return await others(responses)

    monkeypatch.setattr(Responses, "others", fail_once)
    with live_server(ScriptedEngine(**STUCK), database=location) as stuck:
        made = create(stuck)
        until(lambda: stuck.engine.requests)
        other = serve(ScriptedEngine(tokens=["Two"]), database=location)
    assert ended(other, made["id"])["output"][0]["content"][0]["text"] == "Two"
    assert failed


def begin_stream(server, **fields):
    """Create a background response that streams, and leave. Returns its id."""
    body = {"model": "gpt-4.1-mini", "input": "Hi", "background": True, "stream": True, **fields}
    with httpx.stream("POST", f"{server.url}/v1/responses", json=body, timeout=PATIENCE) as answer:
        return next(read_events(answer.iter_lines()))["response"]["id"]


def test_another_server_of_the_database_streams_it(serve, location):
    running = serve(ScriptedEngine(**SLOW), database=location)
    other = serve(ScriptedEngine(), database=location)
    identifier = begin_stream(running)
    live = follow(other, f"{identifier}?stream=true")
    assert [event["sequence_number"] for event in live] == list(range(len(live)))
    assert live[-1]["type"] == "response.completed"
    assert live == follow(running, f"{identifier}?stream=true")
    assert follow(other, f"{identifier}?stream=true&starting_after=7") == live[8:]
    assert follow(other, f"{identifier}?stream=true&starting_after=999") == []
    bare = follow(other, f"{identifier}?stream=true&include_obfuscation=false")
    assert not any("obfuscation" in event for event in bare)
    assert other.engine.requests == []
    get(other, identifier, "DELETE")
    get(other, f"{identifier}?stream=true", status=404)


def test_another_server_streams_only_what_streams(serve, location):
    running = serve(ScriptedEngine(**STUCK), database=location)
    other = serve(ScriptedEngine(), database=location)
    get(other, f"{create(running)['id']}?stream=true", status=400)
    get(other, "resp_x?stream=true", status=404)


def test_a_stream_at_another_server_ends_with_its_cancellation(pair):
    running, other = pair
    identifier = begin_stream(running)
    url = f"{other.url}/v1/responses/{identifier}?stream=true"
    with httpx.stream("GET", url, timeout=PATIENCE) as answer:
        events = read_events(answer.iter_lines())
        next(events)
        get(other, f"{identifier}/cancel", "POST")
        *_, last = events
    assert last["type"] == "response.cancelled"


async def test_a_stream_at_another_server_says_that_its_response_runs_elsewhere(pair, location):
    running, other = pair
    identifier = begin_stream(running)
    url = f"{other.url}/v1/responses/{identifier}?stream=true"
    with httpx.stream("GET", url, timeout=PATIENCE) as answer:
        events = read_events(answer.iter_lines())
        some = [next(events), next(events)]
        async with all_taken_over(location):
            some += events
    assert [event["sequence_number"] for event in some] == list(range(len(some)))
    # The server that lost it can store the same end first, and it adds `response.failed`.
    (fault,) = [event for event in some[-2:] if event["type"] == "error"]
    assert fault["error"]["message"] == stored_events.ELSEWHERE


def test_a_stream_without_its_last_events_has_an_honest_end(serve, location, monkeypatch):
    monkeypatch.setattr(stored_events, "END_SECONDS", 0.1)
    running = serve(ScriptedEngine(**STUCK), database=location)
    other = serve(ScriptedEngine(), database=location)
    identifier = begin_stream(running)
    monkeypatch.setattr(ResponseEvents, "add", lost)
    get(running, f"{identifier}/cancel", "POST")
    *_, last = follow(other, f"{identifier}?stream=true")
    assert last["type"] == "error"
    assert "not complete" in last["error"]["message"]


async def lost(events, new):
    pass


async def test_a_response_that_another_server_has_taken_over_ends(serve, location):
    running = serve(ScriptedEngine(tokens=["a "] * 2_000, pause=0.2), database=location)
    body = {"model": "gpt-4.1-mini", "input": "Hi", "background": True, "stream": True}
    with httpx.stream("POST", f"{running.url}/v1/responses", json=body, timeout=PATIENCE) as answer:
        events = read_events(answer.iter_lines())
        identifier = next(events)["response"]["id"]
        async with all_taken_over(location):
            *_, fault, last = events
            until(lambda: running.engine.cancelled == [identifier])
            assert get(running, identifier)["status"] == "queued"
    assert (fault["type"], last["type"]) == ("error", "response.failed")
    assert fault["error"]["message"] == stored_events.ELSEWHERE


@pytest.fixture
def pair(serve, location):
    """Two servers of one database. A response of the first one does not end soon."""
    with live_server(ScriptedEngine(), database=location) as before:
        ended(before, create(before)["id"])  # the database exists
    slow = serve(ScriptedEngine(tokens=["a "] * 2_000, pause=0.2), database=location)
    return slow, serve(ScriptedEngine(), database=location)


@pytest.fixture
def two_servers(pair):
    """The pair, and the id of a response that the first one runs."""
    running, other = pair
    made = create(running)
    until(lambda: running.engine.requests)
    return running, other, made["id"]


def test_another_server_of_the_database_cancels_it(two_servers):
    running, other, identifier = two_servers
    assert get(other, f"{identifier}/cancel", "POST")["status"] == "cancelled"
    until(lambda: running.engine.cancelled == [identifier])
    for server in running, other:
        assert ended(server, identifier)["status"] == "cancelled"
    assert get(running, f"{identifier}/cancel", "POST")["status"] == "cancelled"


def test_what_another_server_deletes_ends_and_does_not_come_back(two_servers):
    running, other, identifier = two_servers
    get(other, identifier, "DELETE")
    until(lambda: running.engine.cancelled == [identifier])
    until(lambda: httpx.get(f"{running.url}/v1/responses/{identifier}").status_code == 404)
    get(other, identifier, status=404)


def test_a_stream_ends_when_another_server_cancels_its_response(pair):
    running, other = pair
    body = {"model": "gpt-4.1-mini", "input": "Hi", "background": True, "stream": True}
    with httpx.stream("POST", f"{running.url}/v1/responses", json=body, timeout=PATIENCE) as answer:
        events = read_events(answer.iter_lines())
        identifier = next(events)["response"]["id"]
        get(other, f"{identifier}/cancel", "POST")
        *_, last = events
    assert last["type"] == "response.cancelled"
    assert last["response"]["status"] == get(running, identifier)["status"] == "cancelled"


@pytest.fixture
def no_look(monkeypatch):
    monkeypatch.setattr(background, "LOOK_SECONDS", 3600.0)


def test_what_another_server_cancels_just_before_its_end_stays_cancelled(no_look, two_servers):
    running, other, identifier = two_servers
    assert get(other, f"{identifier}/cancel", "POST")["status"] == "cancelled"
    running.engine.told_to_cancel.add(identifier)
    until(lambda: running.engine.cancelled == [identifier])
    ended(running, identifier)
    assert get(other, identifier)["status"] == "cancelled"


def test_what_cannot_run_again_ends_as_failed(serve, tmp_path):
    place = {"database": str(tmp_path / "kept.sqlite3")}
    with live_server(ScriptedEngine(**STUCK), extensions=True, **place) as stuck:
        made = create(stuck, seed=3)
    second = serve(ScriptedEngine(), **place)
    done = ended(second, made["id"])
    assert done["status"] == "failed"
    assert "Unknown parameter: 'seed'." in done["error"]["message"]


def test_only_the_latest_ended_ones_are_kept_in_memory(serve, monkeypatch):
    monkeypatch.setattr(background, "MAX_KEPT", 2)
    server = serve()
    made = []
    for _ in range(3):
        made.append(create(server, store=False)["id"])
        ended(server, made[-1])
    get(server, made[0], status=404)
    assert get(server, made[1])["status"] == "completed"
