from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fakes import ScriptedEngine
from tests.patience import PATIENCE, until

from .conftest import Minikin, command


def line(name: str, url: str = "/v1/chat/completions", **body):
    asked = {"messages": [{"role": "user", "content": "Hi"}]} if "chat" in url else {"input": "Hi"}
    whole = {"model": "gpt-4.1-mini", **asked, **body}
    return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": whole})


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join([*(line(f"r{i}") for i in range(5)), line("bad", n=0)]))
    return path


def results(path: Path):
    return {each["custom_id"]: each for each in map(json.loads, path.read_text().splitlines())}


def test_a_file_is_run_and_its_results_are_fetched(minikin: Minikin, serve, requests: Path):
    run = minikin("batch", str(requests), "--base-url", f"{serve().url}/v1")
    assert run.returncode == 0, run.stderr
    answers = results(requests.with_name("requests.output.jsonl"))
    assert set(answers) == {f"r{i}" for i in range(5)}
    message = answers["r1"]["response"]["body"]["choices"][0]["message"]
    assert message["content"] == "Hello there!"
    failed = results(requests.with_name("requests.output.errors.jsonl"))
    assert failed["bad"]["response"]["status_code"] == 400
    assert "Answers (5)" in run.stderr
    assert "Errors (1)" in run.stderr
    again = minikin("batch", str(requests), "--base-url", "http://127.0.0.1:1/v1")
    assert again.returncode == 1
    assert "requests.output.jsonl exists" in again.stderr.replace("\n", "")


def test_the_lines_say_which_endpoint(minikin: Minikin, serve, requests: Path, tmp_path: Path):
    requests.write_text("\n" + line("a", "/v1/responses"))
    output = tmp_path / "answers.jsonl"
    url = f"{serve().url}/v1"
    run = minikin("batch", str(requests), "--base-url", url, "--output", str(output))
    assert run.returncode == 0, run.stderr
    assert results(output)["a"]["response"]["body"]["object"] == "response"


def test_errors_of_lines_are_shown(minikin: Minikin, serve, requests: Path):
    requests.write_text("nothing\n")
    run = minikin("batch", str(requests), "--base-url", f"{serve().url}/v1")
    assert run.returncode == 1
    assert "Line 1: This line is not parseable as valid JSON." in run.stderr
    assert "failed" in run.stderr


def test_errors_of_the_server_are_shown(minikin: Minikin, serve, requests: Path, tmp_path: Path):
    server = serve(api_keys=("key-of-ada-0123456789",))
    wrong = minikin(
        "batch", str(requests), "--base-url", f"{server.url}/v1", "--api-key", "key-of-bob"
    )
    assert wrong.returncode == 1
    assert "does not accept this API key. Set one with --api-key" in wrong.stderr
    gone = minikin("batch", str(requests), "--base-url", "http://127.0.0.1:1/v1")
    assert "Cannot reach" in gone.stderr
    text = tmp_path / "requests.txt"
    text.write_text(line("a"))
    kind = ("--api-key", "key-of-ada-0123456789", "--base-url", f"{server.url}/v1")
    assert "Must be .jsonl" in minikin("batch", str(text), *kind).stderr


def test_an_interrupted_command_says_how_to_wait_again(
    minikin: Minikin, serve, requests: Path, env: dict[str, str]
):
    server = serve(ScriptedEngine(pause=0.3))
    words = ("batch", str(requests), "--base-url", f"{server.url}/v1")
    with subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True, env=env) as process:
        until(lambda: server.engine.requests)
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    identifier = shown.split("--resume ")[1].split()[0]
    run = minikin(*words, "--resume", identifier)
    assert run.returncode == 0, run.stderr
    assert len(results(requests.with_name("requests.output.jsonl"))) == 5
