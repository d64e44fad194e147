"""The numbers and the buttons of the dashboard, over HTTP."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

from tests.fakes import ScriptedEngine
from tests.patience import until

ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}
KEY = "mk-0123456789abcdef"
CANCELLED = "The operator of this server cancelled the request."


def numbers(server, **headers):
    answer = httpx.get(f"{server.url}/dashboard.json", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def running(server):
    until(lambda: numbers(server)["requests"])
    return numbers(server)["requests"]


def endless() -> ScriptedEngine:
    return ScriptedEngine(tokens=["a"] * 10_000, pause=0.01)


class Asked:
    """A request in a thread."""

    def __init__(self, server, **body):
        self.body = body
        self._url = f"{server.url}/v1/{body.pop('path', 'chat/completions')}"
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self):
        self.answer = httpx.post(self._url, json=self.body)

    def ended(self):
        self._thread.join()
        return self.answer


def test_the_numbers_are_those_of_the_metrics(serve):
    server = serve()
    usage = httpx.post(f"{server.url}/v1/chat/completions", json=ASK).json()["usage"]
    found = numbers(server)
    labels = {"model_name": "tiny"}
    metrics = found["metrics"]
    assert metrics["vllm:generation_tokens_total"] == [[labels, usage["completion_tokens"]]]
    assert metrics["vllm:time_to_first_token_seconds_count"] == [[labels, 1]]
    assert metrics["process_resident_memory_bytes"][0][1] > 1e6
    assert not [name for name in metrics if name.endswith("_bucket")]
    [model] = found["models"]
    assert (model["id"], model["state"]) == ("tiny", "ready")


def test_a_running_request_is_a_row_without_its_text(serve):
    server = serve(endless())
    with httpx.stream(
        "POST", f"{server.url}/v1/chat/completions", json=ASK | {"stream": True}
    ) as answer:
        lines = answer.iter_lines()
        first = json.loads(next(lines).removeprefix("data: "))
        [row] = running(server)
        assert (row["id"], row["model"]) == (first["id"], "tiny")
        assert row["prompt_tokens"] > 0
        assert row["seconds"] > 0
        assert "Hi" not in json.dumps(numbers(server))
    until(lambda: not numbers(server)["requests"])


def cancel(server, row):
    return httpx.post(f"{server.url}/dashboard/requests/{row['id']}/cancel")


def test_a_cancelled_answer_ends_with_an_error_that_says_so(serve):
    server = serve(endless())
    asked = Asked(server, **ASK)
    [row] = running(server)
    assert cancel(server, row).json() == {"cancelled": row["id"]}
    answer = asked.ended()
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == CANCELLED
    assert answer.json()["error"]["code"] == "request_cancelled"
    ended = [{"model_name": "tiny", "finished_reason": "abort"}, 1]
    until(lambda: ended in numbers(server)["metrics"].get("vllm:request_success_total", []))


def test_a_cancelled_stream_ends_with_an_event_that_says_so(serve):
    server = serve(endless())
    asked = Asked(server, **ASK, stream=True)
    [row] = running(server)
    until(lambda: numbers(server)["requests"][0]["tokens"])  # the stream has begun
    cancel(server, row)
    events = [e for e in asked.ended().text.split("\n\n") if e.startswith("data: ")]
    assert json.loads(events[-1].removeprefix("data: "))["error"]["message"] == CANCELLED


def test_a_cancelled_response_has_failed_and_says_why(serve):
    server = serve(endless())
    asked = Asked(server, path="responses", model="tiny", input="Hi")
    [row] = running(server)
    cancel(server, row)
    assert CANCELLED in asked.ended().text


@pytest.mark.parametrize("path", ["requests/nope/cancel", "models/nope/load", "models/nope/unload"])
def test_unknown_names_are_not_found(serve, path):
    answer = httpx.post(f"{serve().url}/dashboard/{path}")
    assert answer.status_code == 404
    assert "nope" in answer.json()["error"]["message"]


def test_a_model_is_unloaded_and_loaded_again(serve):
    server = serve()
    until(lambda: numbers(server)["models"][0]["state"] == "ready")
    done = httpx.post(f"{server.url}/dashboard/models/tiny/unload")
    assert done.json() == {"model": "tiny", "state": "unloaded"}
    assert numbers(server)["models"][0]["state"] == "unloaded"
    httpx.post(f"{server.url}/dashboard/models/tiny/load")
    until(lambda: numbers(server)["models"][0]["state"] == "ready")
    assert httpx.post(f"{server.url}/v1/chat/completions", json=ASK).status_code == 200


def test_a_model_in_use_is_not_unloaded(serve):
    server = serve(endless())
    asked = Asked(server, **ASK)
    [row] = running(server)
    refused = httpx.post(f"{server.url}/dashboard/models/tiny/unload")
    assert refused.status_code == 400
    assert "Requests use the model 'tiny'" in refused.json()["error"]["message"]
    cancel(server, row)
    asked.ended()


def test_other_web_pages_press_no_button(serve):
    server = serve()
    headers = {"origin": "http://evil.example"}
    refused = httpx.post(f"{server.url}/dashboard/models/tiny/unload", headers=headers)
    assert refused.status_code == 403
    own = httpx.post(f"{server.url}/dashboard/models/tiny/load", headers={"origin": server.url})
    assert own.status_code == 200


def test_with_a_key_of_the_operator_no_other_key_sees_or_does_anything(serve, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY} name=ada\nmk-operator admin\n")
    server = serve(endless(), api_key_file=keys)
    own, operator = ({"authorization": f"Bearer {key}"} for key in (KEY, "mk-operator"))
    body = ASK | {"stream": True}
    url = f"{server.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=own) as answer:
        lines = answer.iter_lines()
        next(lines)
        until(lambda: numbers(server, **operator)["requests"])
        [row] = numbers(server, **operator)["requests"]
        assert row["key"] == "ada"
        path = f"{server.url}/dashboard/requests/{row['id']}/cancel"
        for refused in (
            httpx.get(f"{server.url}/dashboard.json", headers=own),
            httpx.post(path, headers=own),
        ):
            assert refused.json()["error"]["code"] == "admin_key_needed"
        assert httpx.post(path, headers=operator).status_code == 200


def test_only_the_page_itself_needs_no_key(serve):
    server = serve(api_keys=(KEY,))
    page = httpx.get(f"{server.url}/dashboard", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "page/dashboard.js" in page.text
    assert httpx.get(f"{server.url}/dashboard.json").status_code == 401
    assert httpx.post(f"{server.url}/dashboard/models/tiny/unload").status_code == 401
    assert numbers(server, authorization=f"Bearer {KEY}")["models"]
