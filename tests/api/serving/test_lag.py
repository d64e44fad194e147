import asyncio
import time

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


async def test_work_on_the_loop_is_measured():
    async def work():
        burn(0.2)

    assert 0.15 < await measured(work) < 2


async def test_a_pause_of_the_machine_is_no_work():
    """Other programs make every timer late on a busy machine."""

    async def work():
        time.sleep(0.3)

    assert await measured(work) < 0.15
