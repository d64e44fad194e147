"""The attacks that are quick. `make attacks` runs all of them, each beside a stream of its own."""

import importlib

import pytest

from tests.attacks.__main__ import SECTIONS, run
from tests.attacks.elsewhere import ELSEWHERE
from tests.real_model import ROOT
from tests.thorough import mostly_thorough

ROWS = range(1, 132)


def cases_of(section):
    return importlib.import_module(f"tests.attacks.section_{section}").CASES


def test_every_row_is_tried_here_or_by_another_test():
    here = {case.row for section in SECTIONS for case in cases_of(section)}
    assert here | ELSEWHERE.keys() >= set(ROWS)
    assert not here & ELSEWHERE.keys()
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(), place


@pytest.mark.model
@pytest.mark.parametrize(
    "sections",
    mostly_thorough(["b", "acdefg", "i", "j"], "b"),
)
async def test_each_is_answered_as_it_should_be_and_changes_nothing_else(sections):
    options = importlib.import_module(f"tests.attacks.section_{sections[0]}").OPTIONS
    cases = [case for section in sections for case in cases_of(section) if case.quick]
    outcomes = await run(cases, options, together=True)
    assert {f"{o.case.row} {o.case.name}": o.faults for o in outcomes if o.faults} == {}
    assert len(outcomes) > len(cases)


@pytest.mark.model
@pytest.mark.thorough
async def test_other_routes_answer_as_they_should_and_change_nothing_else():
    section = importlib.import_module("tests.attacks.section_u")
    outcomes = await run(section.CASES, section.OPTIONS, together=True)
    assert {outcome.case.name: outcome.faults for outcome in outcomes if outcome.faults} == {}
