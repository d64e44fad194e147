"""Larger models with random weights, beside other servers: `make bench-large`.

Prints, and writes to `bench/results`, how long the first and the second start take, the memory, and
tokens a second of one answer, of 8, and of a prompt.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from bench.client import ask
from bench.peers import NODE, PEERS, Models, Server, running
from bench.scenarios import prefill, single_stream, streams
from bench.shapes import SHAPES, write
from bench.speed import MINIKIN, Found, built_with, heading, median_of, rows, save
from minikin.engine.native.build import load_library

TOKENS = 32
STARTS = ("first start: time to ready, s", "second start: time to ready, s")
MEMORY = "memory, GiB"


async def measure(server: Server, found: dict[str, list[float]]) -> None:
    """Tokens a second, and memory."""
    await ask(server.url, "Hello", 2)
    found["one answer, tokens/s"].append(await single_stream(server.url, 1, TOKENS))
    together = await streams(server.url, 8, tokens=TOKENS, temperature=1)
    found["8 answers, tokens/s"].append(together)
    found["prompt of 1,000 tokens, tokens/s"].append(await prefill(server.url, 1))
    found[MEMORY].append(server.memory_mib() / 1024)


def compare(file: Path, names: list[str], builds: dict[str, str], console: Console) -> Found:
    """Each server's figures, of two starts in turns. Those that fail are left out.

    Adds the instruction sets of each server to `builds`.
    """
    models = Models(file, file, tokens=8192, slots=8, longest=1280)
    found: Found = {name: defaultdict(list) for name in names}
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


def main() -> None:
    """Write a file of each shape, measure the servers with it, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", type=Path, help="a GGUF file whose tokenizer to take")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    known = ("xllamacpp", NODE)
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
            found = compare(file, names, builds, console)
            lines += [f"## {SHAPES[key].title}, Q4_K", "", *rows(median_of(found)), ""]
            file.unlink()
    lines += [built_with(name, sets) for name, sets in builds.items() if sets]
    save("-large.md", "\n".join(lines) + "\n")
    console.print(Markdown("\n".join(lines)))


if __name__ == "__main__":
    main()
