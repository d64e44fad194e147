"""What one key has used of its limits, counted by this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from minikin.api.access.key import KeyLimits
from minikin.errors import ErrorType, RateLimited, RequestTooLarge

BUSY_SECONDS = 1.0
"""When to try again if too many requests of a key run."""


class Bucket:
    """A limit for each minute. What was used comes back evenly, as at OpenAI."""

    def __init__(self, limit: int, unit: ErrorType, words: str) -> None:
        self.limit = limit
        self._unit: ErrorType = unit
        self._words = words
        self._used = 0.0
        self._at = time.monotonic()

    @property
    def used(self) -> float:
        """What is used now. More than the limit if an answer became longer than expected."""
        now = time.monotonic()
        self._used = max(0.0, self._used - (now - self._at) * self.limit / 60)
        self._at = now
        return self._used

    @property
    def remaining(self) -> int:
        """What a request can use now."""
        return max(0, int(self.limit - self.used))

    @property
    def reset(self) -> float:
        """Seconds until nothing is used."""
        return self.used * 60 / self.limit

    def take(self, amount: float, who: str) -> None:
        """Use `amount`. Raises RateLimited if it is more than what remains."""
        seconds = (self.used + amount - self.limit) * 60 / self.limit
        if seconds > 0:
            raise _limited(
                who, self._words, self._unit, self.limit, int(self.used), int(amount), seconds
            )
        self._used += amount

    def settle(self, difference: float) -> None:
        """Add what was used beyond the amount of `take`. Negative: give it back."""
        self._used = max(0.0, self.used + difference)


class Account:
    """The use of one key. A server without keys has one account without limits."""

    def __init__(self, limits: KeyLimits, name: str = "") -> None:
        self.name = name
        self._who = name or "this API key"
        self.running = 0
        """Requests that have a place."""
        self.set_limits(limits)

    def set_limits(self, limits: KeyLimits) -> None:
        """Begin to count with these limits."""
        self.limits = limits
        requests, tokens = limits.requests, limits.tokens
        rpm, tpm = "requests per min (RPM)", "tokens per min (TPM)"
        self._requests = Bucket(requests, "requests", rpm) if requests else None
        self._tokens = Bucket(tokens, "tokens", tpm) if tokens else None

    def take_request(self) -> None:
        """Count one more request. Raises RateLimited if it is too many."""
        self._check_running()
        if self._requests:
            self._requests.take(1, self._who)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A block with a request that runs. Raises RateLimited if too many do."""
        self._check_running()
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def take_tokens(self, amount: int) -> None:
        """Use tokens. Raises RateLimited, RequestTooLarge if they are more than a minute's."""
        if not self._tokens:
            return
        if amount > self._tokens.limit:
            raise RequestTooLarge(
                f"Request too large for {self._who} in organization minikin on tokens per min "
                f"(TPM): Limit {self._tokens.limit}, Requested {amount}. The input or output "
                "tokens must be reduced in order to run successfully."
            )
        self._tokens.take(amount, self._who)

    def settle_tokens(self, difference: int) -> None:
        """Add the tokens that an answer used beyond those taken, or give them back."""
        if self._tokens:
            self._tokens.settle(difference)

    def headers(self) -> dict[str, str]:
        """OpenAI's headers about the limits of this key."""
        buckets = {"requests": self._requests, "tokens": self._tokens}
        return {
            f"x-ratelimit-{name}-{unit}": value
            for unit, bucket in buckets.items()
            if bucket
            for name, value in (
                ("limit", str(bucket.limit)),
                ("remaining", str(bucket.remaining)),
                ("reset", duration(bucket.reset)),
            )
        }

    def _check_running(self) -> None:
        most = self.limits.concurrent
        if most and self.running >= most:
            words = "concurrent requests"
            raise _limited(self._who, words, "requests", most, self.running, 1, BUSY_SECONDS)


def duration(seconds: float) -> str:
    """A time as Go writes it: 11ms, 6.5s, 1m6.499s, 0s."""
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    hours, minutes = divmod(minutes, 60)
    before = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{before}{text}s"


def _limited(
    who: str, words: str, unit: ErrorType, limit: int, used: int, asked: int, seconds: float
) -> RateLimited:
    return RateLimited(
        f"Rate limit reached for {who} in organization minikin on {words}: Limit {limit}, Used "
        f"{used}, Requested {asked}. Please try again in {duration(seconds)}.",
        unit,
        retry_after=seconds,
    )
