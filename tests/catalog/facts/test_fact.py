from minikin.catalog.facts.fact import Fact, Origin, Record, merge


def _offering(origin, source, **values):
    facts = {name: (Fact(value, origin, source, "2026-01-01"),) for name, value in values.items()}
    return Record("offering", "host/model", facts)


def test_three_states_stay_apart():
    record = _offering(Origin.LOCAL, "me", tools=True, stop=False, seed=None, price_input=0)
    assert [record.state(name) for name in ("tools", "stop", "seed", "price_input", "n")] == [
        "known",
        "absent",
        "absent",
        "known",
        "unknown",
    ]


def test_probe_beats_local_beats_import_in_every_order():
    imported = _offering(Origin.IMPORT, "data", tools=True, context=1000)
    local = _offering(Origin.LOCAL, "me", tools=True, context=900)
    probed = _offering(Origin.PROBE, "probe", tools=False)
    for order in ([imported, local, probed], [probed, imported, local], [local, probed, imported]):
        (record,) = merge(order).values()
        assert record.value("tools") is False
        assert record.value("context") == 900


def test_conflicts_keep_every_distinct_value_and_its_source():
    records = [
        _offering(Origin.IMPORT, "a", context=1000, aliases=["x", "y"]),
        _offering(Origin.IMPORT, "b", context=2000, aliases=["y", "x"]),
        _offering(Origin.IMPORT, "c", context=1000),
    ]
    (record,) = merge(records).values()
    (conflict,) = record.conflicts().items()
    assert conflict[0] == "context"
    assert [(fact.value, fact.source) for fact in conflict[1]] == [(1000, "a"), (2000, "b")]


def test_a_source_that_says_none_conflicts_with_one_that_says_some():
    records = [_offering(Origin.LOCAL, "a", stop=None), _offering(Origin.IMPORT, "b", stop=True)]
    (record,) = merge(records).values()
    assert record.state("stop") == "absent"
    assert "stop" in record.conflicts()
