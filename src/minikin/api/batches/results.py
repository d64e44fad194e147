"""The files with the results of a batch."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from minikin.api.answer.identifiers import batch_request_id, file_id
from minikin.api.batches.input_lines import InputLine
from minikin.store.kept import LineState, StoredBatch, StoredFile

if TYPE_CHECKING:
    from minikin.store.store import Store

EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
_encode = msgspec.json.Encoder().encode


class Results:
    """Writes the results of one batch. The files stay drafts until the batch has ended."""

    def __init__(self, store: Store, batch: StoredBatch) -> None:
        self._store = store
        self._batch = batch
        self._usage: Counter[str] = Counter()
        self.files: list[StoredFile] = []
        """The files that are not empty."""

    @property
    def usage(self) -> dict[str, Any]:
        """The tokens of all answers, in the form of the Responses API."""
        used = self._usage
        return {
            "input_tokens": used["input_tokens"],
            "input_tokens_details": {"cached_tokens": used["cached_tokens"]},
            "output_tokens": used["output_tokens"],
            "output_tokens_details": {"reasoning_tokens": used["reasoning_tokens"]},
            "total_tokens": used["input_tokens"] + used["output_tokens"],
        }

    async def output(self) -> str | None:
        """Write the answers. Returns the id of the file, or None if there are none."""
        return await self._write("output", "completed")

    async def errors(self, *, expired: bool) -> str | None:
        """Write the refused lines, and those that did not run in time. See `output`."""
        states: list[LineState] = ["failed", "pending"] if expired else ["failed"]
        return await self._write("error", *states)

    async def _write(self, kind: str, *states: LineState) -> str | None:
        now, batch, identifier = int(time.time()), self._batch, file_id()
        files = self._store.files
        async with files.draft(batch.owner, identifier) as writer:
            for state in states:
                async with aclosing(self._store.batches.results(batch.id, state)) as lines:
                    async for line, result in lines:
                        await writer.write(_encode(result or _not_run(line)) + b"\n")
                        self._count(result)
        if not writer.size:
            await files.discard(identifier)
            return None
        self.files.append(
            StoredFile(
                id=identifier,
                owner=batch.owner,
                purpose="batch_output",
                filename=f"{batch.id}_{kind}.jsonl",
                bytes=writer.size,
                created_at=now,
                expires_at=now + batch.options["expires_after"],
            )
        )
        return identifier

    def _count(self, result: dict[str, Any] | None) -> None:
        usage = result["response"]["body"].get("usage") if result else None
        if not usage:
            return
        for ours, theirs in (("input", "prompt"), ("output", "completion")):
            name = ours if f"{ours}_tokens" in usage else theirs
            self._usage[f"{ours}_tokens"] += usage[f"{name}_tokens"]
            details = usage.get(f"{name}_tokens_details") or {}
            for detail in ("cached_tokens", "reasoning_tokens"):
                self._usage[detail] += details.get(detail, 0)


def _not_run(line: bytes) -> dict[str, Any]:
    return {
        "id": batch_request_id(),
        "custom_id": InputLine.read(line).custom_id,
        "response": None,
        "error": EXPIRED,
    }
