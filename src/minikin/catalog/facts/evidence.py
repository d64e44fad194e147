"""Evidence from probes: one JSON file per offering, and the state of its badges.

Beside it is a file with the bodies of all requests and answers, without secrets.
"""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec

from minikin.catalog.facts.files import write_whole
from minikin.errors import SetupError

Outcome = Literal["verified", "failed", "ignored", "absent", "inconclusive"]
"""`absent`: the server refuses what is not in OpenAI's chat API, or shows that it lacks it."""
BadgeState = Literal["verified", "declared", "failed", "stale", "absent", "unknown"]

TIME_TO_LIVE = timedelta(days=30)
"""How long a result is valid. Providers change their servers without notice."""
MAX_BYTES = 4 * 1024 * 1024
MAX_BODIES = 64 * 1024 * 1024
"""Maximum bytes of the bodies of a probe, after decompression."""


MOST_PAST = 50
"""Earlier outcomes that are kept for each capability."""


class Exchange(msgspec.Struct, frozen=True):
    """One request and its answer, as text, without the API key."""

    request: str
    status: int
    response: str


class Past(msgspec.Struct, frozen=True):
    """An earlier outcome of a check."""

    at: str
    outcome: Outcome
    reason: str


class Result(msgspec.Struct, frozen=True):
    """The result of one capability's check.

    `requests` and `responses` are SHA-256 digests of all bodies sent and received. `latency_ms` is
    the median of a request. Times are ISO 8601 in UTC. `last_verified` stays after a failure, so
    that a regression remains a regression in later probes. `history` has the other outcomes, the
    newest first, also those that say nothing.
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
    history: list[Past] = []


class Speed(msgspec.Struct, frozen=True):
    """How fast an endpoint answered: medians of one answer at a time, and eight together.

    `tokens_per_second` counts from the first token, and `tokens_per_second_of_8` from the requests.
    """

    first_token_ms: int
    tokens_per_second: float
    tokens_per_second_of_8: float
    at: str


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """All results for one model at one endpoint. It never contains an API key."""

    offering: str
    endpoint: str
    model: str
    fingerprint: str | None
    prober: str
    results: list[Result]
    speed: Speed | None = None

    @property
    def counted(self) -> list[Result]:
        """The results without capabilities that a good server can lack, and that this one lacks."""
        return [result for result in self.results if result.outcome != "absent"]

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
    """Results in `new` that show a fault where the capability was verified before."""
    kept = carried(old, new)
    probed = (kept.result(result.capability) for result in new.results if _says(result))
    return [r for r in probed if r and r.outcome != "verified" and r.last_verified]


def carried(old: Evidence | None, new: Evidence) -> Evidence:
    """`new`, with the last verified times, the history and the remaining results of `old`.

    A result that says nothing, as after a timeout or status 429, replaces no result that does.
    """
    known = {result.capability: result for result in old.results} if old else {}
    fresh = [_followed(known.pop(result.capability, None), result) for result in new.results]
    speed = new.speed or (old.speed if old else None)
    return msgspec.structs.replace(new, results=[*fresh, *known.values()], speed=speed)


def _followed(before: Result | None, now: Result) -> Result:
    """The result to keep of two, with the other one in its history."""
    if before is None:
        return msgspec.structs.replace(
            now, last_verified=now.at if now.outcome == "verified" else None
        )
    kept, other = (now, before) if _says(now) or not _says(before) else (before, now)
    past = sorted([_past(other), *before.history], key=lambda outcome: outcome.at, reverse=True)
    last = kept.at if kept.outcome == "verified" else before.last_verified
    return msgspec.structs.replace(kept, last_verified=last, history=past[:MOST_PAST])


def _says(result: Result) -> bool:
    return result.outcome != "inconclusive"


def _past(result: Result) -> Past:
    return Past(result.at, result.outcome, result.reason)


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


Bodies = dict[str, list[Exchange]]
"""The exchanges of each capability's check."""


def bodies_path(path: Path) -> Path:
    """The file with the bodies of an evidence file."""
    return path.with_suffix(".bodies.gz")


def read_bodies(path: Path) -> Bodies:
    """The bodies of an evidence file. Empty if none are kept. Raises SetupError."""
    try:
        with gzip.open(bodies_path(path)) as file:
            data = file.read(MAX_BODIES + 1)
        if len(data) > MAX_BODIES:
            raise SetupError(f"{bodies_path(path)} contains more than {MAX_BODIES} bytes")
        return msgspec.json.decode(data, type=Bodies)
    except FileNotFoundError:
        return {}
    except (OSError, EOFError, msgspec.DecodeError) as error:
        raise SetupError(f"{bodies_path(path)} is not valid: {error}") from None


def write_bodies(path: Path, kept: Evidence, fresh: Bodies) -> None:
    """Keep the bodies of the results in `kept`. An older result keeps its own."""
    old = read_bodies(path)
    whole: Bodies = {}
    for result in kept.results:
        for exchanges in (fresh.get(result.capability), old.get(result.capability)):
            if exchanges and agrees(result, exchanges):
                whole[result.capability] = exchanges
    # Without a time in its header, the same bodies give the same file.
    write_whole(bodies_path(path), gzip.compress(msgspec.json.encode(whole), mtime=0))


def agrees(result: Result, exchanges: list[Exchange]) -> bool:
    """Whether exchanges are those that the digests of a result were made of."""
    digests = digest(exchanges, "request"), digest(exchanges, "response")
    return (result.requests, result.responses) == digests


def digest(exchanges: list[Exchange], side: Literal["request", "response"]) -> str:
    """The SHA-256 of all bodies of one side, as they are kept."""
    whole = "".join(getattr(exchange, side) for exchange in exchanges)
    return f"sha256:{sha256(whole.encode('utf-8', 'surrogatepass')).hexdigest()}"


def encode(evidence: Evidence) -> bytes:
    """The content of the file."""
    return msgspec.json.format(msgspec.json.encode(evidence), indent=1) + b"\n"


def write(path: Path, evidence: Evidence) -> None:
    """Write the file atomically."""
    write_whole(path, encode(evidence))
