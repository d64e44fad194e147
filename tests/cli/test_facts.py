from __future__ import annotations

import re
from pathlib import Path

import pytest

from minikin.cli.facts import machine_memory, read_facts
from tests.real_model import default_model, real_server


@pytest.mark.model
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_the_default_model_is_what_a_server_takes():
    facts = read_facts(default_model())
    with real_server() as server:
        taken = sum(resident(process) for process in (server.process.pid, server.engine_pid()))
    assert (facts.family, facts.quantization, facts.context_length) == ("llama", "Q4_1", 8192)
    assert 134_000_000 < facts.parameters < 136_000_000
    assert taken < facts.memory < 2 * taken


def resident(process: int | str) -> int:
    """Bytes, at most so far."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert peak is not None
    return int(peak[1]) * 1024


def test_machine_memory():
    assert 100_000_000 < machine_memory() < 10**14
