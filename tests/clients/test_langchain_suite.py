"""langchain's public suite for chat models (langchain-tests), through ChatOpenAI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.client_packages import python_with
from tests.clients.jobs import PROGRAMS

pytestmark = [pytest.mark.model, pytest.mark.clients]
TESTS = 44
"""Those that a model without images, audio and PDF files has to pass."""


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_the_suite_passes(base_url, api, tmp_path: Path):
    # ChatOpenAI keeps its connections for all event loops of a process, so the tests share one.
    loop = [f"asyncio_default_{what}_loop_scope=session" for what in ("test", "fixture")]
    options = [f"--override-ini={option}" for option in ("asyncio_mode=auto", *loop)]
    command = [python_with("langchain"), "-m", "pytest", "-rA", "-c", os.devnull, "-p"]
    program = shutil.copy(PROGRAMS / "langchain_suite.py", tmp_path)  # away from our conftest.py
    run = subprocess.run(
        [*command, "no:cacheprovider", *options, program],
        capture_output=True,
        text=True,
        timeout=550,
        env={**os.environ, "BASE_URL": base_url, "API": api, "LANGSMITH_TRACING": "false"},
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)", run.stdout, re.MULTILINE)
    passed = re.findall(r"^PASSED", run.stdout, re.MULTILINE)
    assert not failed, run.stdout
    assert len(passed) >= TESTS, run.stdout + run.stderr
