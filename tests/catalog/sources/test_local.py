from pathlib import Path

import pytest

from minikin.catalog.sources.catalog import PACKAGE
from minikin.catalog.sources.local import load_folder, missing_references, read_folder
from minikin.errors import SetupError

GOOD = """\
kind: model
id: m-1
source: the author
date: 2026-11-01
release_date: 2025-04-14
knowledge_cutoff: null
parameters: {value: 7, source: the paper, date: 2025-01-02}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "r.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_record_carries_the_source_and_date_of_each_field(tmp_path):
    (record,) = load_folder(write(tmp_path, GOOD))
    assert record.value("release_date") == "2025-04-14"
    assert record.facts["release_date"][0].source == "the author"
    assert record.facts["parameters"][0].source == "the paper"
    assert record.facts["parameters"][0].date == "2025-01-02"
    assert record.state("knowledge_cutoff") == "absent"
    assert record.state("family") == "unknown"


@pytest.mark.parametrize(
    ("line", "bad", "says"),
    [
        (5, "release_date: tomorrow", "release_date must be a date"),
        (5, "release_date: 2026-13-01", "month"),
        (7, "parameters: 7B", "parameters must be an integer"),
        (7, "parameters: -1", "parameters must be an integer"),
        (7, "parameters: {value: 7, source: me, on: 3}", "a value, a source (text) and a date"),
        (7, "color: red", "no field 'color'"),
        (7, "release_date: 2020-01-01", "release_date occurs twice"),
        (7, "description: '\x1b[2J'", "special characters are not allowed"),
        (7, 'description: "\\e[2J"', "without control characters"),
        (7, f"description: {'x' * 601}", "1 to 600 characters"),
        (7, "authors: [a, b", "expected"),
        (2, "id: ../../etc/passwd", "id must be"),
        (2, "id: __proto__", "id must be"),
        (2, "id: ''", "id must be"),
        (1, "kind: gadget", "kind must be one of author, model, provider, offering"),
        (4, "date: soon", "date must be"),
    ],
)
def test_each_fault_names_its_line(tmp_path, line, bad, says):
    lines = GOOD.splitlines()
    lines[line - 1] = bad
    records, problems = read_folder(write(tmp_path, "\n".join(lines) + "\n"))
    assert records == []
    assert len(problems) == 1
    assert problems[0].line in (line, line + 1) if "expected" in says else problems[0].line == line
    assert says in problems[0].message


def test_a_fault_within_a_value_names_the_line_within(tmp_path):
    head = "kind: offering\nid: host/m\nsource: me\ndate: 2026-01-01\n"
    nested = """\
ranges:
  top_p: {min: 0, max: 1}
  temperature:
    min: 0
    max: two
aliases:
  - good
  - ""
price_tiers:
  - above: 1000
    input: -1
price_input:
  value: 1
  date: soon
price_output:
  value: 2
  page: 7
"""
    _, problems = read_folder(write(tmp_path, head + nested))
    lines = (head + nested).splitlines()
    assert sorted(lines[problem.line - 1].strip() for problem in problems) == [
        '- ""',
        "date: soon",
        "input: -1",
        "max: two",
        "page: 7",
    ]


def test_an_offering_needs_a_provider(tmp_path):
    text = "kind: offering\nid: {}\nsource: me\ndate: 2026-01-01\n"
    for id in ("model", "/model", "provider/"):
        _, problems = read_folder(write(tmp_path, text.format(id)))
        assert [problem.line for problem in problems] == [2]


def test_every_error_of_a_file_is_reported_together(tmp_path):
    text = GOOD.replace("parameters", "paramters").replace("2025-04-14", "never")
    _, problems = read_folder(write(tmp_path, text + "---\nkind: model\n"))
    assert [problem.line for problem in problems] == [5, 7, 9, 9, 9]


def test_aliases_that_would_explode_are_refused(tmp_path):
    bomb = "a: &a [x]\n" + "".join(
        f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcd", "bcde", strict=True)
    )
    _, problems = read_folder(write(tmp_path, bomb))
    assert "aliases are not allowed" in problems[0].message


def test_deep_nesting_is_a_problem_not_a_crash(tmp_path):
    _, problems = read_folder(write(tmp_path, "a: " + "[" * 5000))
    assert len(problems) == 1


def test_the_same_id_twice_names_both_places(tmp_path):
    _, problems = read_folder(write(tmp_path, GOOD + "---\n" + GOOD.replace("m-1", "M-1")))
    assert problems[0].line == 10
    assert "already at r.yaml:2" in problems[0].message


def test_a_reference_to_nothing_is_found(tmp_path):
    text = "kind: offering\nid: host/m\nsource: me\ndate: 2026-01-01\nmodel: gone\n"
    records, _ = read_folder(write(tmp_path, text))
    known = {"model": set(), "author": set(), "provider": set()}
    problems = missing_references(records, known)
    assert [(p.line, p.message) for p in problems] == [
        (5, "no model has the id 'gone'"),
        (2, "no provider has the id 'host'"),
    ]


def test_loading_a_bad_folder_stops_with_the_place(tmp_path):
    with pytest.raises(SetupError, match=r"r\.yaml:5: m-1: release_date must be"):
        load_folder(write(tmp_path, GOOD.replace("2025-04-14", "never")))


def test_the_packages_own_records_are_sound():
    records, problems = read_folder(PACKAGE)
    assert problems == []
    assert len(records) > 30
