"""Hostile requests at moments when the server has other work: it ends, or an engine starts anew.

Each is answered as at any other time, or with true words about the moment. The answer that runs is
not disturbed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal

import httpx
import pytest

from tests.attacks.case import ASK, CHAT, Target
from tests.attacks.test_attacks import cases_of
from tests.attacks.watch import CANARY
from tests.patience import PATIENCE, until
from tests.real_model import default_model, real_server

pytestmark = [pytest.mark.model, pytest.mark.thorough]

CASES = [case for section in "bd" for case in cases_of(section) if case.quick]
REFUSED = ("status 503", "The engine stopped while it ran this request.")
"""What such a moment does to good requests too."""
LONG = CANARY | {"max_tokens": 400}


async def said(client, body=LONG, moment=None):
    """The text of a stream, or its error. If `moment` is given, what came until it has passed."""
    text = ""
    async with client.stream("POST", CHAT, json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    return chunk["error"]["message"]
                text += chunk["choices"][0]["delta"].get("content") or ""
            if moment and moment.done():
                break
    return text


async def faults(target, moment):
    """What is wrong with answers to the hostile requests, sent until `moment` has passed."""
    found = {}
    while not moment.done():
        for case in CASES:
            try:
                wrong = await case.check(target)
            except httpx.TransportError:
                if moment.done():  # the server has ended
                    return found
                raise
            if wrong and not any(words in wrong[0] for words in REFUSED):
                found[case.name] = wrong
    return found


def running(*options, log):
    return real_server("--no-access-log", *options, log=log)


def client_of(server):
    return httpx.AsyncClient(base_url=server.url, timeout=2 * PATIENCE)


# asyncio of Python 3.11 does not close the socket of a connection that is refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_while_the_server_ends(tmp_path):
    with (tmp_path / "log").open("wb") as log, running(log=log) as server:
        async with client_of(server) as client:
            alone = await said(client)
            stream = asyncio.create_task(said(client))
            await asyncio.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            assert await faults(Target(server, client), stream) == {}
            assert stream.result() == alone
        assert await asyncio.to_thread(server.process.wait, PATIENCE) == 0
    gc.collect()
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_while_a_killed_engine_starts_anew(tmp_path):
    with (tmp_path / "log").open("wb") as log, running(log=log) as server:
        async with client_of(server) as client:
            alone = await said(client, CANARY)
            os.kill(server.engine_pid(), signal.SIGKILL)
            anew = asyncio.create_task(asyncio.to_thread(server.wait_ready, 300))
            assert await faults(Target(server, client), anew) == {}
            assert await said(client, CANARY) == alone
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_while_another_model_loads_and_leaves(tmp_path):
    file, copy = default_model(), tmp_path / "copy.gguf"
    shutil.copyfile(file, copy)
    models = ("--model", f"gpt-4.1-mini={file}", "--model", f"b={copy}", "--unload-after", "1")
    with (tmp_path / "log").open("wb") as log, running(*models, log=log) as server:
        async with client_of(server) as client:
            alone = await said(client)

            def unloadings() -> int:
                return (tmp_path / "log").read_text().count("Unloading b")

            async def switch():
                for times in (1, 2):
                    assert (await client.post(CHAT, json=ASK | {"model": "b"})).status_code == 200
                    await asyncio.to_thread(until, lambda times=times: unloadings() >= times)

            moment = asyncio.create_task(switch())
            stream = asyncio.create_task(said(client, LONG | {"max_tokens": 2_000}, moment))
            assert await faults(Target(server, client), moment) == {}
            text = await stream
            assert text
            assert text.startswith(alone) or alone.startswith(text)
    assert "Traceback" not in (tmp_path / "log").read_text()
