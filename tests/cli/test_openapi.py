"""The document of the whole server: the API's routes and the catalog's."""

from __future__ import annotations

import json

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from minikin.api.routes.openapi import document, with_more
from minikin.catalog import openapi
from minikin.cli.serve import catalog_routes
from tests.api.page.routes_of_people import OF_PEOPLE
from tests.fakes import ScriptedEngine, live_server
from tests.openapi_checks import CHECKS

DESCRIBED = with_more(document(), openapi.paths())
schema = schemathesis.openapi.from_dict(DESCRIBED)


@pytest.fixture(scope="module")
def server():
    with live_server(ScriptedEngine(), more=catalog_routes) as server:
        yield server


def test_every_route_is_in_the_document(server):
    described = httpx.get(f"{server.url}/openapi.json").json()
    assert described == DESCRIBED
    found = {(path, method.upper()) for path, ms in described["paths"].items() for method in ms}
    mounted = {
        (route.path.replace(":path", ""), method)
        for route in server.app.routes
        for method in route.methods - {"HEAD"}
        if route.path not in OF_PEOPLE
    }
    assert found == mounted
    assert {"/catalog", "/catalog/offerings", "/api/v1/models"} <= described["paths"].keys()


def test_every_reference_of_the_document_has_a_target():
    schemas = DESCRIBED["components"]["schemas"]
    references = {part.split('"')[0] for part in json.dumps(DESCRIBED).split('"$ref": "')[1:]}
    assert references <= {f"#/components/schemas/{name}" for name in schemas}


def test_a_fault_of_the_catalog_has_the_servers_body(server):
    for path in ("/catalog/models/none", "/catalog/offerings?limit=501"):
        error = httpx.get(f"{server.url}{path}", timeout=60).json()["error"]
        assert (error["type"], set(error)) == (
            "invalid_request_error",
            {"message", "type", "param", "code"},
        )


@schema.include(path_regex="^/catalog|^/api").parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_catalog_answers_as_the_document_says(case, server):
    case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=60)
