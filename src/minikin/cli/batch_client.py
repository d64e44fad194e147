"""A client for the files and batches of every OpenAI-compatible server, built on httpx."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from minikin.cli.client import refusal
from minikin.errors import SetupError

_TIMEOUT = httpx.Timeout(300, connect=5)


class Counts(msgspec.Struct, frozen=True):
    """How many lines a batch has, and how many are done."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class LineError(msgspec.Struct, frozen=True):
    """What is wrong with a line."""

    message: str
    line: int | None = None


class _Errors(msgspec.Struct, frozen=True):
    data: list[LineError] = []


class Batch(msgspec.Struct, frozen=True):
    """The fields of a batch that a terminal shows."""

    id: str
    status: str
    request_counts: Counts = Counts()
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it does not change any more."""
        return self.status in ("completed", "failed", "expired", "cancelled")


class _File(msgspec.Struct, frozen=True):
    id: str


_T = TypeVar("_T", Batch, _File)


class BatchClient:
    """A client of the server at `base_url`, which ends in /v1. Every error is a SetupError."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._url = base_url.rstrip("/")
        self._http = httpx.Client(timeout=_TIMEOUT, headers=headers)

    def __enter__(self) -> BatchClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def upload(self, path: Path) -> str:
        """Upload a file of requests. Returns its id."""
        with path.open("rb") as file:
            form = {"data": {"purpose": "batch"}, "files": {"file": (path.name, file)}}
            return self._ask("POST", "files", _File, **form).id

    def create(self, file_id: str, endpoint: str) -> Batch:
        """Start a batch of that file."""
        body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h"}
        return self._ask("POST", "batches", Batch, json=body)

    def get(self, identifier: str) -> Batch:
        """A batch as it is now."""
        return self._ask("GET", f"batches/{identifier}", Batch)

    def download(self, file_id: str, path: Path) -> None:
        """Write the content of a file to `path`."""
        try:
            with self._http.stream("GET", f"{self._url}/files/{file_id}/content") as response:
                if response.status_code != 200:
                    response.read()
                    raise refusal(response)
                with path.open("wb") as file:
                    for part in response.iter_bytes():
                        file.write(part)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _ask(self, method: str, path: str, kind: type[_T], **request: Any) -> _T:
        try:
            response = self._http.request(method, f"{self._url}/{path}", **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if response.status_code != 200:
            raise refusal(response)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise SetupError(f"{self._url} sent an answer that is not valid: {error}.") from error

    def _unreachable(self, error: Exception) -> SetupError:
        return SetupError(f"Cannot reach {self._url}: {error}. Is the server running?")
