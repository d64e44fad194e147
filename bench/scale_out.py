"""Compare Ray Serve with plain servers behind HAProxy, on one machine: `make bench-scale-out`.

Both have two engines of one thread. They take turns, each time started anew, so that neither
computes beside the other. It needs HAProxy and a machine without other work: a round takes minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.client import ask
from bench.server import Server, cpu_seconds, serving
from tests.processes import ending, free_port
from tests.proxies import running_proxy

THREADS = ("--threads", "1")
MARK = "MINIKIN_MEASURED_AS"
"""The variable by which the processes of one start are found, whoever started them."""
_ROLES = {
    "minikin.engine_main": "engine",
    "haproxy": "HAProxy",
    "ServeReplica:minikin:edge": "edges",
    "ServeReplica:minikin:engine": "engine replicas",
    "-m minikin serve": "servers",
    "minikin.": "templates and grammars",
}
"""What a process is, by words of its command line. The first that matches counts."""
RAY = "Ray itself"
"""All others."""
IDLE_SECONDS = 5.0


class Cost(NamedTuple):
    """What one number of streams took."""

    rate: float
    """Tokens a second of all streams together."""
    first: float
    """The median of the seconds until the first token."""
    cpu: dict[str, float]
    """Seconds of CPU for a token, by kind of process."""

    @property
    def beside(self) -> float:
        """Microseconds of CPU a token of what a request passes through beside the engine."""
        return 1e6 * sum(cpu for role, cpu in self.cpu.items() if role not in ("engine", RAY))


@contextmanager
def plain(model: str) -> Iterator[str]:
    """Two servers behind HAProxy."""
    with ExitStack() as opened:
        urls = [opened.enter_context(serving(model, *THREADS)).url for _ in range(2)]
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        yield opened.enter_context(running_proxy("haproxy", urls, folder))


@contextmanager
def ray(model: str) -> Iterator[str]:
    """Two engines and two edges on Ray Serve."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "minikin", "cluster", model, *THREADS, "--port", str(port),
                "--replicas", "2", "--edges", "2", "--database", f"{folder}/store.sqlite3",
                "--files", f"{folder}/files",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with ending(process):
            server = Server(f"http://127.0.0.1:{port}", process)
            server.wait_ready()
            yield server.url


def processes(mark: str) -> dict[int, str]:
    """What each process of a start is."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and f"{MARK}={mark}" in _read(folder / "environ"):
            words = _read(folder / "cmdline").replace("\0", " ")
            roles = (role for text, role in _ROLES.items() if text in words)
            found[int(folder.name)] = next(roles, RAY)
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


@contextmanager
def spending(mark: str) -> Iterator[Counter[str]]:
    """The seconds of CPU that the block takes, by kind of process."""
    spent: Counter[str] = Counter()
    before = {pid: cpu_seconds(pid) for pid in processes(mark)}
    yield spent
    for pid, role in processes(mark).items():
        spent[role] += cpu_seconds(pid) - before.get(pid, 0.0)


async def measure(url: str, mark: str, streams: int, tokens: int) -> Cost:
    """Ask so many conversations at the same time."""
    begun = time.perf_counter()
    with spending(mark) as spent:
        asked = [ask(url, f"Say {number}.", tokens) for number in range(streams)]
        answers = await asyncio.gather(*asked)
    seconds, total = time.perf_counter() - begun, streams * tokens
    return Cost(
        rate=total / seconds,
        first=statistics.median(answer.first for answer in answers),
        cpu={role: cpu / total for role, cpu in spent.items()},
    )


def turn(
    side: Callable[[str], AbstractContextManager[str]], model: str, streams: list[int], tokens: int
) -> tuple[dict[int, Cost], float]:
    """One start of a side: its costs by number of streams, and its CPU share without requests."""
    mark = os.environ[MARK] = uuid.uuid4().hex
    with side(model) as url:
        asyncio.run(measure(url, mark, 4, 16))
        with spending(mark) as idle:
            time.sleep(IDLE_SECONDS)
        costs = {count: asyncio.run(measure(url, mark, count, tokens)) for count in streams}
    return costs, sum(idle.values()) / IDLE_SECONDS


def row(name: str, count: int, costs: list[Cost]) -> str:
    """A row of the table: medians of all rounds."""
    rate = statistics.median(cost.rate for cost in costs)
    first = statistics.median(cost.first for cost in costs) * 1e3
    beside = statistics.median(cost.beside for cost in costs)
    roles = {role for cost in costs for role in cost.cpu} - {"engine", RAY}
    parts = {r: 1e6 * statistics.median(c.cpu.get(r, 0.0) for c in costs) for r in roles}
    shown = ", ".join(f"{role} {parts[role]:.0f}" for role in sorted(parts))
    return f"| {name} | {count} | {rate:.0f} | {first:.0f} | {beside:.0f} | {shown} |"


def main() -> None:
    """Print the medians of all rounds as a table, and the paired ratios of the rates."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=200, help="of each answer")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sides = {"servers behind HAProxy": plain, "Ray Serve": ray}
    found: dict[str, list[dict[int, Cost]]] = {name: [] for name in sides}
    for number in range(args.rounds):
        for name in sides if number % 2 == 0 else reversed(sides):
            costs, idle = turn(sides[name], args.model, args.streams, args.tokens)
            found[name].append(costs)
            print(f"round {number + 1}, {name}: {idle:.1%} of a core without requests", flush=True)
    print("\n| | streams | tokens/s | first token, ms | CPU us a token beside the engine | of it |")
    print("|---|---:|---:|---:|---:|---|")
    for count in args.streams:
        for name, rounds in found.items():
            print(row(name, count, [costs[count] for costs in rounds]))
    for count in args.streams:
        pairs = zip(*found.values(), strict=True)
        ratios = sorted(second[count].rate / first[count].rate for first, second in pairs)
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"\n{count} streams: Ray's tokens/s over those of the servers, by round: {shown}")


if __name__ == "__main__":
    main()
