"""Downloads one file over HTTP, and resumes after a failure."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import httpx
import msgspec

from minikin.errors import DownloadError
from minikin.hub.cache import check_space
from minikin.hub.digest import check_sha256
from minikin.hub.progress import Progress
from minikin.hub.source import public_url

_TIMEOUT = httpx.Timeout(60, connect=15)
_PAUSES = (0.5, 1, 2, 4)
"""Seconds before each new try. The count restarts when bytes arrive."""


class _Cut(Exception):
    """The transfer failed, and another try can succeed."""


class _Origin(msgspec.Struct, frozen=True):
    """The file and version that a part belongs to. Stored beside the part."""

    url: str
    validator: str | None
    """Strong ETag or Last-Modified, for If-Range."""


def download(
    url: str,
    work: Path,
    name: str,
    *,
    sha256: str | None,
    progress: Progress,
    headers: Mapping[str, str] | None = None,
) -> Path:
    """Download `url` to `work/model/name`, complete and checked. Returns that path.

    Raises DownloadError, OSError. The bytes first go to `work/name.part`. A later call resumes
    there if the server supports ranges and still has the same version. After a broken connection,
    a few more tries follow.
    """
    part, target = work / f"{name}.part", work / "model" / name
    failures = 0
    # On a redirect to another host, httpx drops the Authorization header.
    hooks = {"response": [_check_redirect]}
    with httpx.Client(
        timeout=_TIMEOUT, follow_redirects=True, headers=headers, event_hooks=hooks
    ) as client:
        while True:
            before = _size(part)
            try:
                _receive(client, url, part, progress)
                break
            except (_Cut, httpx.TransportError) as error:
                failures = 1 if _size(part) > before else failures + 1
                if failures > len(_PAUSES):
                    raise _unreachable(url, error) from error
                progress.note(f"{error}. Trying again.")
                time.sleep(_PAUSES[failures - 1])
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise _unreachable(url, error) from error
    if sha256 is not None:
        progress.note("Checking the digest.")
        check_sha256(part, sha256, public_url(url))
    part.replace(target)
    _origin_path(part).unlink(missing_ok=True)
    return target


def _check_redirect(response: httpx.Response) -> None:
    """Follow no redirect into the machine or its network. Raises DownloadError.

    A server elsewhere could otherwise reach services there that only this machine can reach. A
    server on an address of the network itself can redirect to other paths of its own.
    """
    if not response.has_redirect_location:
        return
    following = response.url.join(response.headers["location"])
    if _place(following) == _place(response.url):
        return
    if not all(address.is_global for address in _addresses(following)):
        raise DownloadError(
            f"{public_url(str(response.url))} redirects to {following.host[:64]}, an address of "
            "this computer or its network. Downloads do not follow such redirects."
        )


def _place(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _addresses(url: httpx.URL) -> list[IPv4Address | IPv6Address]:
    """The addresses of the host. Empty if it has none, so that the request fails."""
    try:
        found = socket.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ip_address(str(each[4][0]).partition("%")[0]) for each in found]


def _receive(client: httpx.Client, url: str, part: Path, progress: Progress) -> None:
    """One try: append the missing bytes to `part`."""
    headers = {"Accept-Encoding": "identity"} | _range(part, url)
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:  # no bytes after ours, or another file: restart
            part.unlink(missing_ok=True)
            raise _Cut("The part on disk does not belong to the file")
        _check_status(response, url)
        start = _start(response)
        if start not in (0, _size(part)):
            raise DownloadError(f"{public_url(url)} did not send the requested part of the file.")
        length = response.headers.get("content-length", "")
        total = start + int(length) if length.isdigit() else None
        check_space(part.parent, (total or start) - start)
        _note_origin(part, url, response)
        progress.begin(part.name.removesuffix(".part"), total)
        done = start
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            for chunk in response.iter_raw():
                file.write(chunk)
                done += len(chunk)
                progress.reach(done)
        if total is not None and done < total:
            raise _Cut(f"The connection ended after {done:,} of {total:,} bytes")


def _range(part: Path, url: str) -> dict[str, str]:
    """The headers that request the rest of `part`. Empty if its version is unknown."""
    try:
        origin = msgspec.json.decode(_origin_path(part).read_bytes(), type=_Origin)
    except (OSError, msgspec.MsgspecError):
        return {}
    size = _size(part)
    if origin.url != public_url(url) or origin.validator is None or size == 0:
        return {}
    return {"Range": f"bytes={size}-", "If-Range": origin.validator}


def _note_origin(part: Path, url: str, response: httpx.Response) -> None:
    etag = response.headers.get("etag", "")
    strong = (
        etag if etag.startswith('"') else None
    )  # RFC 9110 13.1.5: weak tags are not valid for ranges
    origin = _Origin(public_url(url), strong or response.headers.get("last-modified"))
    _origin_path(part).write_bytes(msgspec.json.encode(origin))


def _start(response: httpx.Response) -> int:
    """The offset of the first byte of `response`'s body."""
    if response.status_code != 206:
        return 0
    match = re.match(r"bytes (\d{1,18})-", response.headers.get("content-range", ""))
    return int(match[1]) if match else -1


def _check_status(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in (408, 429) or status >= 500:
        raise _Cut(f"The server returned status {status}")
    advice = {
        401: "It requires a login. Download the file yourself, and set its path with --model.",
        403: "It denies access. Download the file yourself, and set its path with --model.",
        404: "The file does not exist. Check the URL.",
    }.get(status, "Check the URL.")
    raise DownloadError(f"{public_url(url)} returned status {status}. {advice}")


def _unreachable(url: str, error: Exception) -> DownloadError:
    return DownloadError(
        f"Cannot download {public_url(url)}: {error}. Check the network and run the command again. "
        "The download resumes if the server supports it."
    )


def _origin_path(part: Path) -> Path:
    return part.with_name(part.name + ".origin")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
