"""What `--prefix-store` saves after a restart, and what it costs while it writes.

- `start`: the time to the first token of a prompt of 5,000 tokens, the first request of a server:
  without a store, with one whose files are in the system's memory, and with one on the disk
- `beside`: tokens a second of an answer right after its new prompt of 5,000 tokens, which is
  written meanwhile, over that of a server without a store, in pairs that take turns (A B B A)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
from pathlib import Path

from bench.client import Answer, ask
from bench.scenarios import WORDS_PER_THOUSAND, unique
from bench.server import serving

TOKENS = 5_000
ANSWER_TOKENS = 200


def prompt() -> str:
    """A new text of about TOKENS tokens."""
    return unique(WORDS_PER_THOUSAND * TOKENS // 1_000)


def first(model: str, text: str, *options: str) -> Answer:
    """The answer to the first request of a server."""
    with serving(model, "--no-access-log", *options) as server:
        return asyncio.run(ask(server.url, text, 2))


def forget(folder: Path) -> None:
    """Remove the files of a folder from the system's memory."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def start(model: str, folder: Path, rounds: int) -> None:
    """Print the times to the first token."""
    text, store = prompt(), ("--prefix-store", str(folder))
    tokens = first(model, text, *store).prompt_tokens
    times: dict[str, list[float]] = {"without": [], "in memory": [], "on disk": []}
    for _ in range(rounds):
        times["without"].append(first(model, text).first)
        times["in memory"].append(first(model, text, *store).first)
        forget(folder)
        times["on disk"].append(first(model, text, *store).first)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"First request, {tokens} tokens, {size / 1e6:.0f} MB; s to the first token")
    for name, found in times.items():
        print(f"  {name:10} median {statistics.median(found):.3f} "
              f"({min(found):.3f} to {max(found):.3f})")  # fmt: skip


def beside(model: str, folder: Path, pairs: int) -> None:
    """Print the share of the speed that an answer keeps."""
    with (
        serving(model, "--no-access-log", "--prefix-store", str(folder)) as one,
        serving(model, "--no-access-log") as other,
    ):
        rates: dict[str, list[float]] = {one.url: [], other.url: []}
        prompts: dict[str, list[float]] = {one.url: [], other.url: []}
        for pair in range(pairs + 1):
            for url in (one.url, other.url) if pair % 2 else (other.url, one.url):
                answer = asyncio.run(ask(url, prompt(), ANSWER_TOKENS))
                if pair:  # the first one warms up
                    rates[url].append(answer.rate)
                    prompts[url].append(answer.first)
    for name, found, better in (("tokens/s", rates, 1), ("s to the first token", prompts, -1)):
        shares = [(a / b) ** better for a, b in zip(found[one.url], found[other.url], strict=True)]
        half = 1.96 * statistics.stdev(shares) / len(shares) ** 0.5
        print(f"Beside its own prompt, {statistics.median(found[other.url]):.3g} {name} without, "
              f"{statistics.median(found[one.url]):.3g} with: {statistics.fmean(shares):.3f} "
              f"of the speed (95 %: +-{half:.3f})")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start(given.model, Path(folder) / "start", given.rounds)
        beside(given.model, Path(folder) / "beside", given.pairs)


if __name__ == "__main__":
    main()
