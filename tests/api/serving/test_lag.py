import asyncio
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from minikin.api.serving import lag
from minikin.api.serving.lag import LagMeter


def burn(seconds):
    """Compute for this long, and do not let the loop run."""
    start = time.thread_time()
    while time.thread_time() - start < seconds:
        pass


async def measured(work) -> float:
    """The longest lag while `work` runs on the loop."""
    lags = []
    meter = LagMeter(lags.append)
    meter.start()
    await asyncio.sleep(0.05)
    await work()
    await asyncio.sleep(0.05)
    await meter.stop()
    stopped = len(lags)
    await asyncio.sleep(0.05)
    assert len(lags) == stopped, "it goes on after its end"
    return max(lags)


async def working():
    burn(0.2)


async def waiting():
    time.sleep(0.3)


def alone(work) -> float:
    """The longest lag in a process of its own: other threads that compute would count."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as processes:
        return processes.submit(run, work).result()


def run(work) -> float:
    return asyncio.run(measured(work))


def test_work_on_the_loop_is_measured():
    assert 0.15 < alone(working) < 2


def test_a_pause_of_the_machine_is_no_work():
    """Other programs make every timer late on a busy machine."""
    assert alone(waiting) < 0.15


def reported(work) -> float:
    """The longest lag if the kernel reports all of `work` as a wait for a processor."""
    with tempfile.TemporaryDirectory() as folder:
        lag.WAITS = Path(folder) / "schedstat"
        lag.WAITS.write_text("1 0 1")

        async def reported_work():
            await work()
            lag.WAITS.write_text("1 3600000000000 2")  # an hour: the machine can be busy

        return run(reported_work)


def test_a_wait_for_a_processor_is_no_work():
    """The server's own threads make its timers late too, if they need all processors."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        assert processes.submit(reported, working).result() < 0.15
