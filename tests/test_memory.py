import gc
import os
import subprocess
import sys
import weakref

import pytest

from minikin.memory import FreeMemory, bytes_of, lasting

SCRIPT = """
import os
from minikin.memory import FreeMemory, bytes_of
memory = FreeMemory()
before = bytes_of(os.getpid())
kept = [bytes(2_000) for _ in range(50_000)]
pins = kept[::500]  # each holds the memory below it in the allocator
del kept
held = bytes_of(os.getpid())
memory.give_back()
print(held - before, bytes_of(os.getpid()) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_freed_memory_goes_back_to_the_system():
    script = [sys.executable, "-c", SCRIPT]
    held, left = map(int, subprocess.check_output(script, text=True).split())
    assert held > 80_000_000, "the allocator returned it by itself"
    assert left < held // 10


def test_a_process_that_has_not_grown_is_left_alone(monkeypatch):
    memory = FreeMemory()
    calls = []
    monkeypatch.setattr(memory, "_trim", lambda: calls.append(0))
    memory.give_back()
    assert calls == []


class Thing:
    pass


def test_what_lasts_is_not_visited_but_freed_when_nothing_refers_to_it():
    with lasting():
        things = [Thing() for _ in range(1_000)]
        gone = weakref.ref(things[0])
    assert gc.isenabled()
    assert not any(isinstance(one, Thing) for one in gc.get_objects())
    gc.collect()
    assert gone() is things[0]
    things.clear()
    assert gone() is None


def test_an_error_while_it_is_made_leaves_the_collector_on():
    with pytest.raises(ZeroDivisionError), lasting():
        _ = 1 / 0
    assert gc.isenabled()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_no_collection_visits_what_is_being_made(monkeypatch):
    """A server returns memory when it has grown, which it does while the catalog loads."""
    memory, collected = FreeMemory(), []
    monkeypatch.setattr(memory, "_trim", lambda: 0)
    monkeypatch.setattr(gc, "collect", lambda: collected.append(True))
    with lasting():
        memory.give_back()
        assert collected == []
    monkeypatch.setattr(memory, "_least", 0)
    memory.give_back()
    assert collected == [True]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="not known here")
def test_a_process_has_bytes_in_memory_until_it_ends():
    assert bytes_of(os.getpid()) > 10**6
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert bytes_of(ended.pid) == 0
    assert bytes_of(0) == 0
