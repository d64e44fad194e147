import time

import pytest

from minikin.api.access.account import Account, duration
from minikin.api.access.key import KeyLimits
from minikin.errors import RateLimited, RequestTooLarge


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.011, "11ms"), (6.5, "6.5s"), (20, "20s"), (66.499, "1m6.499s"),
     (360, "6m0s"), (3600, "1h0m0s"), (59.9996, "1m0s")],
)  # fmt: skip
def test_a_time_is_written_as_go_writes_it(seconds, text):
    assert duration(seconds) == text


def test_requests_come_back_evenly(clock):
    account = Account(KeyLimits(requests=3), "ci")
    for left in (2, 1, 0):
        account.take_request()
        assert account.headers()["x-ratelimit-remaining-requests"] == str(left)
    assert account.headers()["x-ratelimit-reset-requests"] == "1m0s"
    with pytest.raises(RateLimited) as caught:
        account.take_request()
    error = caught.value
    assert error.message == (
        "Rate limit reached for ci in organization minikin on requests per min (RPM): Limit 3, "
        "Used 3, Requested 1. Please try again in 20s."
    )
    assert (error.status, error.type, error.code) == (429, "requests", "rate_limit_exceeded")
    clock[0] += error.retry_after - 0.01
    with pytest.raises(RateLimited):
        account.take_request()
    clock[0] += 0.02
    account.take_request()


def test_an_answer_counts_with_its_real_length_in_the_end(clock):
    account = Account(KeyLimits(tokens=1000))
    account.take_tokens(900)
    with pytest.raises(RateLimited) as caught:
        account.take_tokens(200)
    assert caught.value.type == "tokens"
    assert caught.value.retry_after == pytest.approx(6)
    account.settle_tokens(-800)
    account.take_tokens(200)
    assert account.headers()["x-ratelimit-remaining-tokens"] == "700"
    account.settle_tokens(1500)  # longer than expected: later requests wait for it
    assert account.headers()["x-ratelimit-remaining-tokens"] == "0"
    clock[0] += 60
    account.take_tokens(100)


def test_more_than_a_minutes_tokens_is_never_accepted():
    with pytest.raises(RequestTooLarge, match="Limit 10, Requested 11") as caught:
        Account(KeyLimits(tokens=10)).take_tokens(11)
    assert caught.value.body()["error"]["type"] == "tokens"


def test_a_place_is_free_again_after_its_request():
    account = Account(KeyLimits(concurrent=1))
    with account.place(), pytest.raises(RateLimited, match="concurrent requests: Limit 1, Used 1"):
        account.take_request()
    with account.place():
        pass


def test_an_account_without_limits_has_no_headers():
    account = Account(KeyLimits())
    account.take_request()
    account.take_tokens(10**9)
    assert account.headers() == {}
