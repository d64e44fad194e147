"""What the server prints when it is ready: where it is, and what to do next."""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket

from minikin.config import ORIGINAL, ServerSettings

_FAR = {
    socket.AF_INET: ("192.0.2.1", "127.0.0.1"),
    socket.AF_INET6: ("2001:db8::1", "::1"),
}
"""An address elsewhere (RFC 5737, RFC 3849), and this machine's own."""


def is_open(listener: socket.socket) -> bool:
    """Whether other machines can reach the server."""
    return not ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def base_url(listener: socket.socket, *, tls: bool = False) -> str:
    """An address of the server that a client can use, ending in /v1."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = _own_address(listener.family)
    name = f"[{host}]" if ":" in host else host
    return f"http{'s' if tls else ''}://{name}:{port}/v1"


def welcome(settings: ServerSettings, url: str) -> str:
    """The lines after `Ready`. `url` ends in /v1."""
    lines = [
        f"  Base URL    {url}",
        f"  Playground  {url.removesuffix('v1')}",
        f"  Try it      {_curl(settings, url)}",
        "  Stop        Ctrl-C",
    ]
    if note := settings.models[0].note:
        lines += ["", note]
    return "\n".join(lines)


def _curl(settings: ServerSettings, url: str) -> str:
    """A command that asks the model something. The key stays in a variable of the user's shell."""
    body = {"model": ORIGINAL, "messages": [{"role": "user", "content": "Hello"}]}
    key = ' -H "Authorization: Bearer $MINIKIN_API_KEY"' if settings.needs_key else ""
    where = shlex.quote(f"{url}/chat/completions")
    return f"curl {where} -H 'Content-Type: application/json'{key} -d '{json.dumps(body)}'"


def _own_address(family: int) -> str:
    """The address of this machine towards others, or the loopback address. Sends nothing."""
    far, loopback = _FAR[socket.AddressFamily(family)]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far, 9))
            return probe.getsockname()[0]
        except OSError:
            return loopback
