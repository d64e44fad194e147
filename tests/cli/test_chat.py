from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from minikin.cli.client import sse_data
from minikin.cli.reach import reached_server
from minikin.errors import KeyRefused
from tests.patience import PATIENCE
from tests.real_model import default_model

from .conftest import Minikin, Server, chunk, command


def talk(minikin: Minikin, server: Server, *lines: str, options: tuple[str, ...] = ()) -> str:
    """Type `lines`. Returns stdout and stderr, joined."""
    typed = "".join(f"{line}\n" for line in lines)
    run = minikin("chat", "--base-url", server.base_url, *options, input=typed)
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr


def test_answer_and_status_line(minikin: Minikin, server: Server):
    server.say("Hel", "lo :smile: [bold]there[/]")
    shown = talk(minikin, server, "Hi")
    assert "Hello :smile: [bold]there[/]" in shown
    assert "tiny · 3 tokens · " in shown
    assert "prompt 12 tokens · stop" in shown
    assert server.requests == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


def test_the_model_gets_the_whole_conversation(minikin: Minikin, server: Server):
    server.say("one")
    server.say("two")
    talk(minikin, server, "first", "second", options=("--system", "Be brief."))
    assert [(m["role"], m["content"]) for m in server.requests[1]["messages"]] == [
        ("system", "Be brief."),
        ("user", "first"),
        ("assistant", "one"),
        ("user", "second"),
    ]


def test_commands(minikin: Minikin, server: Server, tmp_path: Path):
    server.say("one")
    server.say("two")
    file = tmp_path / "talk.json"
    lines = ("first", "/clear", "/system Be kind.", "second", f"/save {file}", "/nonsense", "/exit")
    shown = talk(minikin, server, *lines, "never sent")
    expected = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "two"},
    ]
    assert server.requests[1]["messages"] == expected[:2]
    assert json.loads(file.read_text()) == expected
    assert "Unknown command: /nonsense. Type /help for help." in shown
    assert len(server.requests) == 2


def test_another_model_and_another_answer(minikin: Minikin, server: Server):
    for text in ("one", "two", "three"):
        server.say(text)
    shown = talk(
        minikin,
        server,
        "/retry",
        "Hi",
        "/retry",
        "/model",
        "/model gpt-4.1-mini",
        "More",
        "/model no",
    )
    assert "no question to answer again" in shown
    assert "Models: tiny, gpt-4.1-mini." in shown
    assert "no model no" in shown
    asked = [(r["model"], [m["content"] for m in r["messages"]]) for r in server.requests]
    assert asked == [
        ("tiny", ["Hi"]),
        ("tiny", ["Hi"]),
        ("gpt-4.1-mini", ["Hi", "two", "More"]),
    ]


def test_a_pasted_text_is_one_question(env: dict[str, str], server: Server):
    server.say("fine")
    ours, theirs = pty.openpty()
    arguments = command("chat", "--base-url", server.base_url)
    env |= {"TERM": "xterm"}
    chat = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = ""
    try:
        shown = _read_until(ours, "> ")
        os.write(ours, b"\x1b[200~first\nsecond\nthird\x1b[201~")
        os.write(ours, b"\r")
        shown += _read_until(ours, "stop")
        os.write(ours, b"/exit\r")
        chat.wait(PATIENCE)
    finally:
        chat.kill()
        chat.wait()
        os.close(ours)
    assert [r["messages"][-1]["content"] for r in server.requests] == ["first\nsecond\nthird"]


def _read_until(terminal: int, text: str) -> str:
    shown = ""
    deadline = time.monotonic() + PATIENCE
    while text not in shown:
        assert time.monotonic() < deadline, shown
        shown += os.read(terminal, 4096).decode()
    return shown


def test_file_that_cannot_be_written(minikin: Minikin, server: Server):
    assert "Cannot write /nowhere/x.json: No such file" in talk(
        minikin, server, "/save /nowhere/x.json"
    )


def test_options_reach_the_server(minikin: Minikin, server: Server):
    server.say("x")
    options = ("--model", "gpt-4.1-mini", "--temperature", "0", "--api-key", "sk-1")
    talk(minikin, server, "Hi", options=options)
    assert server.requests[0]["model"] == "gpt-4.1-mini"
    assert server.requests[0]["temperature"] == 0
    assert server.keys == ["Bearer sk-1"]


def test_model_the_server_lacks(minikin: Minikin, server: Server):
    run = minikin("chat", "--base-url", server.base_url, "--model", "other")
    assert run.returncode == 1
    assert "Its models: tiny, gpt-4.1-mini" in run.stderr


def test_control_codes_of_a_model_do_not_reach_the_terminal(minikin: Minikin, server: Server):
    server.say("a\x1b[2Jb\x9b31mc\x07\r\x7fd\n\té 漢 👩‍💻")
    assert "a[2Jb31mcd\n\té 漢 👩‍💻" in talk(minikin, server, "Hi")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([{"status": 400, "body": {"error": {"message": "Too long."}}}], "Too long."),
        ([{"status": 502, "body": "?"}], "returned status 502"),
        ([chunk("half"), {"error": {"message": "The engine died."}}], "The engine died."),
        ([chunk("half")], "ended the answer before it was complete"),
        ([chunk("half"), "data: {nonsense"], "a chunk that is not valid"),
    ],
)
def test_a_broken_answer_is_reported_and_not_kept(
    minikin: Minikin, server: Server, answer: list, message: str
):
    server.answers.append(answer)
    server.say("fine")
    shown = talk(minikin, server, "first", "second")
    assert message in shown
    assert "fine" in shown
    assert server.requests[1]["messages"] == [{"role": "user", "content": "second"}]


def test_no_server_there(minikin: Minikin):
    run = minikin("chat", "--base-url", "http://127.0.0.1:1/v1")
    assert run.returncode == 1
    assert "Cannot reach http://127.0.0.1:1/v1" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_one_question_is_answered_once(minikin: Minikin, server: Server):
    server.say("Par", "is.")
    run = minikin("chat", "Capital of France?", "--base-url", server.base_url, input="ignored\n")
    assert (run.returncode, run.stdout) == (0, "Paris.\n")
    assert [m["content"] for m in server.requests[0]["messages"]] == ["Capital of France?"]
    assert len(server.requests) == 1


def test_one_question_without_an_answer_fails(minikin: Minikin, server: Server):
    server.answers.append([{"status": 400, "body": {"error": {"message": "Too long."}}}])
    run = minikin("chat", "Hi", "--base-url", server.base_url)
    assert run.returncode == 1
    assert "Too long." in run.stderr


def test_run_takes_the_model_first(minikin: Minikin, server: Server):
    server.say("Paris.")
    run = minikin("run", "gpt-4.1-mini", "Capital?", "--base-url", server.base_url)
    assert run.stdout == "Paris.\n"
    assert server.requests[0]["model"] == "gpt-4.1-mini"
    run = minikin("run", "Capital of France?", "--base-url", server.base_url)
    assert run.returncode == 1
    assert "To ask a question: " in run.stderr


def test_ps_lists_the_models_of_the_running_server(minikin: Minikin, server: Server):
    run = minikin("ps", "--base-url", server.base_url)
    lines = [line.split() for line in run.stdout.splitlines()]
    assert lines == [["NAME", "CONTEXT"], ["tiny", "8,192"], ["gpt-4.1-mini"]]


def test_ps_without_a_server(minikin: Minikin):
    run = minikin("ps", "--base-url", "http://127.0.0.1:1/v1")
    assert run.returncode == 1
    assert "`minikin serve` starts one" in run.stderr


@pytest.mark.parametrize("command", [("chat",), ("ps",)])
@pytest.mark.parametrize(("key", "message"), [((), "needs an"), (("--api-key", "x"), "this")])
def test_a_missing_or_wrong_key_names_the_option(
    minikin: Minikin, server: Server, command: tuple[str], key: tuple[str, ...], message: str
):
    server.needs_key = "sk-1"
    run = minikin(*command, "--base-url", server.base_url, *key)
    assert run.returncode == 1
    assert f"{message} API key. Set one with --api-key or MINIKIN_API_KEY." in run.stderr


def test_a_server_that_needs_a_key_is_not_replaced(server: Server, monkeypatch: pytest.MonkeyPatch):
    server.needs_key = "sk-1"
    monkeypatch.setattr("minikin.cli.reach.USUAL_URL", server.base_url)
    with pytest.raises(KeyRefused), reached_server(None, None, None, None):
        pass


@pytest.mark.model
def test_its_own_server(minikin: Minikin):
    options = ("--model", str(default_model()), "--temperature", "0")
    run = minikin("chat", *options, input="What is the capital of France?\n", timeout=300)
    assert run.returncode == 0, run.stderr
    assert "Paris" in run.stdout
    address = re.search(r"at (http://127.0.0.1:\d+)/v1", run.stderr)
    assert address is not None
    with pytest.raises(httpx.ConnectError):
        httpx.get(address[1])


@pytest.mark.parametrize(
    ("model", "message"),
    [("zzz", "There is no model 'zzz'"), ("broken.gguf", "Cannot use the model file")],
)
def test_its_own_server_that_cannot_start(
    minikin: Minikin, tmp_path: Path, model: str, message: str
):
    (tmp_path / "broken.gguf").write_bytes(b"nonsense")
    run = minikin("chat", "--model", str(tmp_path / model) if "." in model else model)
    assert run.returncode == 1
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_sse_data():
    lines = [": comment", "data: a", "", "", "event: x", "data:b", "data: c", "", "data: cut"]
    assert list(sse_data(lines)) == ["a", "b\nc"]


class Terminal:
    """The chat in its own terminal."""

    def __init__(self, env: dict[str, str], *args: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command("chat", *args), stdin=slave, stdout=slave, stderr=slave, env=env,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            self.shown += os.read(self._master, 4096).decode(errors="replace")
        self.shown = self.shown.partition(text)[2]

    def close(self) -> int:
        self.process.kill() if self.process.poll() is None else None
        os.close(self._master)
        return self.process.wait()


def test_ctrl_c_stops_the_answer_and_not_the_chat(env: dict[str, str], server: Server):
    server.pause = 0.05
    server.answers.append([chunk(f"word{i} ") for i in range(1000)])
    server.say("second")
    terminal = Terminal(env | {"TERM": "dumb"}, "--base-url", server.base_url)
    try:
        terminal.wait_for("> ")
        terminal.type("Hi\n")
        terminal.wait_for("word3")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("stopped by you")
        terminal.wait_for("> ")
        terminal.type("And?\n")
        terminal.wait_for("second")
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()
    history = server.requests[1]["messages"]
    assert history[1]["content"].startswith("word0 word1 word2 word3")
