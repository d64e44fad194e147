"""Which requests are accepted, by host name and key, and the error answers of all others."""

from __future__ import annotations

import ipaddress
import logging
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minikin.api.access.keys import Keys
from minikin.api.http.access_log import noted
from minikin.api.http.http import FAULT, TransportFault, error_response
from minikin.api.http.public import PROBES, is_for_operator, is_public
from minikin.config import ServerSettings
from minikin.errors import EngineFailure, MinikinError

log = logging.getLogger(__name__)

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?")


class Gate:
    """Wraps the application `app`. Routes find the request's `owner` in the scope's state."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, keys: Keys) -> None:
        self._app = app
        self._keys = keys
        self._shows_catalog = settings.public_catalog
        names = {"localhost", settings.host, *settings.allowed_hosts}
        self._host_names = {name.lower() for name in names} - {"0.0.0.0", "::"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject a request or pass it on. An exception becomes an error answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = False

        async def watched_send(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            self._admit(scope)
            await self._app(scope, receive, watched_send)
        except MinikinError as error:
            await error_response(error)(scope, receive, send)
        except Exception:
            log.exception("Request %s failed", scope["state"]["request_id"])
            if not answering:
                await error_response(EngineFailure(FAULT))(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        if scope["path"] in PROBES:
            return  # health checks of proxies send any host name, or none
        headers = Headers(scope=scope)
        self._check_host(headers)
        if not is_public(scope, with_catalog=self._shows_catalog):
            address = scope["client"][0] if scope.get("client") else ""
            owner = self._keys.owner(headers, address, as_admin=is_for_operator(scope))
            scope["state"]["owner"] = owner
            if name := self._keys.account(owner).name:
                noted(scope)["key"] = name

    def _check_host(self, headers: Headers) -> None:
        """Reject the names of other hosts, so that their web pages cannot use this server.

        With DNS rebinding, the host name of a web page resolves to a loopback address, so that the
        page reaches a server on its visitor's machine. IP addresses do not have this problem.
        """
        given = headers.getlist("host")
        match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if not match:
            raise TransportFault(400, "The request needs one valid 'Host' header.")
        name = match["name"].strip("[]").lower()
        if name not in self._host_names and not _is_usable_address(name):
            raise TransportFault(
                403,
                f"This server does not answer to the host name '{name[:64]}'. To allow it, start "
                f"the server with: --allowed-host {name[:64]}",
                code="host_not_allowed",
            )


def _is_usable_address(name: str) -> bool:
    try:
        return not ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False
