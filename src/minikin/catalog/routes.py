"""The catalog over HTTP: JSON for programs, the pages of `catalog build` for browsers.

    GET /catalog                                 counts
    GET /catalog/{authors,models,providers}      ids and names
    GET /catalog/offerings?capability=&verified=&author=&provider=&max_price=&min_context=
                          &input_tokens=&output_tokens=&limit=&offset=
    GET /catalog/{authors,models,providers,offerings}/{id}      one record
    GET /catalog/evidence/{provider}/{model}     what probes found
    GET /catalog/api.json                        everything; api.schema.json describes it
    GET /catalog/feed.xml                        the newest changes, as an Atom feed
    GET /catalog/evidence/{provider}/{model}/{capability}.svg   a drawing for a README file
    GET /catalog/....html                        a page; browsers are redirected to it
    GET /api/v1/models                           the models of this server, in OpenRouter's format

Handlers are plain functions. They run in two threads, not on the event loop: with many threads, the
event loop would seldom get Python's lock. They raise errors of the error tree, and the application
answers with the status and body of the error.
"""

from __future__ import annotations

import gzip
import logging
import re
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from minikin.catalog import openrouter
from minikin.catalog.facts.evidence import BadgeState
from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.schema import capabilities
from minikin.catalog.pages import export
from minikin.catalog.pages.badge import Badge
from minikin.catalog.pages.page import HTML, Frame, no_frame, render
from minikin.catalog.pages.site import ASSETS, Site
from minikin.catalog.pages.site_map import FOLDERS, Kind
from minikin.catalog.sources import query
from minikin.catalog.sources.catalog import Catalog
from minikin.errors import InvalidRequest, NotFound, SetupError
from minikin.memory import lasting

_log = logging.getLogger(__name__)

_KINDS = ("authors", "models", "providers", "offerings")
CHECK_SECONDS = 2.0
"""Least time between two looks for new files."""
LEAST_COMPRESSED = 1000
"""Bytes below which compression saves nothing."""
THREADS = 2
"""Requests that are answered at the same time."""
Handler = Callable[[Request], Response]
_encode = msgspec.json.Encoder().encode
_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'self'"}
_STATES: tuple[BadgeState, ...] = ("verified", "declared", "failed", "stale")


def catalog_routes(
    load: Callable[[], Catalog],
    served: Sequence[openrouter.Served] = (),
    frame: Callable[[str], Frame] = no_frame,
    state: Callable[[], Hashable] = lambda: None,
) -> list[Route]:
    """Routes for the catalog that `load` returns. It is called at the first request.

    It is called again when `state` changed, so that new evidence shows without a restart.

    `served` are this server's models. `frame` is what its pages have in common.
    """
    site = _Current(load, state).site

    def index(request: Request) -> Response:
        if _is_browser(request):
            return RedirectResponse("/catalog/index.html")
        return JSONResponse({kind: len(getattr(site().catalog, kind)) for kind in _KINDS})

    def offerings(request: Request) -> Response:
        if _is_browser(request) and not request.query_params:
            return RedirectResponse("/catalog/offerings/index.html")
        asked, catalog = _question(request), site().catalog
        rows = asked.select(catalog)
        shown = rows[asked.offset : asked.offset + asked.limit]
        return _list([_priced(catalog, match) for match in shown], len(rows))

    def api(request: Request) -> Response:
        return Response(site().api, media_type="application/json")

    def schema(request: Request) -> Response:
        return Response(export.schema(), media_type="application/schema+json")

    def feed(request: Request) -> Response:
        return Response(site().feed, media_type="application/atom+xml")

    def page_or_record(request: Request) -> Response:
        path = request.path_params["path"]
        if path.endswith((".html", ".svg", *ASSETS)):
            return _file(site(), path, frame)
        if _is_browser(request) and (page := _page(site(), path)):
            return RedirectResponse(f"/catalog/{HTML.file(page)}")
        return _record(site().catalog, path)

    def openrouter_models(request: Request) -> Response:
        return JSONResponse({"data": openrouter.entries(site().catalog, served)})

    def openrouter_endpoints(request: Request) -> Response:
        id = request.path_params["id"]
        return JSONResponse({"data": openrouter.endpoints(site().catalog, served, id)})

    few = CapacityLimiter(THREADS)

    def route(path: str, handler: Handler) -> Route:
        async def handled(request: Request) -> Response:
            return await to_thread.run_sync(_conditional, handler, request, limiter=few)

        return Route(path, handled)

    return [
        route("/catalog", index),
        route("/catalog/", index),
        route("/catalog/offerings", offerings),
        route("/catalog/api.json", api),
        route("/catalog/api.schema.json", schema),
        route("/catalog/feed.xml", feed),
        route("/catalog/{path:path}", page_or_record),
        route("/api/v1/models", openrouter_models),
        route("/api/v1/models/{id:path}/endpoints", openrouter_endpoints),
    ]


class _Current:
    """The site of the catalog as it is now."""

    def __init__(self, load: Callable[[], Catalog], state: Callable[[], Hashable]) -> None:
        self._load, self._state = load, state
        self._lock = threading.Lock()
        self._made: Site | None = None
        self._seen: Hashable = None
        self._checked = 0.0

    def site(self) -> Site:
        """The site. Other requests wait while it is made. Files with a fault keep the old one."""
        with self._lock:
            now = time.monotonic()
            if self._made is None or now - self._checked >= CHECK_SECONDS:
                self._checked = now
                seen = self._state()
                if self._made is None or seen != self._seen:
                    self._made, self._seen = self._renewed(), seen
            return self._made

    def _renewed(self) -> Site:
        try:
            with lasting():
                return Site(self._load())
        except SetupError as error:
            if self._made is None:
                raise
            _log.warning("The catalog's files have a fault, and the old ones stay: %s", error)
            return self._made


def _conditional(handler: Handler, request: Request) -> Response:
    """The handler's answer, compressed if the client accepts it, or 304 if the client has it."""
    response = handler(request)
    if response.status_code != 200:
        return response
    body = bytes(response.body)
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    response.headers.update({"ETag": tag, "Cache-Control": "no-cache"})
    if tag in re.split(r"\s*,\s*", request.headers.get("if-none-match", "")):
        return Response(None, 304, {"ETag": tag, "Vary": "Accept, Accept-Encoding"})
    response.headers["Vary"] = "Accept, Accept-Encoding"
    if len(body) > LEAST_COMPRESSED and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = gzip.compress(body, 5, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    return response


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _page(site: Site, path: str) -> str | None:
    """The path of the page for a path of the JSON API, if there is one."""
    root, _, name = path.partition("/")
    kinds: list[Kind] = [kind for kind, folder in FOLDERS.items() if folder == root]
    if not kinds:
        return None
    records = getattr(site.catalog, "offerings" if root == "evidence" else root)
    if not name:
        return f"{root}/_index"
    known = name.lower() in getattr(site.catalog, root)
    return site.map.path(kinds[0], records[name.lower()]) if known else None


def _question(request: Request) -> query.Question:
    parameters = request.query_params
    raw: dict[str, Any] = {name: parameters.get(name) for name in parameters}
    if "capability" in raw:
        raw["capability"] = parameters.getlist("capability")
    try:
        return msgspec.convert(raw, query.Question, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The query is not valid: {error}.") from None


def _priced(catalog: Catalog, match: query.Match) -> dict[str, Any]:
    """An offering with the cost of the job that was asked for, if there was one."""
    found = query.as_json(catalog, match.offering)
    return found if match.usd is None else found | {"job_usd": match.usd}


def _list(rows: list[Any], total: int) -> Response:
    # Row by row, because no other thread runs during one call of the encoder.
    data = [msgspec.Raw(_encode(row)) for row in rows]
    content = _encode({"object": "list", "total": total, "data": data})
    return Response(content, media_type="application/json")


def _record(catalog: Catalog, path: str) -> Response:
    root, _, name = path.partition("/")
    if root == "evidence":
        rows = [{"id": row.offering, "name": row.model} for row in catalog.evidence.values()]
        found = msgspec.to_builtins(catalog.evidence.get(name.lower()))
    else:
        records: dict[str, Record] = getattr(catalog, root) if root in _KINDS else {}
        rows = [{"id": row.id, "name": row.name} for row in records.values()]
        record = records.get(name.lower())
        found = query.as_json(catalog, record) if record else None
    if not name and root in (*_KINDS, "evidence"):
        return _list(rows, len(rows))
    if found is None:
        raise NotFound(f"The catalog has nothing at {path[:200]!r}.")
    return JSONResponse(found)


def _file(site: Site, path: str, frame: Callable[[str], Frame]) -> Response:
    """A page, a badge or the style sheet, as from `catalog build`. Raises NotFound."""
    name, _, suffix = path.rpartition(".")
    if path in ASSETS:
        media_type = f"text/{'css' if suffix == 'css' else 'javascript'}"
        return Response(ASSETS[path], media_type=media_type, headers=_SAFE)
    if path in site.proofs:
        return Response(site.proofs[path](), media_type="image/svg+xml", headers=_SAFE)
    if suffix == "svg":
        capability, _, state = name.removeprefix("badges/").rpartition("-")
        if capability not in capabilities() or state not in _STATES:
            raise NotFound("There is no such badge.")
        drawing = Badge(capabilities()[capability], state, None).svg()
        return Response(drawing, media_type="image/svg+xml", headers=_SAFE)
    if name.split("/")[-1] == "index":
        name = f"{name.removesuffix('index')}_index"
    return Response(render(site.page(name), HTML, frame), media_type="text/html", headers=_SAFE)
