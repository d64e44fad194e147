from __future__ import annotations

import signal

import pytest

from minikin.engine.host.ending import CRASH, KILL, Ending


@pytest.mark.parametrize("status", [0, 1, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS])
def test_a_crash_makes_requests_suspicious(status):
    assert Ending(status).suspicion == CRASH


def test_sigkill_makes_them_less_suspicious_unless_the_server_sent_it():
    assert Ending(-signal.SIGKILL).suspicion == KILL
    assert Ending(-signal.SIGKILL, by_server=True).suspicion == CRASH
    assert "enough memory?" in str(Ending(-signal.SIGKILL))
    assert "memory" not in str(Ending(-signal.SIGKILL, by_server=True))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1"])
def test_other_signals_come_from_outside(name):
    assert Ending(-signal.Signals[name]).suspicion == 0
    assert str(Ending(-signal.Signals[name])) == f"was killed by {name}"
