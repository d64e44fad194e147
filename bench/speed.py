"""Compare the speed of servers on one machine, in one run: `make bench`.

The servers take turns (A B C A B C), each alone on the machine while its turn lasts. Tokens are
counted from each answer's usage; an answer that is shorter than asked for ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress

from bench.chart import svg
from bench.client import ask
from bench.limits import Limits
from bench.model_folder import model_folder
from bench.peers import ENVIRONMENTS, LIBRARY, PEERS, Models, Server, running
from bench.scenarios import PROMPT, SCENARIOS, SINGLE, WORDS_PER_THOUSAND
from bench.work import bytes_a_token, operations_a_token
from minikin.engine.native.build import load_library

RESULTS = Path(__file__).with_name("results")
MINIKIN = "minikin"
REPEATS = 2
"""Of each scenario in a turn."""
SLOW_SECONDS = 45.0
"""What takes longer is measured once a turn: chance weighs little in it."""
IN_PROCESS = "32 streams without HTTP, tokens/s"
READY, MEMORY = "time to ready, s", "memory, MiB"

Found = dict[str, dict[str, list[float]]]


async def measure(server: Server, found: dict[str, list[float]], progress: Progress) -> None:
    """One turn: every scenario some times, after a warm-up. What a peer can't do is left out."""
    await ask(server.url, "Hello", 8)
    for scenario in SCENARIOS:
        if scenario.ours and server.name != MINIKIN:
            continue
        progress.console.print(f"[dim]{server.name}: {scenario.name}", highlight=False)
        try:
            for _ in range(REPEATS):
                started = time.monotonic()
                found[scenario.name].append(await scenario.measure(server.url))
                if time.monotonic() - started > SLOW_SECONDS:
                    break
        except RuntimeError as error:
            if server.name == MINIKIN:
                raise
            progress.console.print(f"{server.name} failed: {error}", highlight=False, markup=False)
    found[READY].append(server.ready_seconds)
    found[MEMORY].append(server.memory_mib())


def without_http(engine: str, python: str, model: Path) -> list[float]:
    """Tokens a second of 32 answers, by an engine in a process of its own."""
    command = [python, str(Path(__file__).with_name("library.py")), engine, str(model)]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    run = subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    return json.loads(run.stdout.splitlines()[-1])


def run(models: Models, names: list[str], rounds: int) -> tuple[Found, list[Limits], list[str]]:
    """Every scenario's figures for each server, the machine's limits, and the servers' builds."""
    found: Found = {name: defaultdict(list) for name in names}
    limits: list[Limits] = []
    builds: dict[str, str] = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("Measuring", total=rounds * (len(names) + 1))
        for _ in range(rounds):
            for name in names:
                try:
                    with running(PEERS[name], models, ENVIRONMENTS / f"{name}.log") as server:
                        builds[name] = server.instructions
                        asyncio.run(measure(server, found[name], progress))
                except RuntimeError as error:
                    if name == MINIKIN:
                        raise
                    progress.console.print(str(error), highlight=False, markup=False)
                progress.advance(task)
                limits.append(Limits.measure())
            ours = without_http("minikin", sys.executable, models.file)
            found[MINIKIN][IN_PROCESS] += ours
            if Path(LIBRARY.python).exists():
                theirs = without_http("openvino", LIBRARY.python, models.file)
                found.setdefault(LIBRARY.name, {}).setdefault(IN_PROCESS, []).extend(theirs)
            progress.advance(task)
    return found, limits, [built_with(name, sets) for name, sets in builds.items() if sets]


def built_with(name: str, instructions: str) -> str:
    """A line about a server's build."""
    return f"- {name} computes with {instructions}."


def nearness(model: Path, medians: dict[str, float], limits: list[Limits]) -> list[str]:
    """How near minikin comes to what the machine can do."""
    bandwidth = statistics.median(limit.bandwidth for limit in limits)
    most = statistics.median(limit.operations for limit in limits)
    read = medians[SINGLE] * bytes_a_token(model)
    prompt = 2 * WORDS_PER_THOUSAND  # tokens, about: attention's share hardly depends on it
    done = medians[PROMPT] * operations_a_token(model, prompt)
    return [
        f"- A single stream reads {read / 1e9:.1f} GB/s of weights: {read / bandwidth:.0%} of the "
        f"{bandwidth / 1e9:.1f} GB/s that this machine reads in plain order.",
        f"- A prompt of 1,000 tokens computes {done / 1e12:.2f} TFLOP/s: {done / most:.0%} of the "
        f"{most / 1e12:.2f} TFLOP/s that this machine does on registers, {limits[0].unit}.",
    ]


def markdown(medians: dict[str, dict[str, float]], rounds: int, near: list[str]) -> str:
    """The medians as a table, with minikin's ratio to each peer."""
    title = heading(f"Medians of {REPEATS} goes in each of {rounds} interleaved rounds")
    return "\n".join([title, "", *rows(medians), "", *near]) + "\n"


def median_of(found: Found) -> dict[str, dict[str, float]]:
    """The median of each server's figures."""
    return {
        name: {scenario: statistics.median(values) for scenario, values in rows.items() if values}
        for name, rows in found.items()
    }


def rows(medians: dict[str, dict[str, float]]) -> list[str]:
    """The lines of a table in Markdown."""
    peers = [name for name in medians if name != MINIKIN]
    lines = [
        "| | " + " | ".join([MINIKIN, *peers]) + " |",
        "|---|" + "---:|" * (len(peers) + 1),
    ]
    for scenario, ours in medians[MINIKIN].items():
        cells = [_figure(ours)]
        for name in peers:
            value = medians[name].get(scenario)
            cells.append("-" if value is None else f"{_figure(value)} ({value / ours:.2f})")
        lines.append(f"| {scenario} | " + " | ".join(cells) + " |")
    return lines


def heading(what: str) -> str:
    """What the figures of a table are, when and where they were measured."""
    return (
        f"{what}, {datetime.now(UTC):%Y-%m-%d}, on {_machine()}.\n"
        "In brackets: how many times minikin's figure. A dash: it can't, or its answer was wrong."
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    cores = sum(line.startswith("processor") for line in lines)
    return f"{cores} cores of {model}, Linux {platform.release()}"


def write(table: str, medians: dict[str, dict[str, float]]) -> None:
    """Put the results among those of other kinds of processors."""
    save(".md", table)
    save(".svg", svg("Servers of one model on one machine", medians))
    save(".json", json.dumps(medians, indent=1) + "\n")


def save(ending: str, text: str) -> None:
    """Write a file of results. Its name is the instruction set of the kernels, and `ending`."""
    library = load_library()
    kind = library.instructions().decode().lower() if library else "other"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{kind}{ending}").write_text(text)


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", nargs="*", default=list(PEERS)[1:], choices=list(PEERS)[1:])
    options = parser.parse_args()
    console = Console()
    names = [MINIKIN, *options.peers]
    for peer in (*(PEERS[name] for name in names), LIBRARY):
        with console.status(f"Preparing {peer.name} (the first time takes minutes)"):
            peer.prepare()
    models = Models(options.model, model_folder(options.model, ENVIRONMENTS / "model"))
    found, limits, builds = run(models, names, options.rounds)
    medians = median_of(found)
    near = nearness(options.model, medians[MINIKIN], limits)
    table = markdown(medians, options.rounds, [*near, *builds])
    write(table, medians)
    console.print(Markdown(table))


if __name__ == "__main__":
    main()
