"""`minikin batch`: run a file of requests, and fetch the results."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minikin.cli.configuration import resolved
from minikin.cli.options import CacheOption, KeyOption, UrlOption
from minikin.cli.output import errors, progress_bar
from minikin.cli.reach import leave_on_signals, reached_server
from minikin.errors import SetupError

if TYPE_CHECKING:
    from minikin.cli.batch_client import Batch, BatchClient

_CHAT = "/v1/chat/completions"
_POLL_SECONDS = 0.5
_SHOWN = 20
"""Maximum errors of lines to print."""


def batch(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, metavar="FILE.jsonl", help="One request on each line."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            metavar="FILE",
            help="Where to write the answers. Errors go to a file beside it.",
            show_default="FILE.output.jsonl",
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Wait for a batch that was started before.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model to serve if no server is running.",
            show_default="the default model",
            callback=resolved,
        ),
    ] = None,
    base_url: UrlOption = None,
    api_key: KeyOption = None,
    cache: CacheOption = None,
) -> None:
    """Run a file of requests as a batch, and fetch the results.

    Each line has a custom_id, the method POST, a url (/v1/chat/completions or /v1/responses) and a
    body. Without --base-url, the command uses the server on port 8000 of this machine. If there is
    none, it starts a server and stops it at the end. If you stop the command, a running server
    continues the batch.

    Examples:

    `minikin batch requests.jsonl`

    `minikin batch requests.jsonl --output answers.jsonl --base-url http://box.lan:8000/v1`
    """
    from minikin.cli.batch_client import BatchClient

    answers = output or file.with_suffix(".output.jsonl")
    failures = answers.with_suffix(".errors.jsonl")
    for path in (answers, failures):
        if path.exists():
            raise SetupError(f"{path} exists. Set another place for the results with --output.")
    leave_on_signals()
    with (
        reached_server(base_url, api_key, model, cache) as (url, _),
        BatchClient(url, api_key) as client,
    ):
        begun = client.get(resume) if resume else _start(client, file)
        ended = _wait(client, begun, file)
        _fetch(client, ended, answers, failures)
    if ended.status != "completed":
        sys.exit(1)


def _start(client: BatchClient, file: Path) -> Batch:
    with errors.status(f"Uploading {file.name}"):
        return client.create(client.upload(file), _endpoint(file))


def _endpoint(file: Path) -> str:
    """The url of the first line. The server reports a line that has none."""
    try:
        with file.open("rb") as lines:
            first = json.loads(next(line for line in lines if line.strip()))
        return first["url"] if isinstance(first["url"], str) else _CHAT
    except (StopIteration, ValueError, TypeError, KeyError):
        return _CHAT


def _wait(client: BatchClient, begun: Batch, file: Path) -> Batch:
    """Show the progress of a batch until its end. Returns it as it ended."""
    try:
        with progress_bar(begun.status) as show:
            now = begun
            while not now.has_ended:
                time.sleep(_POLL_SECONDS)
                now = client.get(begun.id)
                counts = now.request_counts
                show(now.status, counts.completed + counts.failed, counts.total or None)
        return now
    except KeyboardInterrupt:
        errors.print(
            f"The batch {begun.id} has not ended. To wait for it again: "
            f"minikin batch {file} --resume {begun.id}"
        )
        sys.exit(130)


def _fetch(client: BatchClient, ended: Batch, answers: Path, failures: Path) -> None:
    counts = ended.request_counts
    if ended.output_file_id:
        client.download(ended.output_file_id, answers)
        errors.print(f"Answers ({counts.completed}): {answers}")
    if ended.error_file_id:
        client.download(ended.error_file_id, failures)
        errors.print(f"Errors ({counts.total - counts.completed}): {failures}")
    for error in ended.errors.data[:_SHOWN] if ended.errors else ():
        where = f"Line {error.line}: " if error.line else ""
        errors.print(f"{where}{error.message}", style="red")
    if ended.status != "completed":
        errors.print(f"The batch {ended.id} ended with the status {ended.status}.", style="red")
