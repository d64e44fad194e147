import sys

import pytest

from bench import profile


def test_without_perf_the_next_step_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["profile", "model.gguf"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match=r"perf not found.*linux-perf"):
        profile.main()
