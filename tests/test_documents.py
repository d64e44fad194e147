"""The files and tests that the documents name exist, and CI runs what a merge needs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from minikin.hub.known import KNOWN_MODELS
from minikin.hub.progress import readable_size

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "minikin"
PATH = re.compile(r"`((?:[\w-]+/)*[\w-]+(?:\.(?:py|h|jsonl|md)|/))(?:::(\w+))?`")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
WITH_PATHS = [ROOT / "docs" / name for name in ("adding.md", "architecture.md")]


def found(path: str) -> Path | None:
    """The file or folder, from the root, the package or the folder of a room."""
    rooms = [
        PACKAGE / room for room in ("chat", "engine", "engine/native", "api/request", "model_file")
    ]
    for base in (ROOT, ROOT / "docs", PACKAGE, *rooms):
        if (base / path).exists():
            return base / path
    return None


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_named_targets_of_make_have_a_recipe(document: Path):
    """make does nothing, and says so with status 0, for a name that is only in .PHONY."""
    recipes = set(
        re.findall(r"^([a-z][\w-]*):.*\n\t", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    named = set(re.findall(r"(?:^|`)make ([a-z][\w-]+)", document.read_text(), re.MULTILINE))
    assert named - recipes - {"install"} == set()


@pytest.mark.parametrize("document", WITH_PATHS, ids=lambda path: path.name)
def test_named_files_and_tests_exist(document: Path):
    named = PATH.findall(document.read_text())
    assert len(named) > 1
    for path, test in named:
        file = found(path)
        assert file, path
        if test:
            functions = ast.walk(ast.parse(file.read_text()))
            assert test in [getattr(node, "name", "") for node in functions], test


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(document: Path):
    for target, anchor in LINK.findall(document.read_text()):
        file = document.parent / target if target else document
        assert file.exists(), target
        if anchor:
            headings = [heading.lower() for heading in HEADING.findall(file.read_text())]
            assert anchor in [re.sub(r"[^\w -]", "", text).replace(" ", "-") for text in headings]


def test_the_readme_names_every_known_model_with_its_size():
    text = " ".join((ROOT / "README.md").read_text().split())
    for model in KNOWN_MODELS.values():
        assert f"`{model.name}` ({readable_size(model.size)})" in text


def test_ci_runs_what_a_merge_needs_on_every_python():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    needed = re.findall(r"^make \S+", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    run = [step["run"].removesuffix(" PYTHON=python") for step in job["steps"] if "run" in step]
    assert [command for command in run if command != "make test-macos"] == needed
    oldest = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text())
    assert oldest
    assert job["strategy"]["matrix"]["python"][0] == oldest[1]
