import time
from contextlib import ExitStack

import httpx
import msgspec
import pytest

from minikin.api.serving.waiting import LEAST_SECONDS, LONG_PROMPT, MOST_SECONDS, WaitingRequests
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.errors import Overloaded
from tests.fakes import ScriptedEngine, settings
from tests.raw_http import HI, STREAM


def request(prompt=10, **more):
    return GenerationRequest(
        id="r", prompt=[1] * prompt, params=SamplingParams(max_tokens=1), **more
    )


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def waiting():
    with ExitStack() as blocks:
        yield lambda queue, count, prompt=10: [
            blocks.enter_context(queue.turn(request(prompt))) for _ in range(count)
        ]


def test_a_request_that_would_wait_too_long_is_refused_with_the_measured_time(clock, waiting):
    queue = WaitingRequests(settings(queue_timeout=30, max_queued=256))
    turns = waiting(queue, 100)
    for turn in turns[:10]:  # two a second
        clock[0] += 0.5
        turn.end(started=True)
    with pytest.raises(Overloaded, match="would wait about 45 s") as caught, queue.turn(request()):
        pass
    assert 22.5 <= caught.value.retry_after <= 30
    for turn in turns[10:60]:
        clock[0] += 0.5
        turn.end(started=True)
    with queue.turn(request()):
        pass


def test_a_queue_without_a_history_refuses_nobody(clock, waiting):
    queue = WaitingRequests(settings(queue_timeout=1))
    turns = waiting(queue, 50)
    clock[0] += LEAST_SECONDS / 2
    turns[0].end(started=True)
    with queue.turn(request()):
        assert queue.retry_after() <= 1.25


def test_short_prompts_do_not_wait_for_long_ones(clock, waiting):
    queue = WaitingRequests(settings(queue_timeout=30))
    turns = waiting(queue, 30, prompt=LONG_PROMPT + 1)
    for turn in turns[:3]:
        clock[0] += 4
        turn.end(started=True)
    with pytest.raises(Overloaded), queue.turn(request(LONG_PROMPT + 1)):
        pass
    with queue.turn(request()):
        pass
    assert queue.retry_after() <= MOST_SECONDS * 1.25


def test_prompt_tokens_that_wait_are_limited_but_one_request_always_fits(clock, waiting):
    queue = WaitingRequests(settings(max_queued_tokens=100))
    (first,) = waiting(queue, 1, prompt=200)
    with pytest.raises(Overloaded, match="200 prompt tokens"), queue.turn(request(1)):
        pass
    with queue.turn(request(1, gives_way=True)):
        pass
    first.end(started=True)
    with queue.turn(request(100)):
        pass


def ask(server, **body):
    return httpx.post(f"{server.url}/v1/chat/completions", json={**HI, **body}, timeout=60)


def test_a_first_token_that_comes_too_late_is_a_503(serve):
    server = serve(ScriptedEngine(pause=30), first_token_timeout=0.1)
    answer = ask(server)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "server_is_overloaded"
    assert int(answer.headers["retry-after"]) >= 1
    assert len(server.engine.cancelled) == 1


def test_an_answer_that_takes_too_long_is_a_504_and_an_error_in_a_stream(serve):
    server = serve(ScriptedEngine(pause=0.4), request_timeout=1.0)
    answer = ask(server)
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "request_timeout"
    stream = ask(server, stream=True)
    assert stream.status_code == 200
    events = [line[6:] for line in stream.text.splitlines() if line.startswith("data: ")]
    assert msgspec.json.decode(events[-1])["error"]["code"] == "request_timeout"
    assert "[DONE]" not in events
    assert server.service.in_flight == 0


async def test_deadlines_do_not_change_events_in_time():
    queue = WaitingRequests(settings(first_token_timeout=50, request_timeout=50))
    engine = ScriptedEngine()
    with queue.turn(request()) as turn:
        events = queue.in_time(engine.generate(request()), turn, time.perf_counter())
        assert [event.text async for event in events] == [engine.tokens[0], ""]


def test_an_owner_with_all_places_does_not_keep_out_another(serve, tmp_path):
    file = tmp_path / "keys"
    file.write_text("ada-0123456789\nbob-0123456789\n")
    server = serve(ScriptedEngine(pause=0.5), api_key_file=file, max_queued=2)

    def stream(client, key):
        headers = {"Authorization": f"Bearer {key}"}
        return client.stream(
            "POST", f"{server.url}/v1/chat/completions", json=STREAM, headers=headers, timeout=60
        )

    with (
        httpx.Client() as client,
        stream(client, "ada-0123456789") as one,
        stream(client, "ada-0123456789") as two,
        stream(client, "ada-0123456789") as three,
        stream(client, "bob-0123456789") as other,
    ):
        assert [each.status_code for each in (one, two, three, other)] == [200, 200, 503, 200]
