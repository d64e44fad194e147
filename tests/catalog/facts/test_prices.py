"""What a call costs, against sums worked out by hand from the providers' price lists."""

from datetime import UTC, datetime

import pytest

from minikin.catalog.facts.fact import Fact, Origin, Record, merge
from minikin.catalog.facts.numbers import dollars, price_pair
from minikin.catalog.facts.prices import Job, cost


def offering(source="s", date="2026-01-01", origin=Origin.IMPORT, **values):
    facts = {name: (Fact(value, origin, source, date),) for name, value in values.items()}
    return Record("offering", "host/m", facts)


LIST = {
    "price_input": 1.0,
    "price_output": 10.0,
    "price_cache_read": 0.1,
    "price_cache_write": 1.25,
    "price_reasoning": 30.0,
    "price_input_audio": 40.0,
    "price_batch_input": 0.5,
    "price_tiers": [{"above": 200_000, "input": 2.0, "output": 20.0}],
}


@pytest.mark.parametrize(
    ("job", "usd"),
    [
        (Job(1_000, 100), 0.002),
        (Job(1_000, 100, cached=1_000), 0.0011),
        (Job(1_000, 100, written=1_000), 0.00225),
        (Job(1_000, 100, reasoning=50), 0.003),
        (Job(1_000, 0, input_audio=500), 0.0205),
        (Job(200_000, 100), 0.201),  # exactly the threshold: not above it
        (Job(200_001, 100), 0.402002),
        (Job(300_000, 100), 0.602),  # a tier counts for the whole call
        (Job(1_000, 0, batch=True), 0.0005),
    ],
)
def test_a_call_costs_what_the_price_list_says(job, usd):
    assert cost(offering(**LIST), job).usd == pytest.approx(usd)


@pytest.mark.parametrize(
    ("values", "job", "reason"),
    [
        (LIST, Job(1_000, 100, batch=True), "no known batch price of output tokens"),
        ({"price_input": 1.0}, Job(1, 1), "no known price of output tokens"),
        ({"billing": "plan"}, Job(1, 1), "included in a plan"),
        (
            LIST | {"context": 8192},
            Job(50_000, 1_000),
            "does not fit: 51,000 tokens, context 8,192",
        ),
        (LIST | {"max_output": 10}, Job(1, 100), "does not fit: 100 tokens, max output 10"),
        (LIST, Job(10, 100, output_audio=5), "no known price of audio tokens"),
    ],
)
def test_a_cost_that_nobody_knows_has_a_reason(values, job, reason):
    assert cost(offering(**values), job) == (None, reason)


def test_peak_hours_count_when_the_call_is_made():
    peak = {"start": "01:00", "end": "04:00", "weekdays": True, "input": 2.0, "output": 20.0}
    night = {"start": "22:00", "end": "00:30", "input": 0.5}
    row = offering(price_input=1.0, price_output=10.0, price_hours=[peak, night])

    def at(day, hour, minute=0):
        return cost(
            row, Job(1_000_000, 0, at=datetime(2026, 11, day, hour, minute, tzinfo=UTC))
        ).usd

    assert cost(row, Job(1_000_000, 0)).usd == 1.0
    assert [at(27, 1), at(27, 3, 59), at(27, 4), at(28, 1)] == [2.0, 2.0, 1.0, 1.0]  # 28: Saturday
    assert [at(27, 23), at(28, 0, 29), at(28, 0, 30)] == [0.5, 0.5, 1.0]


def test_the_newest_import_decides_a_price_and_the_first_one_a_limit():
    old = offering("a", "2026-05-21", price_input=1.74, context=1_047_576)
    new = offering("b", "2026-08-17", price_input=0.66, context=1_000_000)
    for order in ([old, new], [new, old]):
        (record,) = merge(order).values()
        assert record.value("price_input") == 0.66
    assert next(iter(merge([old, new]).values())).value("context") == 1_047_576


def test_a_price_list_is_never_mixed_from_two_sources():
    old = offering("a", "2026-05-21", price_input=1.0, price_output=9.0, price_cache_read=0.5)
    new = offering("b", "2026-08-17", price_input=0.6, price_output=2.0, price_batch_input=0.3)
    (record,) = merge([old, new]).values()
    # The newer list has no price for cached tokens, so they cost what others cost.
    assert cost(record, Job(1_000_000, 0, cached=1_000_000)).usd == pytest.approx(0.6)
    agreed = offering("c", "2026-05-01", price_input=0.6, price_batch_output=1.0)
    stale = offering("d", "2026-05-01", price_input=9.0, price_batch_output=7.0)
    (record,) = merge([new, stale, agreed]).values()
    assert cost(record, Job(0, 1_000_000, batch=True)).usd == pytest.approx(1.0)


def test_a_users_price_replaces_one_price_of_a_list():
    listed = offering("a", price_input=1.0, price_output=9.0)
    mine = offering("an invoice", origin=Origin.LOCAL, price_output=4.0)
    (record,) = merge([listed, mine]).values()
    assert cost(record, Job(1_000_000, 1_000_000)).usd == pytest.approx(5.0)


def test_a_tiny_price_is_not_free():
    assert dollars(1e-7) == "$1e-07"
    assert price_pair(offering(price_input=0, price_output=0)) == "free"
    assert price_pair(offering(billing="trial")) == "limited trial"
    assert price_pair(offering(price_input=0)) == "free / —"
