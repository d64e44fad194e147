"""Log lines as they reach standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.real_model import ROOT

SCRIPT = """
import logging, sys
from minikin import logs
logs.set_up(sys.argv[1], "%(levelname)s %(message)s")
log = logging.getLogger("minikin.some.module")
log.debug("detail")
log.info("news")
log.warning("of a client: %s", "a\\nERROR forged\\x1b[2Jhidden\\u202e")
try:
    raise ValueError("bad\\nERROR forged too")
except ValueError:
    log.exception("failed")
logging.getLogger(logs.ACCESS).info("GET /")
logging.getLogger("other").info("library")
logging.getLogger("other").warning("library warns")
print(logs.level())
"""


def run(level):
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", SCRIPT, level]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "first"),
    [("debug", "DEBUG detail"), ("info", "INFO news"), ("warning", "WARNING"), ("error", "ERROR")],
)
def test_a_level_shows_what_is_as_urgent_or_more(level, first):
    told, lines = run(level)
    assert told == level
    assert lines[0].startswith(first)
    assert "INFO GET /" in lines
    assert lines[-1] == "WARNING library warns"
    assert "library" not in lines[-2]


def test_in_json_each_line_is_an_object():
    script = SCRIPT.replace('"%(levelname)s %(message)s")', "as_json=True)")
    script = script.replace("print(logs.level())", "print(logs.style())")
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", script, "info"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "info json"
    first, second, third, *_ = map(json.loads, done.stderr.splitlines())
    assert (first["level"], first["logger"]) == ("info", "minikin.some.module")
    assert first["message"] == "news"
    assert second["message"].startswith("of a client: a\nERROR forged")
    assert "ValueError: bad" in third["exception"]


def test_text_from_others_starts_no_line_and_hides_nothing():
    _, lines = run("warning")
    assert lines[0] == "WARNING of a client: a\\nERROR forged\\x1b[2Jhidden\\u202e"
    assert lines[1] == "ERROR failed"
    starts = [line for line in lines if not line.startswith(" ")]
    assert [line.split()[0] for line in starts] == ["WARNING", "ERROR", "INFO", "WARNING"]
