"""Larger models with random weights, beside other servers: `make bench-large`.

Prints, and writes to `bench/results`, how long the first and the second start take, the memory, and
tokens a second of one answer, of 8, and of a prompt.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from bench.client import ask
from bench.peers import PEERS, Models, Server, running
from bench.scenarios import prefill, unique
from bench.shapes import SHAPES, write
from bench.speed import MINIKIN, built_with, figure, heading, save
from minikin.engine.native.build import load_library

TOKENS = 32
STARTS = ("first start: time to ready, s", "second start: time to ready, s")
MEMORY = "memory, GiB"

Found = dict[str, list[float]]


async def measure(server: Server, found: Found) -> None:
    """Tokens a second, and memory."""
    await ask(server.url, "Hello", 2)
    one = await ask(server.url, f"Tell me a story. {unique(4)}", TOKENS, temperature=1)
    found["one answer, tokens/s"].append(one.rate)
    found["8 answers, tokens/s"].append(await _together(server.url, 8))
    found["prompt of 1,000 tokens, tokens/s"].append(await prefill(server.url, 1))
    found[MEMORY].append(server.memory_mib() / 1024)


async def _together(url: str, count: int) -> float:
    started = time.perf_counter()
    prompts = [f"Tell me a story. {unique(4)}" for _ in range(count)]
    answers = await asyncio.gather(*(ask(url, one, TOKENS, temperature=1) for one in prompts))
    return sum(answer.tokens for answer in answers) / (time.perf_counter() - started)


def compare(
    file: Path, names: list[str], builds: dict[str, str], console: Console
) -> dict[str, Found]:
    """Each server's figures, of two starts in turns. Those that fail are left out.

    Adds the instruction sets of each server to `builds`.
    """
    models = Models(file, file, tokens=8192, slots=8, longest=1280)
    found: dict[str, Found] = {name: defaultdict(list) for name in names}
    for start in STARTS:
        for name in names:
            console.print(f"[dim]{file.stem}: {name}, {start.partition(':')[0]}", highlight=False)
            try:
                with running(PEERS[name], models, file.with_name(f"{name}.log")) as server:
                    builds[name] = server.instructions
                    found[name][start].append(server.ready_seconds)
                    asyncio.run(measure(server, found[name]))
            except RuntimeError as error:
                if name == MINIKIN:
                    raise
                console.print(f"{name} failed: {error}", highlight=False, markup=False)
    return found


def table(title: str, found: dict[str, Found]) -> list[str]:
    """Markdown of the medians. In brackets: how many times minikin's figure."""
    peers = [name for name in found if name != MINIKIN]
    lines = [
        f"## {title}", "",
        f"| | {' | '.join([MINIKIN, *peers])} |", "|---|" + "---:|" * (len(peers) + 1),
    ]  # fmt: skip
    for row, values in found[MINIKIN].items():
        ours = statistics.median(values)
        cells = [figure(ours)]
        for name in peers:
            theirs = found[name].get(row)
            value = statistics.median(theirs) if theirs else None
            cells.append("-" if value is None else f"{figure(value)} ({value / ours:.2f})")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return [*lines, ""]


def main() -> None:
    """Write a file of each shape, measure the servers with it, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", type=Path, help="a GGUF file whose tokenizer to take")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    known = ("xllamacpp", "node-llama-cpp")
    parser.add_argument("--peers", nargs="*", default=list(known), choices=known)
    options = parser.parse_args()
    names, console = [MINIKIN, *options.peers], Console()
    for name in names:
        PEERS[name].prepare()
    lines, builds = [heading("Medians of two starts"), ""], dict[str, str]()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINIKIN_CACHE"] = folder  # without packed weights, but with kernels
        load_library()
        for key in options.shapes:
            file = Path(folder, f"random-{key}-q4_k.gguf")
            write(SHAPES[key], file, options.tokenizer)
            lines += table(f"{SHAPES[key].title}, Q4_K", compare(file, names, builds, console))
            file.unlink()
    lines += [built_with(name, sets) for name, sets in builds.items() if sets]
    save("-large.md", "\n".join(lines) + "\n")
    console.print(Markdown("\n".join(lines)))


if __name__ == "__main__":
    main()
