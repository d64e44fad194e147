import os
import re

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from minikin.api.request.parameters import EXTENSIONS, PARAMETERS
from minikin.api.routes.openapi import document
from tests.api.page.routes_of_people import OF_PEOPLE
from tests.fakes import ScriptedEngine, live_server
from tests.openapi_checks import CHECKS
from tests.real_model import real_server

EXAMPLES = int(os.environ.get("MINIKIN_EXAMPLES", "8"))


def _schema(extensions=False):
    """The cases that a schema's limits give take seconds to make: with MINIKIN_EXAMPLES only."""
    is_long = "MINIKIN_EXAMPLES" in os.environ
    phases = {"coverage": {"enabled": is_long}}
    config = schemathesis.Config.from_dict({"phases": phases})
    return schemathesis.openapi.from_dict(document(extensions=extensions), config=config)


schema = _schema()
extended = _schema(extensions=True).include(path="/v1/completions")


def _server(request, *options, **settings):
    """A server with a scripted engine, or with the default model."""
    if request.param == "script":
        return live_server(ScriptedEngine(), **settings)
    return real_server("--default-max-tokens", "8", *options)


in_both_ways = pytest.fixture(
    scope="module",
    params=["script", pytest.param("real", marks=[pytest.mark.model, pytest.mark.slow])],
)


@in_both_ways
def server(request):
    with _server(request) as server:
        yield server


@in_both_ways
def extended_server(request):
    with _server(request, "--extensions", extensions=True) as server:
        yield server


def test_the_page_needs_no_other_server(shared_server):
    page = httpx.get(f"{shared_server.url}/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in re.findall(r'(?:src|href)="(page/[^"]+)"', page.text):
        assert httpx.get(f"{shared_server.url}/{path}").status_code == 200


def test_a_browser_needs_no_key_for_the_page_and_one_for_the_document(serve):
    server = serve(api_keys=("mk-0123456789abcdef",))
    browser = {"accept": "text/html"}
    assert httpx.get(f"{server.url}/docs", headers=browser).status_code == 200
    assert httpx.get(f"{server.url}/openapi.json", headers=browser).status_code == 401


def test_extensions_are_described_where_they_are_taken(serve):
    server = serve(extensions=True)
    served = httpx.get(f"{server.url}/openapi.json").json()
    fields = served["components"]["schemas"]["ChatCompletionRequest"]["properties"]
    assert set(fields) == {"model", *(p.name for p in PARAMETERS + EXTENSIONS)}


def test_the_document_has_every_route_but_its_own(shared_server):
    served = httpx.get(f"{shared_server.url}/openapi.json").json()
    assert served == document()
    routes = {
        (route.path.replace(":path", ""), method.lower())
        for route in shared_server.app.routes
        for method in route.methods - {"HEAD"}
        if route.path not in OF_PEOPLE
    }
    assert routes == {(path, method) for path, ms in served["paths"].items() for method in ms}


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_the_document_says(case, server):
    case.call_and_validate(base_url=server.url, checks=CHECKS)


@extended.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_of_an_extension_are_as_the_document_says(case, extended_server):
    case.call_and_validate(base_url=extended_server.url, checks=CHECKS)
