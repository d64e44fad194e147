from __future__ import annotations

import asyncio
import contextlib

import pytest

from minikin.engine.host import quarantine as module
from minikin.engine.host.ending import CRASH, KILL
from minikin.engine.host.quarantine import MAX_KNOWN, Quarantine
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.errors import EngineFailure, Quarantined


def request(token: int) -> GenerationRequest:
    return GenerationRequest(
        id=f"chatcmpl-{id(object())}", prompt=[token], params=SamplingParams(max_tokens=1)
    )


async def run(quarantine: Quarantine, token: int) -> None:
    async with quarantine.admit(request(token)):
        await asyncio.sleep(0)


async def test_a_request_that_ends_normally_is_no_longer_suspect():
    quarantine = Quarantine()
    quarantine.blame([request(1), request(2)], CRASH)
    await run(quarantine, 2)
    quarantine.blame([request(1), request(2)], CRASH)
    await run(quarantine, 2)
    with pytest.raises(Quarantined):
        await run(quarantine, 1)


async def test_suspects_run_one_at_a_time_and_others_beside_them():
    quarantine = Quarantine()
    quarantine.blame([request(1), request(2)], CRASH)
    order = []

    async def one(token: int) -> None:
        async with quarantine.admit(request(token)):
            order.append(f"{token} in")
            await asyncio.sleep(0.02)
            order.append(f"{token} out")

    await asyncio.gather(one(1), one(2), one(3))
    assert order == ["1 in", "3 in", "1 out", "3 out", "2 in", "2 out"] or order == [
        "1 in", "3 in", "1 out", "2 in", "3 out", "2 out",
    ]  # fmt: skip


async def test_two_deaths_by_sigkill_do_not_condemn_but_a_third_does():
    quarantine = Quarantine()
    for _ in range(2):
        quarantine.blame([request(1)], KILL)
    with contextlib.suppress(EngineFailure):
        async with quarantine.admit(request(1)):
            quarantine.blame([request(1)], KILL)
            raise EngineFailure("It died.")
    with pytest.raises(Quarantined):
        await run(quarantine, 1)


async def test_after_one_death_by_sigkill_requests_run_together():
    quarantine = Quarantine()
    quarantine.blame([request(1), request(2)], KILL)
    async with quarantine.admit(request(1)):
        await asyncio.wait_for(run(quarantine, 2), 60)


async def test_a_signal_of_the_operator_makes_nothing_suspicious():
    quarantine = Quarantine()
    for _ in range(9):
        quarantine.blame([request(1)], 0)
    await run(quarantine, 1)


async def test_a_verdict_expires(monkeypatch):
    quarantine = Quarantine()
    quarantine.blame([request(1), request(1)], CRASH)
    with pytest.raises(Quarantined):
        await run(quarantine, 1)
    monkeypatch.setattr(module, "FORGET_SECONDS", 0.0)
    await run(quarantine, 1)


async def test_old_suspects_are_forgotten():
    quarantine = Quarantine()
    quarantine.blame([request(0), request(0)], CRASH)
    quarantine.blame((request(token) for token in range(1, MAX_KNOWN + 1)), CRASH)
    await run(quarantine, 0)
