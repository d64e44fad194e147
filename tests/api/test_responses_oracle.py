"""Replays recorded requests to /v1/responses, where their file and its checker are at hand."""

import json
import re
import subprocess
import sys

import httpx
import pytest

from tests.patience import PATIENCE
from tests.real_model import ROOT

ROWS = ROOT / "../shared/responses-oracle/rows.jsonl"
CHECK = ROOT / "../shared/responses-oracle/check.py"
NEWER = {"107dc55831ff"}
"""A row of May 2026, whose `reasoning` has a member that no other recorded row has."""


@pytest.mark.skipif(not CHECK.exists(), reason="the recorded requests are not on this machine")
def test_every_recorded_request_is_answered_as_it_was(shared_server):
    command = [sys.executable, str(CHECK), shared_server.url, "-v"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=20 * PATIENCE)
    assert run.returncode == 0, run.stderr
    short = set(re.findall(r"^([0-9a-f]{12}) ", run.stdout, re.MULTILINE))
    assert short <= NEWER, run.stdout


@pytest.mark.skipif(not ROWS.exists(), reason="the recorded requests are not on this machine")
def test_recorded_completions_are_answered_in_their_form(serve):
    server = serve(extensions=True)
    rows = [
        row
        for line in ROWS.read_text().splitlines()
        if (row := json.loads(line))["kind"] == "completions"
    ]
    assert rows
    for row in rows:
        body = row["request"]["body"] | {"model": "gpt-4.1-mini"}
        made = httpx.post(f"{server.url}/v1/completions", json=body, timeout=PATIENCE).json()
        was = row["response"]
        assert list(made) == [name for name in was if name != "system_fingerprint"]
        assert [list(choice) for choice in made["choices"]] == [list(c) for c in was["choices"]]
        assert was["usage"].keys() <= made["usage"].keys()
