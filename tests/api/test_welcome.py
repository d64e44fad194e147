import logging
import os
import re
import shlex
import shutil
import socket
import subprocess

import httpx
import pytest
from msgspec.structs import replace

from minikin.api.app import MoreRoutes
from minikin.api.server import serve
from minikin.api.welcome import base_url, is_open, welcome
from tests.fakes import settings


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("keys", [(), ("sk-1",)])
def test_the_curl_line_works(serve, keys):
    server = serve(api_keys=keys)
    said = welcome(settings(api_keys=keys), f"{server.url}/v1")
    line = re.search(r"curl .*", said)[0]
    assert not any(key in said for key in keys), "a key must not get into a log"
    run = subprocess.run(
        ["sh", "-c", f"{line} --silent"],
        env={"PATH": os.environ["PATH"], "MINIKIN_API_KEY": "sk-1"},
        capture_output=True,
        text=True,
    )
    assert '"content":"Hello there!"' in run.stdout


def test_it_names_the_page_and_how_to_stop(shared_server):
    said = welcome(settings(), f"{shared_server.url}/v1")
    page = re.search(r"Playground +(\S+)", said)[1]
    assert httpx.get(page, headers={"accept": "text/html"}).status_code == 200
    assert "Ctrl-C" in said


def test_the_note_of_the_model_comes_last():
    chosen = settings()
    first = replace(chosen.models[0], note="It is small.")
    assert welcome(replace(chosen, models=(first,)), "http://x/v1").endswith("It is small.")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_client_reaches_the_address(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        assert is_open(listener) == (host in ("0.0.0.0", "::"))
        url = httpx.URL(base_url(listener))
        assert url.host not in ("0.0.0.0", "::")
        socket.create_connection((url.host, url.port)).close()
    assert shlex.split(re.search(r"curl .*", welcome(settings(), str(url)))[0])[1].startswith(
        "http"
    )


@pytest.mark.parametrize(
    ("host", "keys", "warned"),
    [("0.0.0.0", (), True), ("0.0.0.0", ("sk-1",), False), ("127.0.0.1", (), False)],
)
def test_an_open_server_without_keys_warns(monkeypatch, caplog, host, keys, warned):
    class Started(Exception):
        pass

    def run(*_args, **_options):
        raise Started

    monkeypatch.setattr("minikin.api.server.asyncio.Runner", run)
    caplog.set_level(logging.WARNING)
    with socket.create_server((host, 0)) as listener:
        monkeypatch.setattr("minikin.api.server.listen", lambda _: listener)
        with pytest.raises(Started):
            serve(settings(host=host, port=0, api_keys=keys), MoreRoutes)
    assert ("without an API key" in caplog.text) == warned
    assert ("--api-key-file" in caplog.text) == warned
