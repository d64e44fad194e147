"""`minikin probe`: run the checks, store the evidence, report."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from minikin.catalog.facts import evidence as evidence_files
from minikin.catalog.facts.evidence import Bodies, Evidence, Result, Speed
from minikin.catalog.facts.schema import capabilities, is_id
from minikin.catalog.pages.site_map import slug
from minikin.catalog.probes.checks import CHECKS
from minikin.catalog.probes.client import Client, Unreachable
from minikin.catalog.probes.probe import Asker, Check, Failed
from minikin.catalog.probes.probe import probe as run_probe
from minikin.catalog.probes.speed import measure
from minikin.catalog.sources import catalog as catalogs
from minikin.catalog.sources.catalog import Catalog
from minikin.catalog.tables import (
    FolderOption,
    JsonOption,
    errors,
    out,
    print_json,
    print_table,
    state_text,
)
from minikin.errors import SetupError

_UrlOption = Annotated[
    str,
    typer.Option(metavar="URL", help="The server's address, such as http://127.0.0.1:8000/v1."),
]
_ModelOption = Annotated[str, typer.Option(metavar="NAME", help="The model to request.")]
_KeyOption = Annotated[
    str | None,
    typer.Option(metavar="VARIABLE", help="Environment variable with the API key."),
]
_ProviderOption = Annotated[
    str | None,
    typer.Option(
        metavar="ID", help="The provider's id in the catalog.", show_default="from the base URL"
    ),
]
_CapabilityOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Only this capability. Repeatable.")
]
_RegressionOption = Annotated[
    bool,
    typer.Option("--fail-on-regression", help="Exit with 1 if a verified capability fails now."),
]
_SpeedOption = Annotated[
    bool,
    typer.Option("--speed", help="Also measure the time to the first token, and tokens a second."),
]
_TimeoutOption = Annotated[
    float, typer.Option(min=1, metavar="SECONDS", help="Maximum time for one answer.")
]


def probe(
    base_url: _UrlOption,
    model: _ModelOption,
    api_key_env: _KeyOption = None,
    provider: _ProviderOption = None,
    capability: _CapabilityOption = None,
    fail_on_regression: _RegressionOption = False,
    speed: _SpeedOption = False,
    timeout: _TimeoutOption = 60.0,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test what an OpenAI-compatible server really does, and store the evidence.

    Example: minikin probe --base-url http://127.0.0.1:8000/v1 --model gpt-4.1-mini
    """
    checks = _chosen(capability or [])
    home = folder or catalogs.user_folder()
    with Client(base_url, _key(api_key_env), timeout) as client:
        offering = _probed_offering(catalogs.load(home), provider, client, model)
        bodies: Bodies = {}
        found = _run(client, model, offering, checks, bodies)
        if speed:
            found = msgspec.structs.replace(found, speed=_measured(client, model))
    path = home / "evidence" / f"{slug(offering)}.json"
    worse = _store(path, found, bodies, as_json)
    if worse:
        errors.print(f"No longer verified: {', '.join(worse)}", style="red", soft_wrap=True)
        if fail_on_regression:
            raise typer.Exit(1)


def _chosen(names: list[str]) -> dict[str, Check]:
    """The checks of these capabilities, or all. Raises SetupError for one without a check."""
    if unknown := set(names) - CHECKS.keys():
        named = ", ".join(map(_without_probe, sorted(unknown)))
        raise SetupError(f"No probe for {named}. Probes: {', '.join(CHECKS)}.")
    return {name: run for name, run in CHECKS.items() if not names or name in names}


def _key(variable: str | None) -> str | None:
    key = os.environ.get(variable) if variable else None
    if variable and not key:
        raise SetupError(f"The environment variable {variable} is not set.")
    return key


def _store(path: Path, found: Evidence, bodies: Bodies, as_json: bool) -> list[str]:
    """Write and report the evidence; return the capabilities that were verified before."""
    old = evidence_files.read(path) if path.exists() else None
    kept = evidence_files.carried(old, found)
    evidence_files.write(path, kept)
    evidence_files.write_bodies(path, kept, bodies)
    _report(kept, found, as_json)
    errors.print(f"Evidence: {path}, with the bodies beside it", soft_wrap=True)
    return [result.capability for result in evidence_files.regressions(old, found)]


def _without_probe(name: str) -> str:
    """The name, with the reason why it has no probe if there is one."""
    why = capabilities()[name].unobservable if name in capabilities() else ""
    return f"{name} (not observable: {why})" if why else name


def _measured(client: Client, model: str) -> Speed | None:
    try:
        return measure(Asker(client, model))
    except (Unreachable, Failed) as error:
        errors.print(f"The speed was not measured: {error}", style="yellow", soft_wrap=True)
        return None


def _probed_offering(catalog: Catalog, provider: str | None, client: Client, model: str) -> str:
    """The offering's id: the catalog's if it knows the provider and the name."""
    if provider is None:
        bases = {row.value("api_base"): row.id for row in catalog.providers.values()}
        provider = bases.get(client.base_url)
    if provider is None:
        provider, model = _of_minikin(client, model)
    # Never by an alias, because an alias can be any model.
    known = catalog.offerings.get(f"{provider}/{model}".lower())
    return known.id if known else f"{provider}/{model}"


def _of_minikin(client: Client, model: str) -> tuple[str, str]:
    """The provider, and the model behind an alias: another Minikin says what its names mean."""
    try:
        listed = client.get("/models")
    except Unreachable:
        listed = None  # the probe says so
    rows = listed.get("data") if isinstance(listed, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and (row.get("id"), row.get("owned_by")) == (model, "minikin"):
            root = row.get("root", model)
            if is_id(f"minikin/{root}", "offering"):
                return "minikin", root
    return slug(urlsplit(client.base_url).netloc), model


def _run(
    client: Client, model: str, offering: str, checks: dict[str, Check], bodies: Bodies
) -> Evidence:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=errors, transient=True) as bar:
        task = bar.add_task("probing", total=len(checks))

        def tell(result: Result) -> None:
            bar.update(task, advance=1, description=f"{result.capability}: {result.outcome}")

        try:
            return run_probe(client, model, offering, checks, tell, bodies)
        except (Unreachable, Failed) as error:
            raise SetupError(f"Cannot probe {client.base_url}: {error}") from None


def _report(kept: Evidence, found: Evidence, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(evidence_files.encode(kept)))
        return
    verified = sum(result.outcome == "verified" for result in found.results)
    absent = len(found.results) - len(found.counted)
    counted = f"{verified} of {len(found.counted)} verified, {absent} absent"
    out.print(f"{kept.offering} at {kept.endpoint}: {counted}\n")
    print_table(
        ["CAPABILITY", "OUTCOME", "TRIALS", "MS", "WHAT WAS SEEN"],
        (
            [r.capability, state_text(r.outcome), str(r.trials), str(r.latency_ms), r.reason]
            for r in found.results
        ),
    )
    if speed := kept.speed:
        out.print(
            f"\nFirst token after {speed.first_token_ms} ms, then {speed.tokens_per_second} "
            f"tokens/s. 8 answers together: {speed.tokens_per_second_of_8} tokens/s ({speed.at})."
        )
