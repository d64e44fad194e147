import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from shutil import which

import httpx
import pytest

from minikin.api.app import MoreRoutes
from minikin.api.draining import DrainingServer
from minikin.api.server import check_tls, listen, serve
from minikin.errors import SetupError
from tests.fakes import ScriptedEngine, app_over, settings
from tests.patience import PATIENCE, until
from tests.real_model import ROOT

ASK = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
SCRIPT = """
import asyncio, socket
from minikin.api.draining import DrainingServer
from tests.fakes import ScriptedEngine, app_over, settings

async def main():
    chosen = settings(drain_seconds={drain})
    engine = ScriptedEngine(tokens=["a"] * {tokens}, pause=0.05)
    server = DrainingServer(app_over(engine, chosen), chosen)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    await server.serve(sockets=[listener])

asyncio.run(main())
"""
ENDLESS = """
import asyncio, socket
from pathlib import Path
from minikin.api.draining import DrainingServer
from minikin.config import EngineSettings
from minikin.engine.host import supervisor
from tests.fakes import app_over, settings

async def main():
    chosen = settings(drain_seconds={drain})
    supervisor.PROGRAM = "tests.engine.host.scripted_worker"
    engine = supervisor.EngineSupervisor(EngineSettings(model=Path("endless")))
    await engine.start()
    server = DrainingServer(app_over(engine, chosen), chosen)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    await server.serve(sockets=[listener])

asyncio.run(main())
"""

LOADING = """
import signal, time
from minikin.api import server
from tests.fakes import settings

def routes():
    print("loading", flush=True)
    time.sleep(1)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
server.ModelPool.first = lambda pool: None
server.serve(settings(port=0), routes)
"""


BEFORE_THE_ENGINE = """
import sys
import minikin.cli.serve, minikin.api.server
from minikin.cli.options import locate_model
locate_model({model!r}, None)
slow = {{"numpy", "sqlalchemy", "tokenizers", "llguidance", "jinja2", "starlette", "uvicorn"}}
print(*slow & sys.modules.keys())
"""


def test_the_engine_starts_before_this_process_imports_what_takes_long(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    script = [sys.executable, "-c", BEFORE_THE_ENGINE.format(model=str(tmp_path / "a.gguf"))]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    assert subprocess.check_output(script, env=env, text=True).split() == []


@pytest.fixture
def start():
    """Start a server in a process of its own; gives the process and its address."""
    running = []

    def start(tokens=100, drain=600.0, script=SCRIPT):
        process = subprocess.Popen(
            [sys.executable, "-c", script.format(tokens=tokens, drain=drain)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process, f"http://127.0.0.1:{process.stdout.readline().strip()}"

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def events(lines):
    return [line.removeprefix("data: ") for line in lines if line]


def test_the_first_signal_drains(start):
    process, url = start()
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=ASK) as stream:
        lines = stream.iter_lines()
        next(lines)
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{url}/ready").json() == {"status": "draining"})
        assert httpx.get(f"{url}/health").status_code == 200
        refused = httpx.post(f"{url}/v1/chat/completions", json=ASK)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert events(lines)[-1] == "[DONE]"
    assert process.wait(timeout=PATIENCE) == 0


@pytest.mark.parametrize("signals", [1, 2], ids=["at the limit", "at the second signal"])
@pytest.mark.parametrize("stream", [True, False])
def test_answers_that_do_not_end_are_cut_off_with_true_words(start, stream, signals):
    process, url = start(script=ENDLESS, drain=0.5 if signals == 1 else 3600)
    with ThreadPoolExecutor() as pool:
        ask = ASK | {"stream": stream}
        asked = pool.submit(httpx.post, f"{url}/v1/chat/completions", json=ask, timeout=PATIENCE)
        begun = 'vllm:time_to_first_token_seconds_count{model_name="tiny"} 1.0'
        until(lambda: begun in httpx.get(f"{url}/metrics").text)
        process.send_signal(signal.SIGTERM)
        if signals == 2:
            until(lambda: httpx.get(f"{url}/ready").json() == {"status": "draining"})
            process.send_signal(signal.SIGTERM)
        answer = asked.result()
    if stream:
        assert answer.status_code == 200
        error = json.loads(events(answer.text.splitlines())[-1])["error"]
    else:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        error = answer.json()["error"]
    assert error["message"] == "The server is shutting down."
    assert error["type"] == "service_unavailable_error"
    assert process.wait(timeout=PATIENCE) == 0


@pytest.mark.parametrize("background", [False, True])
def test_responses_that_do_not_end_are_cut_off_with_true_words(start, background):
    process, url = start(script=ENDLESS, drain=3600)
    body = {"model": "tiny", "input": "Hi", "stream": True, "background": background}
    with httpx.stream("POST", f"{url}/v1/responses", json=body, timeout=PATIENCE) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if "output_text.delta" in line)
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{url}/ready").json() == {"status": "draining"})
        process.send_signal(signal.SIGTERM)
        last = [json.loads(event) for event in events(lines) if event.startswith("{")][-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["message"] == "The server is shutting down."
    assert process.wait(timeout=PATIENCE) == 0


def test_an_idle_server_ends_at_once(start):
    process, url = start()
    assert httpx.get(f"{url}/health").status_code == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 0


def test_a_second_interrupt_while_it_loads_is_quiet():
    """The first one ends the loop, which then waits for the thread that loads."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOADING],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "loading\n"
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, errors = process.communicate(timeout=PATIENCE)
    assert "Event loop is closed" not in errors
    assert process.returncode in (-signal.SIGINT, 0)


async def test_idle_connections_outlive_those_of_client_pools():
    chosen = settings()
    server = DrainingServer(app_over(ScriptedEngine(), chosen), chosen)
    go, okhttp, load_balancer = 90, 300, 600
    assert server.config.timeout_keep_alive > max(go, okhttp, load_balancer)


def test_connections_notice_a_client_that_vanished():
    with listen(settings(port=0)) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_port_in_use_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"port {port}.*--port"):
            serve(settings(port=port), MoreRoutes)


@pytest.mark.parametrize("kind", ["text", "folder", "no folder"])
def test_an_unusable_database_is_one_error_at_the_start(tmp_path, caplog, kind):
    path = tmp_path / "kept.sqlite3"
    if kind == "text":
        path.write_text("no database, but longer than the header of one would have to be")
    elif kind == "folder":
        path.mkdir()
    else:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "kept.sqlite3"
    with pytest.raises(SetupError, match=r"Cannot use the database .*kept\.sqlite3: .*--database"):
        serve(settings(port=0, database=str(path)), MoreRoutes)
    assert caplog.text == "", "the command prints the error"


@pytest.mark.parametrize("package", ["torch", "sqlalchemy"])
def test_a_server_is_ready_without_what_takes_long_to_import(package):
    code = f"import sys, minikin.api.server, minikin.api.app; sys.exit({package!r} in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.skipif(which("openssl") is None, reason="needs openssl")
def test_a_certificate_that_does_not_fit_is_an_error_before_the_start(tmp_path):
    for name in ("one", "two"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
             "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
    one, two, key = tmp_path / "one.pem", tmp_path / "two.pem", tmp_path / "one.key"
    check_tls(settings(tls_certificate=one, tls_key=key))
    for wrong in ({"tls_certificate": two, "tls_key": key}, {"tls_certificate": tmp_path / "none"}):
        with pytest.raises(SetupError, match="Cannot use the certificate"):
            check_tls(settings(**wrong))
    with pytest.raises(SetupError, match="needs --tls-certificate"):
        check_tls(settings(tls_key=key))
