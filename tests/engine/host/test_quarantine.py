from __future__ import annotations

import asyncio

import pytest

from minikin.engine.host.quarantine import MAX_KNOWN, Quarantine
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.errors import Quarantined


def request(token: int) -> GenerationRequest:
    return GenerationRequest(
        id=f"chatcmpl-{id(object())}", prompt=[token], params=SamplingParams(max_tokens=1)
    )


async def run(quarantine: Quarantine, token: int) -> None:
    async with quarantine.admit(request(token)):
        await asyncio.sleep(0)


async def test_a_request_that_ends_normally_is_no_longer_suspect():
    quarantine = Quarantine()
    quarantine.blame([request(1), request(2)])
    await run(quarantine, 2)
    quarantine.blame([request(1), request(2)])
    await run(quarantine, 2)
    with pytest.raises(Quarantined):
        await run(quarantine, 1)


async def test_suspects_run_one_at_a_time_and_others_beside_them():
    quarantine = Quarantine()
    quarantine.blame([request(1), request(2)])
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


async def test_old_suspects_are_forgotten():
    quarantine = Quarantine()
    quarantine.blame([request(0), request(0)])
    quarantine.blame(request(token) for token in range(1, MAX_KNOWN + 1))
    await run(quarantine, 0)
