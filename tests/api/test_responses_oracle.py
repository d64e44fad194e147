"""Replays recorded requests to /v1/responses, where their file and its checker are at hand."""

import re
import subprocess
import sys

import pytest

from tests.patience import PATIENCE
from tests.real_model import ROOT

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
