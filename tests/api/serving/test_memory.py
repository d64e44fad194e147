from __future__ import annotations

import os
import subprocess
import sys

from minikin.api.serving.memory import resident_bytes


def test_the_memory_of_a_process_is_that_of_its_pages():
    assert resident_bytes(os.getpid()) > 10**6


def test_a_process_that_ended_uses_none():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert resident_bytes(ended.pid) == 0
    assert resident_bytes(None) == 0
