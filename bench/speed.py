"""Compare the speed of servers on one machine, in one run: `make bench`.

The servers take turns (A B A B), each alone on the machine while its turn lasts. Tokens are counted
from each answer's usage; an answer that is shorter than asked for ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import track

from bench.peers import Server, free_port, minikin_command, running, xllamacpp_command

RESULTS = Path(__file__).with_name("results")
ENDLESS = {"logit_bias": {"0": -100, "2": -100}}
"""Bans the end tokens of the default model, so that every answer has its full length."""
WORDS = [
    "river",
    "stone",
    "quiet",
    "lamp",
    "seven",
    "orchard",
    "paper",
    "winter",
    "signal",
    "garden",
    "copper",
    "thread",
]


@dataclass(frozen=True)
class Answer:
    """What one streamed request took. Times are in seconds from its start."""

    first: float
    last: float
    prompt_tokens: int
    tokens: int


async def ask(client: httpx.AsyncClient, prompt: str, tokens: int) -> Answer:
    """Stream one answer of exactly `tokens` tokens. Raises RuntimeError if it is shorter."""
    body = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        **ENDLESS,
    }
    started = time.perf_counter()
    first, usage = 0.0, {}
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line[6:])
            usage = chunk.get("usage") or usage
            if not first and chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                first = time.perf_counter() - started
    if usage.get("completion_tokens") != tokens:
        raise RuntimeError(f"asked for {tokens} tokens, got {usage}")
    last = time.perf_counter() - started
    return Answer(first or last, last, usage["prompt_tokens"], tokens)


def unique(words: int) -> str:
    """A prompt that no cache has seen."""
    return " ".join(random.choice(WORDS) + str(random.randrange(10)) for _ in range(words))


async def single_stream(client: httpx.AsyncClient) -> float:
    """Tokens a second of one answer, after its first token."""
    answer = await ask(client, f"Tell me a long story. {unique(4)}", 200)
    return (answer.tokens - 1) / (answer.last - answer.first)


async def prefill(client: httpx.AsyncClient) -> float:
    """Prompt tokens a second of about 1,000 unique ones."""
    answer = await ask(client, unique(330), 1)
    return answer.prompt_tokens / answer.last


async def many_streams(client: httpx.AsyncClient, count: int) -> float:
    """Tokens a second of `count` answers at once, prompts included."""
    started = time.perf_counter()
    prompts = [f"Tell me a long story. {unique(8)}" for _ in range(count)]
    answers = await asyncio.gather(*(ask(client, prompt, 100) for prompt in prompts))
    return sum(answer.tokens for answer in answers) / (time.perf_counter() - started)


async def next_turn(client: httpx.AsyncClient) -> float:
    """How many times sooner a conversation's next turn has its first token than its first turn."""
    history = unique(330)
    cold = await ask(client, history, 1)
    warm = await ask(client, history + " And then?", 1)
    return cold.first / warm.first


SCENARIOS: dict[str, Callable[[httpx.AsyncClient], Awaitable[float]]] = {
    "single stream, tokens/s": single_stream,
    "prompt of 1,000 unique tokens, tokens/s": prefill,
    "8 streams, tokens/s": lambda client: many_streams(client, 8),
    "32 streams, tokens/s": lambda client: many_streams(client, 32),
    "next turn of 1,000 tokens, times sooner": next_turn,
}


async def measure(server: Server, found: dict[str, list[float]]) -> None:
    """One turn: every scenario once, after a warm-up."""
    # llama.cpp closes connections that it has answered on, some of them as the next request comes.
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=server.url, timeout=300, limits=limits) as client:
        await ask(client, "Hello", 8)
        for name, scenario in SCENARIOS.items():
            found[name].append(await scenario(client))
    found["time to ready, s"].append(server.ready_seconds)
    found["memory, MiB"].append(server.memory_mib())


def run(model: Path, peer: Path | None, rounds: int) -> dict[str, dict[str, float]]:
    """The median of each scenario for each server."""
    commands = {"minikin": lambda port: minikin_command(model, port)}
    if peer is not None:
        commands["xllamacpp"] = lambda port: xllamacpp_command(peer, model, port)
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in commands}
    for turn in track(range(rounds * len(commands)), "Measuring", transient=True):
        name = list(commands)[turn % len(commands)]
        port = free_port()
        with running(name, commands[name](port), port) as server:
            asyncio.run(measure(server, found[name]))
    return {
        name: {scenario: statistics.median(values) for scenario, values in rows.items()}
        for name, rows in found.items()
    }


def markdown(medians: dict[str, dict[str, float]], rounds: int) -> str:
    """The medians as a table, with minikin's ratio to its peer."""
    names = list(medians)
    head = [*names, *(f"minikin / {name}" for name in names[1:])]
    lines = [
        f"Medians of {rounds} interleaved rounds on {_machine()}.",
        "",
        "| | " + " | ".join(head) + " |",
        "|---|" + "---|" * len(head),
    ]
    for scenario, ours in medians["minikin"].items():
        values = [medians[name][scenario] for name in names]
        cells = [f"{value:,.1f}" for value in values]
        cells += [f"{ours / value:.2f} x" for value in values[1:]]
        lines.append(f"| {scenario} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    cores = sum(line.startswith("processor") for line in lines)
    return f"{cores} cores of {model}, Linux {platform.release()}"


def main() -> None:
    """Measure, print, and write `results/speed.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--xllamacpp", type=Path, help="a Python that has xllamacpp")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    table = markdown(run(options.model, options.xllamacpp, options.rounds), options.rounds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.md").write_text(table)
    Console().print(table)


if __name__ == "__main__":
    main()
