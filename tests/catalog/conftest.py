import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from tests.catalog.probes.fake_server import make_app
from tests.catalog.probes.fault_proxy import FaultProxy


@contextmanager
def running(app):
    """The app on a free port of loopback; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def serve():
    return running


@pytest.fixture(scope="session")
def honest():
    """The address of a server that honours everything."""
    with running(make_app()) as url:
        yield url


@pytest.fixture(scope="session")
def proxy(honest):
    """A proxy before the honest server, and its base URL."""
    proxy = FaultProxy(honest)
    with running(proxy.app) as url:
        yield proxy, f"{url}/v1"
