from minikin.catalog.facts import evidence
from minikin.catalog.probes.checks import CHECKS
from minikin.catalog.sources.catalog import PACKAGE
from tests.catalog.reports import FOLDER, PAGE, page


def test_the_reports_say_what_the_evidence_says():
    fresh = PAGE.read_text(encoding="utf-8") == page()
    assert fresh, "run: python -m tests.catalog.reports > docs/probe-reports.md"


def test_each_report_has_every_check_and_the_bodies_that_its_digests_are_of():
    files = [*(PACKAGE / "evidence").glob("*.json"), *FOLDER.glob("*.json")]
    assert len(files) == 3
    for path in files:
        found, bodies = evidence.read(path), evidence.read_bodies(path)
        probed = [result.capability for result in found.results]
        # Of two servers, prompts of 3,000 tokens took minutes on the machine of the reports.
        assert [*CHECKS.keys() - probed] in ([], ["long_context"]), path.name
        for result in found.results:
            assert evidence.agrees(result, bodies.get(result.capability, [])), result.capability
