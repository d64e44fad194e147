"""Codex's command line: a task with a tool. The engine follows a script, since small models do not.

It sends fields and tools that OpenAI rejects for gpt-4.1-mini, so the server has `--extensions`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.client_packages import node, node_modules
from tests.fakes import ScriptedEngine, live_server

pytestmark = pytest.mark.clients
CONFIG = """\
model = "gpt-4.1-mini"
model_provider = "minikin"

[model_providers.minikin]
name = "Minikin"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "MINIKIN_KEY"
request_max_retries = 0
stream_max_retries = 0
"""
CALL = '<tool_call>\n{"name": "exec_command", "arguments": {"cmd": "cat note.txt"}}\n</tool_call>'
SECRET = "The word is marmalade."


class Reader(ScriptedEngine):
    """Calls the shell, and answers when the prompt has what the file contains."""

    def _answer(self, request):
        knows = SECRET in bytes(token for token in request.prompt if token < 256).decode()
        self.tokens = ["I read ", "it."] if knows else [CALL]
        return super()._answer(request)


def test_it_runs_a_command_and_answers_with_its_output(tmp_path: Path):
    program = node_modules(("@openai/codex@0.171.0",)) / "@openai" / "codex" / "bin" / "codex.js"
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (work / "note.txt").write_text(SECRET)
    with live_server(Reader(window=400_000), extensions=True) as server:
        (home / "config.toml").write_text(CONFIG.format(url=server.url))
        run = subprocess.run(
            [
                node(), program, "exec", "--json", "--skip-git-repo-check",
                "--sandbox", "danger-full-access", "Show me note.txt.",
            ],
            cwd=work,
            env={**os.environ, "CODEX_HOME": str(home), "MINIKIN_KEY": "any"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
        )  # fmt: skip
    events = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    done = [event["item"] for event in events if event["type"] == "item.completed"]
    (ran,) = [item for item in done if item["type"] == "command_execution"]
    assert (ran["aggregated_output"], ran["exit_code"]) == (SECRET, 0), run.stderr
    assert [item["text"] for item in done if item["type"] == "agent_message"] == ["I read it."]
    assert events[-1]["type"] == "turn.completed"
