"""The catalog over HTTP: JSON for programs, the pages of `catalog build` for browsers.

    GET /catalog                                 counts; a browser is sent to the index page
    GET /catalog/{authors,models,providers}      ids and names
    GET /catalog/offerings?capability=&verified=&author=&provider=&max_price=&min_context=
                          &limit=&offset=
    GET /catalog/{authors,models,providers,offerings}/{id}      one record
    GET /catalog/evidence/{provider}/{model}     what probes found
    GET /catalog/....html                        a page
    GET /api/v1/models                           the models served here, in OpenRouter's shape

Handlers are plain functions, so Starlette runs them in threads, beside the event loop. What they
raise is of the error tree: the application answers with its status and body.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from minikin.catalog import query
from minikin.catalog.badge import Badge
from minikin.catalog.catalog import Catalog
from minikin.catalog.fact import Record
from minikin.catalog.page import HTML, render
from minikin.catalog.schema import capabilities, table
from minikin.catalog.site import ASSETS, Site
from minikin.errors import InvalidRequest, NotFound

_KINDS = ("authors", "models", "providers", "offerings")
_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'self'"}
_STATES = ("verified", "declared", "failed", "stale")


class _Question(query.Filter, kw_only=True, forbid_unknown_fields=True):
    """The query string of /catalog/offerings."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0


def catalog_routes(load: Callable[[], Catalog], served: tuple[str, ...] = ()) -> list[Route]:
    """Routes over the catalog that `load` gives, which is called once, at the first request.

    `served` are the names that this server answers to, the model's own first.
    """
    lock = threading.Lock()
    made = cache(lambda: Site(load()))

    def site() -> Site:
        with lock:  # whoever asks meanwhile waits for the same one
            return made()

    def index(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/catalog/index.html")
        return JSONResponse({kind: len(getattr(site().catalog, kind)) for kind in _KINDS})

    def offerings(request: Request) -> Response:
        asked = _question(request)
        catalog = site().catalog
        rows = asked.select(catalog)
        return _list(
            [query.as_json(catalog, row) for row in rows[asked.offset :][: asked.limit]], len(rows)
        )

    def anything(request: Request) -> Response:
        path = request.path_params["path"]
        if path.endswith((".html", ".svg", *ASSETS)):
            return _file(site(), path)
        return _record(site().catalog, path)

    def openrouter(request: Request) -> Response:
        rows = [_openrouter(site().catalog, served[0], name) for name in served]
        return JSONResponse({"data": rows})

    return [
        Route("/catalog", index),
        Route("/catalog/offerings", offerings),
        Route("/catalog/{path:path}", anything),
        Route("/api/v1/models", openrouter),
    ]


def _question(request: Request) -> _Question:
    parameters = request.query_params
    raw: dict[str, Any] = {name: parameters.get(name) for name in parameters}
    if "capability" in raw:
        raw["capability"] = parameters.getlist("capability")
    try:
        return msgspec.convert(raw, _Question, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The query can't be read: {error}.") from None


def _list(rows: list[Any], total: int) -> Response:
    return JSONResponse({"object": "list", "total": total, "data": rows})


def _record(catalog: Catalog, path: str) -> Response:
    root, _, name = path.partition("/")
    key = name.lower()
    if root == "evidence" and key in catalog.evidence:
        return JSONResponse(msgspec.to_builtins(catalog.evidence[key]))
    records: dict[str, Record] = getattr(catalog, root) if root in _KINDS else {}
    if records and not name:
        rows = [{"id": row.id, "name": row.name} for row in records.values()]
        return _list(rows, len(rows))
    if key not in records:
        raise NotFound(f"The catalog has nothing at {path[:200]!r}.")
    return JSONResponse(query.as_json(catalog, records[key]))


def _file(site: Site, path: str) -> Response:
    """A page, a badge or the style sheet, as `catalog build` writes them. Raises NotFound."""
    name, _, suffix = path.rpartition(".")
    if path in ASSETS:
        media_type = f"text/{'css' if suffix == 'css' else 'javascript'}"
        return Response(ASSETS[path], media_type=media_type, headers=_SAFE)
    if suffix == "svg":
        capability, _, state = name.removeprefix("badges/").rpartition("-")
        if capability not in capabilities() or state not in _STATES:
            raise NotFound("There is no such badge.")
        drawing = Badge(capabilities()[capability], state, None).svg()
        return Response(drawing, media_type="image/svg+xml", headers=_SAFE)
    if name.split("/")[-1] == "index":
        name = f"{name.removesuffix('index')}_index"
    return Response(render(site.page(name), HTML), media_type="text/html", headers=_SAFE)


def _openrouter(catalog: Catalog, own: str, name: str) -> dict[str, Any]:
    """An entry of OpenRouter's list for a name of the model whose own id is `own`.

    Prices are text, in US dollars per token; what isn't known is null or left out.
    """
    offering = catalog.offerings.get(f"minikin/{own}".lower(), Record("offering", own, {}))
    model = catalog.models.get(catalog.model_of(offering), Record("model", own, {}))
    sides = [model.value(f"{side}_modalities") or ["text"] for side in ("input", "output")]
    prices = {"prompt": "price_input", "completion": "price_output"}
    released = model.value("release_date")
    return {
        "id": name,
        "name": model.name,
        "created": released and _unix_seconds(released),
        "description": model.value("description") or "",
        "context_length": offering.value("context"),
        "architecture": {
            "modality": "->".join("+".join(side) for side in sides),
            "input_modalities": sides[0],
            "output_modalities": sides[1],
            "tokenizer": model.value("tokenizer"),
            "instruct_type": None,
        },
        "pricing": {
            theirs: f"{price / 1e6:g}"
            for theirs, ours in prices.items()
            if (price := offering.value(ours)) is not None
        },
        "top_provider": {
            "context_length": offering.value("context"),
            "max_completion_tokens": offering.value("max_output"),
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": [
            theirs
            for ours, theirs in table("sources.yaml")["openrouter"].items()
            if catalog.badge(offering, ours)[0] in ("verified", "declared")
        ],
    }


def _unix_seconds(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}-01"[:10]).replace(tzinfo=UTC).timestamp())
