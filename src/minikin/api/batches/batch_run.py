"""One batch, from any state that it can have in the database to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from minikin.api.answer.identifiers import (
    LineIds,
    batch_request_id,
    reported_model,
    request_id,
)
from minikin.api.batches.call import Answer, Endpoint, call
from minikin.api.batches.input_lines import InputLine, split_lines
from minikin.api.batches.results import Results
from minikin.api.http.bodies import decode_json
from minikin.api.http.large import off_loop
from minikin.api.request.batch_rules import MAX_LINES, LineChecker, LineError
from minikin.errors import InvalidRequest, NotFound, StoreFailure
from minikin.store.kept import BatchLine, LineState, StoredBatch

if TYPE_CHECKING:
    from minikin.store.store import Store

MAX_TRIES = 3
"""How often a line runs that fails because of the server."""
WAIT_SECONDS = 1.0
"""How long a line waits that the server had no room for."""
_STORED_AT_ONCE = 4 * 1024 * 1024
"""Bytes of lines in one transaction."""


class BatchRun:
    """Validates the lines of a batch, runs them, and writes their results."""

    def __init__(
        self,
        store: Store,
        batch: StoredBatch,
        endpoints: Mapping[str, Endpoint],
        places: asyncio.Semaphore,
        max_line_bytes: int,
    ) -> None:
        self._store = store
        self._batches = store.batches
        self._batch = batch
        self._endpoint = endpoints[batch.body["endpoint"]]
        self._places = places
        self._max_line_bytes = max_line_bytes
        self._lines: asyncio.Task[None] | None = None
        self._cancelled = batch.body["status"] == "cancelling"
        self._resumed = batch.body["status"] != "validating"
        """Whether an earlier run can have stored answers without the results of their lines."""

    def cancel(self) -> None:
        """End the lines that run. The batch ends with what is done."""
        self._cancelled = True
        if self._lines:
            self._lines.cancel()

    async def run(self) -> None:
        """Run the batch to its end."""
        if self._batch.body["status"] == "validating" and not await self._validate():
            return
        if self._batch.body["status"] != "finalizing" and not self._cancelled:
            await self._run_lines()
        await self._finish()

    async def _validate(self) -> bool:
        """Store the lines. Returns False if they have errors, which end the batch."""
        checker = LineChecker(self._batch.body["endpoint"])
        await self._batches.clear_lines(self._batch.id)
        await self._read(checker)
        checker.end()
        if checker.errors:
            await self._fail(checker.errors)
            return False
        model = reported_model(checker.model) if checker.model else None
        await self._change("validating", status="in_progress", in_progress_at=_now(), model=model)
        return True

    async def _read(self, checker: LineChecker) -> None:
        """Check every line, and store those of a file without errors."""
        try:
            if await self._has_file():
                await self._read_lines(checker)
                return
        except StoreFailure:
            if await self._has_file():
                raise
        checker.no_file(self._batch.body["input_file_id"])

    async def _has_file(self) -> bool:
        """Whether the file is there. Its owner can delete it at any time."""
        try:
            await self._store.files.get(self._batch.owner, self._batch.body["input_file_id"])
        except NotFound:
            return False
        return True

    async def _read_lines(self, checker: LineChecker) -> None:
        waiting: list[BatchLine] = []
        size = 0
        content = self._store.files.content(self._batch.body["input_file_id"])
        lines = split_lines(content, self._max_line_bytes)
        async with aclosing(content), aclosing(lines):
            async for number, line in lines:
                line = line and line.removeprefix(b"\xef\xbb\xbf")
                await self._check(checker, number, line)
                if checker.count > MAX_LINES:
                    return
                if line is None or checker.errors:
                    continue
                waiting.append(BatchLine(line=number, request=line))
                size += len(line)
                if size >= _STORED_AT_ONCE:
                    await self._batches.add_lines(self._batch.id, waiting)
                    waiting, size = [], 0
        if waiting and not checker.errors:
            await self._batches.add_lines(self._batch.id, waiting)

    async def _check(self, checker: LineChecker, number: int, line: bytes | None) -> None:
        if line is None:
            checker.too_long(number, self._max_line_bytes)
            return
        try:
            value = await off_loop(len(line), lambda: decode_json(line))
        except InvalidRequest:
            checker.not_json(number)
        else:
            checker.check(number, value)

    async def _run_lines(self) -> None:
        """Run what has no result, until all have one, the batch expires or it is cancelled."""
        self._lines = asyncio.create_task(self._each_line())
        left = self._batch.body["expires_at"] - time.time()
        try:
            await asyncio.wait([self._lines], timeout=max(0.0, left))
        finally:
            self._lines.cancel()
            await asyncio.wait([self._lines])
        if not self._lines.cancelled():
            self._lines.result()

    async def _each_line(self) -> None:
        async with asyncio.TaskGroup() as group:
            for line in await self._batches.pending(self._batch.id):
                await self._places.acquire()
                task = group.create_task(self._run_line(line))
                task.add_done_callback(lambda _: self._places.release())

    async def _run_line(self, number: int) -> None:
        line = InputLine.read(await self._batches.request(self._batch.id, number))
        ids = LineIds(self._batch.id, self._batch.body["created_at"], number)
        answer = await self._earlier(ids) or await self._answer(bytes(line.body), ids)
        result = {
            "id": batch_request_id(),
            "custom_id": line.custom_id,
            "response": msgspec.to_builtins(answer),
            "error": None,
        }
        state: LineState = "completed" if answer.status_code == 200 else "failed"
        await self._batches.finish_line(self._batch.id, number, state, result)

    async def _earlier(self, ids: LineIds) -> Answer | None:
        """The answer that the line has from a server that was killed before it kept the result."""
        if not self._resumed:
            return None
        body = await self._endpoint.stored(self._batch.owner, ids)
        return Answer(200, request_id(), body) if body else None

    async def _answer(self, content: bytes, ids: LineIds) -> Answer:
        tries = 1
        while True:
            answer = await call(self._endpoint, self._batch.owner, content, ids)
            if answer.is_final or tries >= MAX_TRIES:
                return answer
            tries += not answer.is_overload
            await asyncio.sleep(WAIT_SECONDS)

    async def _finish(self) -> None:
        """Write the files, and end the batch."""
        identifier = self._batch.id
        expired = not self._cancelled and bool(await self._batches.pending(identifier))
        if not self._cancelled:
            body = await self._change("in_progress", status="finalizing", finalizing_at=_now())
            self._cancelled = body["status"] == "cancelling"
            expired = expired and not self._cancelled
        results = Results(self._store, self._batch)
        output = await results.output()
        errors = await results.errors(expired=expired)
        status = "cancelled" if self._cancelled else "expired" if expired else "completed"
        await self._end(
            results,
            status=status,
            output_file_id=output,
            error_file_id=errors,
            usage=results.usage,
            request_counts=await self._batches.counts(identifier),
        )

    async def _fail(self, errors: list[LineError]) -> None:
        data = [msgspec.to_builtins(error) for error in errors]
        await self._end(None, status="failed", errors={"object": "list", "data": data})

    async def _end(self, results: Results | None, *, status: str, **facts: Any) -> None:
        batch = await self._batches.get(self._batch.owner, self._batch.id)
        body = batch.body | facts | {"status": status, f"{status}_at": _now()}
        await self._batches.end(self._batch.id, body, results.files if results else ())

    async def _change(self, expected: str, **facts: Any) -> dict[str, Any]:
        """Change the batch if it still has this status. Returns what it is now."""
        body = await self._batches.advance(
            self._batch.id, lambda old: old | facts if old["status"] == expected else None
        )
        self._batch = msgspec.structs.replace(self._batch, body=body)
        self._cancelled = self._cancelled or body["status"] == "cancelling"
        return body


def _now() -> int:
    return int(time.time())
