"""`minikin probe`: run the checks, store the evidence, report."""

from __future__ import annotations

import json
import os
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


def probe(
    base_url: Annotated[
        str,
        typer.Option(metavar="URL", help="The server's address, such as http://127.0.0.1:8000/v1."),
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="The model to request.")],
    api_key_env: Annotated[
        str | None,
        typer.Option(metavar="VARIABLE", help="Environment variable with the API key."),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The provider's id in the catalog.",
            show_default="from the base URL",
        ),
    ] = None,
    capability: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this capability. Repeatable."),
    ] = None,
    fail_on_regression: Annotated[
        bool,
        typer.Option(
            "--fail-on-regression", help="Exit with 1 if a verified capability fails now."
        ),
    ] = False,
    speed: Annotated[
        bool,
        typer.Option(
            "--speed", help="Also measure the time to the first token, and tokens a second."
        ),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Maximum time for one answer.")
    ] = 60.0,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test what an OpenAI-compatible server really does, and store the evidence.

    Example: minikin probe --base-url http://127.0.0.1:8000/v1 --model gpt-4.1-mini
    """

    unknown = set(capability or ()) - CHECKS.keys()
    if unknown:
        known = ", ".join(CHECKS)
        named = ", ".join(map(_without_probe, sorted(unknown)))
        raise SetupError(f"No probe for {named}. Probes: {known}.")
    checks = {name: run for name, run in CHECKS.items() if not capability or name in capability}
    key = os.environ.get(api_key_env) if api_key_env else None
    if api_key_env and not key:
        raise SetupError(f"The environment variable {api_key_env} is not set.")
    home = folder or catalogs.user_folder()
    with Client(base_url, key, timeout) as client:
        offering = _probed_offering(catalogs.load(home), provider, client, model)
        bodies: Bodies = {}
        found = _run(client, model, offering, checks, bodies)
        if speed:
            found = msgspec.structs.replace(found, speed=_measured(client, model))
    path = home / "evidence" / f"{slug(offering)}.json"
    old = evidence_files.read(path) if path.exists() else None
    kept = evidence_files.carried(old, found)
    evidence_files.write(path, kept)
    evidence_files.write_bodies(path, kept, bodies)
    _report(kept, found.results, as_json)
    errors.print(f"Evidence: {path}, with the bodies beside it", soft_wrap=True)
    worse = [result.capability for result in evidence_files.regressions(old, found)]
    if worse:
        errors.print(f"No longer verified: {', '.join(worse)}", style="red", soft_wrap=True)
        if fail_on_regression:
            raise typer.Exit(1)


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


def _report(kept: Evidence, results: list[Result], as_json: bool) -> None:
    if as_json:
        print_json(json.loads(evidence_files.encode(kept)))
        return
    verified = sum(result.outcome == "verified" for result in results)
    out.print(f"{kept.offering} at {kept.endpoint}: {verified} of {len(results)} verified\n")
    print_table(
        ["CAPABILITY", "OUTCOME", "TRIALS", "MS", "WHAT WAS SEEN"],
        (
            [r.capability, state_text(r.outcome), str(r.trials), str(r.latency_ms), r.reason]
            for r in results
        ),
    )
    if speed := kept.speed:
        out.print(
            f"\nFirst token after {speed.first_token_ms} ms, then {speed.tokens_per_second} "
            f"tokens/s. 8 answers together: {speed.tokens_per_second_of_8} tokens/s ({speed.at})."
        )
