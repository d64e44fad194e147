import gc
import weakref
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from minikin.catalog import routes
from minikin.catalog.facts import evidence as evidence_files
from minikin.catalog.facts.evidence import Evidence, Result
from minikin.catalog.facts.fact import Fact, Origin, Record
from minikin.catalog.facts.prices import Quote
from minikin.catalog.openrouter import Served
from minikin.catalog.routes import catalog_routes
from minikin.catalog.sources import catalog as catalogs
from minikin.catalog.sources import query
from minikin.catalog.sources.catalog import Catalog
from minikin.errors import MinikinError

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    loads = []

    def load():
        loads.append(1)
        catalog = catalogs.load(folder, datetime(2026, 11, 23, tzinfo=UTC))
        result = Result("seed", "verified", "seen", 1, "a", "b", 1, "2026-11-20T0", "2027-01-01T0")
        id = "minikin/SmolLM2-135M-Instruct"
        catalog.evidence[id.lower()] = Evidence(id, "http://x", "m", None, "minikin", [result])
        return catalog

    async def on_error(request, error):
        return JSONResponse(error.body(), error.status)

    routes = catalog_routes(load, [Served(("SmolLM2-135M-Instruct", "gpt-4.1-mini"), lambda: None)])
    with TestClient(
        Starlette(routes=routes, exception_handlers={MinikinError: on_error})
    ) as client:
        yield client
    assert loads == [1]


@pytest.mark.parametrize("root", ["/catalog", "/catalog/"])
def test_the_root_counts_for_programs_and_leads_browsers_to_the_page(client, root):
    assert client.get(root).json()["offerings"] > 4_800
    page = client.get(root, headers={"accept": "text/html"})
    assert page.url.path == "/catalog/index.html"
    assert "Model Catalog</h1>" in page.text


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("models", "models/index.html"),
        ("offerings", "offerings/index.html"),
        ("offerings/nano-gpt/openai/gpt-4.1-mini", "offerings/nano-gpt/openai-gpt-4.1-mini.html"),
        ("evidence/minikin/SmolLM2-135M-Instruct", "evidence/minikin/smollm2-135m-instruct.html"),
    ],
)
def test_a_browser_gets_the_page_where_a_program_gets_json(client, path, page):
    found = client.get(f"/catalog/{path}", headers={"accept": "text/html,*/*"})
    assert (found.status_code, found.url.path) == (200, f"/catalog/{page}")
    assert "</h1>" in found.text
    assert client.get(f"/catalog/{path}").headers["content-type"] == "application/json"


def test_filters_hold_for_every_row(client):
    query = {"capability": "tools", "max_price": 0.05, "min_context": 200_000, "limit": 500}
    found = client.get("/catalog/offerings", params=query).json()
    assert found["total"] == len(found["data"]) > 10
    for row in found["data"]:
        assert row["capabilities"]["tools"]["state"] in ("verified", "declared")
        assert row["fields"]["price_input"]["value"] <= 0.05
        assert row["fields"]["context"]["value"] >= 200_000


def test_a_job_has_its_price_and_only_offerings_that_it_fits(client):
    query = {"author": "openai", "input_tokens": 150_000, "output_tokens": 1_000, "limit": 500}
    rows = client.get("/catalog/offerings", params=query).json()["data"]
    prices = [row["job_usd"] for row in rows]
    assert prices == sorted(prices)
    known = {row["id"]: row for row in rows}
    assert known["openai/gpt-4.1-mini"]["job_usd"] == pytest.approx(0.0616)
    assert not {"openai/gpt-4", "openai/gpt-4o"} & known.keys()  # 8k and 128k tokens
    limits = [row["fields"]["context"]["value"] for row in rows if "context" in row["fields"]]
    assert min(limits) >= 151_000
    plain = client.get("/catalog/offerings", params={"limit": 1}).json()["data"][0]
    assert "job_usd" not in plain


def test_a_row_is_priced_once(client, monkeypatch):
    priced = []
    monkeypatch.setattr(query, "cost", lambda row, job: priced.append(row.id) or Quote(7.0))
    asked = {"author": "openai", "input_tokens": 10, "limit": 5}
    rows = client.get("/catalog/offerings", params=asked).json()["data"]
    assert [row["job_usd"] for row in rows] == [7.0] * 5
    assert len(priced) == len(set(priced))


def test_pages_of_offerings_leave_none_out(client):
    ids, total = [], 1
    while len(ids) < total:
        query = {"provider": "openrouter", "limit": 100, "offset": len(ids)}
        found = client.get("/catalog/offerings", params=query).json()
        total = found["total"]
        ids += [row["id"] for row in found["data"]]
    assert len(set(ids)) == len(ids) == total > 300


def test_filters_by_author_and_provider_meet(client):
    params = {"author": "openai", "provider": "azure"}
    ids = [row["id"] for row in client.get("/catalog/offerings", params=params).json()["data"]]
    assert "azure/gpt-4.1-mini" in ids
    assert all(id.startswith("azure/") for id in ids)


def test_verified_leaves_only_what_was_probed(client):
    params = {"capability": "seed", "verified": "true"}
    rows = client.get("/catalog/offerings", params=params).json()["data"]
    ids = [row["id"] for row in rows]
    assert ids == ["minikin/SmolLM2-135M-Instruct", "xllamacpp/SmolLM2-135M-Instruct"]


@pytest.mark.parametrize(
    "query",
    [
        "max_price=-1",
        "max_price=nan",
        "min_context=0",
        "input_tokens=-1",
        "output_tokens=1.5",
        "limit=501",
        "limit=x",
        "color=red",
        "capability=telepathy",
        f"author={'x' * 200}",
    ],
)
def test_a_bad_question_is_refused(client, query):
    reply = client.get(f"/catalog/offerings?{query}")
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_a_record_carries_states_sources_and_conflicts(client):
    row = client.get("/catalog/offerings/openai/gpt-4.1-mini").json()
    assert row["fields"]["context"]["source"].startswith("models-dev")
    assert [said["value"] for said in row["conflicts"]["context"]] == [1_047_576, 1_000_000]
    assert row["capabilities"]["error_bodies"] == {"state": "unknown"}
    assert row["capabilities"]["best_of"]["not_observable"] == "the other answers are not returned"
    assert client.get("/catalog/models/gpt-4.1-mini").json()["kind"] == "model"
    assert client.get("/catalog/evidence/minikin/smollm2-135m-instruct").json()["results"]
    assert client.get("/catalog/authors").json()["total"] > 30
    assert client.get("/catalog/evidence").json()["total"] == 2


def test_pages_badges_and_style_are_those_of_the_built_site(client):
    page = client.get("/catalog/models/gpt-4.1-mini.html")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for link in (
        "badges/stop-declared.svg",
        "style.css",
        "table.js",
        "offerings/openai/gpt-4.1-mini.html",
    ):
        assert f"../{link}" in page.text
        assert client.get(f"/catalog/{link}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("models/none.html", "badges/../x.svg", "badges/stop-great.svg", "x", "models/none"),
        *("_load/x", "evidence/none", "offerings/../../etc/passwd", "x.css"),
    ],
)
def test_a_missing_file_is_not_found(client, path):
    reply = client.get(f"/catalog/{path.replace('..', '%2e%2e')}")
    assert reply.status_code == 404
    assert reply.json()["error"]["message"]


def test_openrouters_list_names_what_is_served_here(client):
    own, alias = client.get("/api/v1/models").json()["data"]
    assert (own["id"], alias["id"]) == ("SmolLM2-135M-Instruct", "gpt-4.1-mini")
    assert alias["name"] == "SmolLM2-135M-Instruct"  # the name may borrow, the facts may not
    assert alias["context_length"] == 8192
    assert alias["pricing"] == {"prompt": "0", "completion": "0"}
    assert alias["created"] == 1_727_740_800  # its release, 2024-10
    assert {"seed", "response_format"} < set(alias["supported_parameters"])
    assert "top_k" not in alias["supported_parameters"]  # rejected by default


def test_a_local_name_is_never_taken_for_somebodys_model(tmp_path):
    """`small` is also the name of a model of Kilo, and gpt-4.1-mini of one of OpenAI."""
    models = [Served(("small", "gpt-4.1-mini"), lambda: 4096), Served(("big",), lambda: None)]
    found = catalog_routes(lambda: catalogs.load(tmp_path), models)
    with TestClient(Starlette(routes=found)) as client:
        rows = client.get("/api/v1/models").json()["data"]
    assert [row["name"] for row in rows] == ["small", "small", "big"]
    assert [row["context_length"] for row in rows] == [4096, 4096, None]
    for row in rows:
        assert (row["created"], row["pricing"], row["description"]) == (None, {}, "")
        # The server enforces the parameters, whatever the model.
        assert {"tools", "seed", "response_format"} < set(row["supported_parameters"])


def test_new_evidence_shows_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.setattr(routes, "CHECK_SECONDS", 0.0)
    mine = (Record("offering", "lab/m", {"model": (Fact("m", Origin.LOCAL, "s", "2026-01-01"),)}),)

    def load():
        return Catalog(mine, evidence_files.read_folder(tmp_path / "evidence"), NOW)

    found = catalog_routes(load, state=lambda: catalogs.state(tmp_path))
    with TestClient(Starlette(routes=found)) as client:
        assert client.get("/catalog/evidence").json()["total"] == 0
        result = Result("seed", "verified", "seen", 1, "a", "b", 1, "2026-11-20T0", "2027-01-01T0")
        path = tmp_path / "evidence" / "lab-m.json"
        evidence_files.write(path, Evidence("lab/m", "http://x", "m", None, "minikin", [result]))
        assert client.get("/catalog/offerings/lab/m").json()["capabilities"]["seed"] == {
            "state": "verified",
            "value": True,
            "source": "probe of http://x",
            "date": "2026-11-20",
        }
        path.write_text("{")  # a fault in a new file keeps the old catalog
        assert client.get("/catalog/evidence/lab/m").status_code == 200


def test_a_catalog_that_is_replaced_leaves_no_memory_behind(tmp_path, monkeypatch):
    """Without the garbage collector, which does not visit a loaded catalog."""
    monkeypatch.setattr(routes, "CHECK_SECONDS", 0.0)
    loaded, files = [], [1]

    def load():
        catalog = catalogs.load(tmp_path, NOW)
        loaded.append(weakref.ref(catalog))
        return catalog

    app = Starlette(routes=catalog_routes(load, state=lambda: tuple(files)))
    with TestClient(app) as client:
        for path in ("index.html", "models/gpt-4.1-mini.html", "api.json", "feed.xml", "authors"):
            assert client.get(f"/catalog/{path}").status_code == 200
        gc.disable()
        try:
            files.append(2)
            assert client.get("/catalog/authors").status_code == 200
            first, second = loaded
            assert second() is not None
            assert first() is None
        finally:
            gc.enable()


def test_answers_are_compressed_and_sent_once(client):
    whole = client.get("/catalog/api.json")
    assert whole.headers["content-encoding"] == "gzip"
    assert int(whole.headers["content-length"]) < len(whole.content) / 4
    assert len(whole.json()["offerings"]) > 4_800
    again = client.get("/catalog/api.json", headers={"if-none-match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/catalog/models", headers={"if-none-match": whole.headers["etag"]})
    assert other.status_code == 200
    plain = client.get("/catalog/api.json", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == whole.content
    assert client.get("/catalog/api.schema.json").json()["title"] == "Model catalog"


def test_openrouters_endpoints_are_those_of_this_server_for_its_names(client):
    found = client.get("/api/v1/models/gpt-4.1-mini/endpoints").json()["data"]
    (endpoint,) = found["endpoints"]
    assert (found["id"], endpoint["tag"], endpoint["context_length"]) == (
        "gpt-4.1-mini",
        "minikin",
        8192,
    )
    assert endpoint["pricing"] == {"prompt": "0", "completion": "0"}
    assert "seed" in endpoint["supported_parameters"]


def test_openrouters_endpoints_are_all_offerings_for_an_author_and_a_model(client):
    found = client.get("/api/v1/models/openai/gpt-4.1-mini/endpoints").json()["data"]
    tags = [endpoint["tag"] for endpoint in found["endpoints"]]
    assert tags[0] == "openai"
    assert {"azure", "openrouter"} < set(tags)
    assert found["endpoints"][0]["pricing"] == {"prompt": "4e-07", "completion": "1.6e-06"}
    for wrong in ("google/gpt-4.1-mini", "openai/gpt-none", "x"):
        assert client.get(f"/api/v1/models/{wrong}/endpoints").status_code == 404


def test_a_readme_can_show_what_a_probe_saw(client):
    folder = "/catalog/evidence/minikin/smollm2-135m-instruct"
    drawing = client.get(f"{folder}/seed.svg")
    assert drawing.headers["content-type"].startswith("image/svg+xml")
    assert "(verified)" in drawing.text
    assert "1 of 1 verified" in client.get(f"{folder}/verified.svg").text
    assert client.get(f"{folder}/tools.svg").status_code == 404  # not probed


def test_the_feed_has_the_newest_changes(client):
    answer = client.get("/catalog/feed.xml")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    assert b"Probe of minikin/SmolLM2-135M-Instruct: 1 verified" in answer.content
