"""The page docs/probe-reports.md: `python -m tests.catalog.reports > docs/probe-reports.md`.

Each table is made from evidence. What was repeated by hand is written by hand.
"""

from pathlib import Path

from minikin.catalog.facts import evidence
from minikin.catalog.facts.evidence import Evidence
from minikin.catalog.sources.catalog import PACKAGE
from tests.real_model import ROOT

FOLDER = ROOT / "docs" / "reports"
PAGE = ROOT / "docs" / "probe-reports.md"


def page() -> str:
    """The page, from the text of docs/reports/page.md and the evidence that it names."""
    lines = (FOLDER / "page.md").read_text(encoding="utf-8").splitlines()
    parts = [_part(line.removeprefix("!")) if line.startswith("!") else line for line in lines]
    return "\n".join(parts) + "\n"


def _part(name: str) -> str:
    folder = PACKAGE / "evidence"
    return table(evidence.read(_first(folder / name, FOLDER / name)))


def _first(*paths: Path) -> Path:
    return next(path for path in paths if path.exists())


def table(found: Evidence) -> str:
    """What a probe saw, as Markdown."""
    counts = [r.outcome for r in found.results]
    verified = counts.count("verified")
    head = [
        f"`{found.offering}`, probed on {max(r.at for r in found.results)[:10]}: "
        f"{verified} of {len(found.counted)} verified, {counts.count('absent')} absent."
    ]
    if speed := found.speed:
        head.append(
            f"The first token came after {speed.first_token_ms} ms, then {speed.tokens_per_second} "
            f"tokens a second; eight answers together had {speed.tokens_per_second_of_8}."
        )
    rows = [
        f"| `{r.capability}` | {r.outcome} | {r.trials} | {_cell(r.reason)} |"
        for r in found.results
    ]
    titles = ["| capability | outcome | requests | what was seen |", "|---|---|---|---|"]
    return "\n".join([*head, "", *titles, *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(page(), end="")
