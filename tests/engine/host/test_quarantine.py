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


async def ready() -> None:
    """The engine is ready."""


async def run(quarantine: Quarantine, token: int) -> None:
    async with quarantine.admit(request(token), ready):
        await asyncio.sleep(0)


async def crash(quarantine: Quarantine, *tokens: int) -> None:
    """The engine dies while it runs these."""
    with contextlib.suppress(EngineFailure):
        async with contextlib.AsyncExitStack() as stack:
            for token in tokens:
                await stack.enter_async_context(quarantine.admit(request(token), ready))
            quarantine.blame(map(request, tokens), CRASH)
            raise EngineFailure("It died.")


class Engine:
    """Dies when it runs a bad request. Clients ask again until they are answered or refused."""

    def __init__(self, bad: set[int]) -> None:
        self.quarantine = Quarantine()
        self.bad = bad
        self.rounds = 0
        self.refused: set[int] = set()
        self._running: dict[int, asyncio.Future[None]] = {}

    async def serve(self, tokens: range) -> None:
        clients = [asyncio.create_task(self._client(token)) for token in tokens]
        while not all(client.done() for client in clients):
            for _ in range(5):
                await asyncio.sleep(0)
            self._step()

    async def _client(self, token: int) -> None:
        while True:
            try:
                async with self.quarantine.admit(request(token), ready):
                    self._running[token] = asyncio.get_running_loop().create_future()
                    await self._running[token]
                return
            except Quarantined:
                self.refused.add(token)
                return
            except EngineFailure:
                continue

    def _step(self) -> None:
        running, self._running = self._running, {}
        self.rounds += bool(running)
        dies = not self.bad.isdisjoint(running)
        if dies:
            self.quarantine.blame(map(request, running), CRASH)
        for future in running.values():
            future.set_exception(EngineFailure("It died.")) if dies else future.set_result(None)


@pytest.mark.parametrize("bad", [set(), {0}, {7}, {15}, {3, 12}, {4, 5}, set(range(16))])
async def test_only_bad_requests_are_refused_and_all_good_ones_answered(bad):
    engine = Engine(bad)
    await engine.serve(range(16))
    assert engine.refused == bad


async def test_sixteen_good_suspects_are_free_after_two_rounds():
    engine = Engine(set())
    engine.quarantine.blame(map(request, range(16)), CRASH)
    await engine.serve(range(16))
    assert engine.rounds == 2


async def test_one_bad_request_among_sixteen_is_found_by_halves():
    engine = Engine({11})
    await engine.serve(range(16))
    assert engine.rounds <= 12  # one at a time it was 17


async def test_a_request_that_ends_normally_is_no_longer_suspect():
    quarantine = Quarantine()
    await crash(quarantine, 1, 2)
    await run(quarantine, 2)
    await crash(quarantine, 1)
    with pytest.raises(Quarantined):
        await run(quarantine, 1)
    await run(quarantine, 2)


async def test_a_suspect_beside_new_requests_is_not_refused_at_once():
    quarantine = Quarantine()
    await crash(quarantine, 1)
    await crash(quarantine, 1, 2)  # 2 is the cause
    await run(quarantine, 1)
    await crash(quarantine, 2)
    with pytest.raises(Quarantined):
        await run(quarantine, 2)
    await run(quarantine, 1)


async def test_a_bad_request_that_always_has_company_is_refused_too():
    quarantine = Quarantine()
    for company in range(2, 5):
        await crash(quarantine, 1, company)
    with pytest.raises(Quarantined):
        await run(quarantine, 1)


async def test_halves_run_one_after_the_other_and_others_beside_them():
    quarantine = Quarantine()
    quarantine.blame(map(request, range(4)), CRASH)
    beside = []
    running: set[int] = set()

    async def one(token: int) -> None:
        async with quarantine.admit(request(token), ready):
            running.add(token)
            await asyncio.sleep(0.02)
            beside.append(set(running))
            running.discard(token)

    await asyncio.gather(*map(one, (0, 2, 1, 3, 9)))
    suspects = [seen - {9} for seen in beside]
    assert {0, 1} in suspects
    assert {2, 3} in suspects
    assert not any(seen & {0, 1} and seen & {2, 3} for seen in suspects)
    assert any(9 in seen and len(seen) > 1 for seen in beside)


async def test_a_suspect_that_waits_for_its_turn_waits_for_the_engine_too():
    quarantine = Quarantine()
    quarantine.blame(map(request, range(2)), CRASH)
    restarted = asyncio.Event()

    async def wait_restarted() -> None:
        await restarted.wait()

    async def one() -> None:
        async with quarantine.admit(request(1), wait_restarted):
            pass

    with contextlib.suppress(EngineFailure):
        async with quarantine.admit(request(0), ready):
            waiting = asyncio.create_task(one())
            await asyncio.sleep(0)
            raise EngineFailure("It died.")
    await asyncio.sleep(0.01)
    assert not waiting.done()
    restarted.set()
    await waiting


async def test_two_deaths_by_sigkill_do_not_condemn_but_a_third_does():
    quarantine = Quarantine()
    for _ in range(2):
        quarantine.blame([request(1)], KILL)
    quarantine.blame([request(1)], KILL)
    with pytest.raises(Quarantined):
        await run(quarantine, 1)


async def test_after_one_death_by_sigkill_requests_run_together():
    quarantine = Quarantine()
    quarantine.blame([request(1), request(2)], KILL)
    async with quarantine.admit(request(1), ready):
        await asyncio.wait_for(run(quarantine, 2), 60)


async def test_a_signal_of_the_operator_makes_nothing_suspicious():
    quarantine = Quarantine()
    for _ in range(9):
        quarantine.blame([request(1)], 0)
    await run(quarantine, 1)


async def test_copies_of_a_request_at_one_death_count_once():
    quarantine = Quarantine()
    quarantine.blame([request(1), request(1)], CRASH)
    await run(quarantine, 1)


async def test_a_verdict_expires(monkeypatch):
    quarantine = Quarantine()
    for _ in range(2):
        quarantine.blame([request(1)], CRASH)
    with pytest.raises(Quarantined):
        await run(quarantine, 1)
    monkeypatch.setattr(module, "FORGET_SECONDS", 0.0)
    await run(quarantine, 1)


async def test_old_suspects_are_forgotten():
    quarantine = Quarantine()
    for _ in range(2):
        quarantine.blame([request(0)], CRASH)
    quarantine.blame((request(token) for token in range(1, MAX_KNOWN + 1)), CRASH)
    await run(quarantine, 0)
