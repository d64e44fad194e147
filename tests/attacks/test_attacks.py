"""The attacks that are quick. `make attacks` runs all of them, each beside a stream of its own."""

import importlib

import pytest

from tests.attacks.__main__ import run

pytestmark = pytest.mark.model


@pytest.mark.parametrize("sections", ["abcdefg", "i", "j"])
async def test_each_is_answered_as_it_should_be_and_changes_nothing_else(sections):
    modules = [importlib.import_module(f"tests.attacks.section_{name}") for name in sections]
    cases = [case for module in modules for case in module.CASES if case.quick]
    outcomes = await run(cases, modules[0].OPTIONS, together=True)
    assert {f"{o.case.row} {o.case.name}": o.faults for o in outcomes if o.faults} == {}
    assert len(outcomes) > len(cases)
