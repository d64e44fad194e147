"""Evidence from probes: one JSON file per offering, and the state of its badges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from minikin.errors import SetupError

Outcome = Literal["verified", "failed", "ignored", "inconclusive"]
BadgeState = Literal["verified", "declared", "failed", "stale", "absent", "unknown"]

TIME_TO_LIVE = timedelta(days=30)
"""How long a result is valid. Providers change their servers without notice."""
MAX_BYTES = 4 * 1024 * 1024


class Result(msgspec.Struct, frozen=True):
    """The result of one capability's check.

    `requests` and `responses` are SHA-256 digests of all bodies sent and received. `latency_ms` is
    the median of a request. Times are ISO 8601 in UTC. `last_verified` stays after a failure, so
    that a regression remains a regression in later probes.
    """

    capability: str
    outcome: Outcome
    reason: str
    trials: int
    requests: str
    responses: str
    latency_ms: int
    at: str
    expires: str
    last_verified: str | None = None


class Evidence(msgspec.Struct, frozen=True):
    """All results for one model at one endpoint. It never contains an API key."""

    offering: str
    endpoint: str
    model: str
    fingerprint: str | None
    prober: str
    results: list[Result]

    def result(self, capability: str) -> Result | None:
        """The result for a capability, if it was probed."""
        return next((r for r in self.results if r.capability == capability), None)


def stamp(moment: datetime) -> str:
    """A time in the format of results: seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_stale(result: Result, now: datetime) -> bool:
    """Whether the result is expired."""
    return stamp(now) >= result.expires


def regressions(old: Evidence | None, new: Evidence) -> list[Result]:
    """Results in `new` for capabilities that were verified before and are not now."""
    return [
        result
        for result in carried(old, new).results
        if result.outcome != "verified" and result.last_verified
    ]


def carried(old: Evidence | None, new: Evidence) -> Evidence:
    """`new`, with the last verified times and the remaining results of `old`."""
    known = {result.capability: result for result in old.results} if old else {}
    fresh: list[Result] = []
    for result in new.results:
        before = known.pop(result.capability, None)
        last = result.at if result.outcome == "verified" else before and before.last_verified
        fresh.append(msgspec.structs.replace(result, last_verified=last))
    return msgspec.structs.replace(new, results=[*fresh, *known.values()])


def read(path: Path) -> Evidence:
    """Read an evidence file. Raises SetupError if it is not valid."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SetupError(f"{path} is larger than {MAX_BYTES} bytes")
        return msgspec.json.decode(path.read_bytes(), type=Evidence)
    except (OSError, msgspec.DecodeError) as error:
        raise SetupError(f"{path} is not a valid evidence file: {error}") from None


def read_folder(folder: Path) -> dict[str, Evidence]:
    """All evidence in `folder` by offering id in lower case."""
    found = map(read, sorted(folder.rglob("*.json")))
    return {evidence.offering.lower(): evidence for evidence in found}


def encode(evidence: Evidence) -> bytes:
    """The content of the file."""
    return msgspec.json.format(msgspec.json.encode(evidence), indent=1) + b"\n"


def write(path: Path, evidence: Evidence) -> None:
    """Write the file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(encode(evidence))
    draft.replace(path)
