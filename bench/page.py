"""What the pages cost their readers and the server, in a real Chromium, with the default model.

- `tasks`: the longest tasks of the playground's main thread while 4,000 tokens arrive. Text of the
  model, with and without the heat map, and text of a script in forms that are hard to show. On a
  machine with other work, look at the CPU time.
- `first`: from a ready server to the first text of an answer in the page, and the page's weight
- `open`: tokens a second of 32 answers at once, with 20 playgrounds and a dashboard open over
  without them, in pairs that take turns. The browser is on this machine, so it has the lowest
  priority. And what the server's processes compute for the open pages, without other requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, islice, repeat
from pathlib import Path

from rich.progress import track

from bench.server import Server, cpu_seconds, serving, starting
from bench.state import throughput
from tests.browser import Programs, installed_browser
from tests.fakes import ScriptedEngine, live_server
from tests.processes import children

TOKENS = 4_000
PAUSE = 0.003
"""Seconds between the tokens of a script."""
ANSWERS = 32
PLAYGROUNDS = 20
IDLE_SECONDS = 10.0
ASKED = "Write a very long story about the sea in Markdown, with headings and lists."
WORDS = ("the", "of", "sea", "ship", "and", "captain", "storm", "*wind*", "**deep**", "`sail`")
QUIET = "--no-access-log"


def words(count: int) -> Iterator[str]:
    """Words as tokens."""
    return (f" {random.choice(WORDS)}" for _ in range(count))


def lines(begin: str, count: int, end: str = "\n") -> Iterator[str]:
    """Lines of `count` words without end."""
    return chain.from_iterable(chain([begin], words(count), [end]) for _ in repeat(None))


SCRIPTS: dict[str, Callable[[], Iterator[str]]] = {
    "paragraphs": lambda: lines("", 60, ".\n\n"),
    "one paragraph": lambda: words(TOKENS),
    "one item": lambda: chain(["- "], words(TOKENS)),
    "JSON": lambda: chain(['{"all": ['], lines('{"of": ["', 12, '"]}, ')),
    "code": lambda: chain(["```python\n"], lines("print(", 8, ")\n")),
    "code in a list": lambda: chain(["1. do\n\n   ```\n"], lines("   print(", 8, ")\n")),
    "a list": lambda: lines("1. ", 20),
    "a list with empty lines": lambda: lines("1. ", 20, "\n\n"),
    "a list in a list": lambda: chain(["1. first\n"], lines("    - ", 9)),
    "a loose list in a list": lambda: chain(["1. first\n\n"], lines("    - ", 9, "\n\n")),
    "a table": lambda: chain(["| a | b |\n|---|---|\n"], lines("| x |", 8, " |\n")),
    "a quotation": lambda: lines("> ", 15),
}


def tasks(programs: Programs, model: Path) -> None:
    """Print the longest tasks for every text."""
    with serving(str(model), QUIET) as server:
        _print("text of the model", programs.run("tasks", server.url, ASKED))
        _print("as a heat map", programs.run("tasks", server.url, ASKED, "heat"))
    for name, script in SCRIPTS.items():
        engine = ScriptedEngine(tokens=list(islice(script(), TOKENS)), pause=PAUSE, window=8192)
        with live_server(engine) as scripted:
            _print(name, programs.run("tasks", scripted.url, ASKED))


def _print(name: str, found: str) -> None:
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in json.loads(found).items()))


def first(programs: Programs, model: Path, times: int) -> None:
    """Print the milliseconds to the first answer in the page, and the page's weight in kB."""
    for _ in range(times):
        with starting(str(model), QUIET) as server:
            _print("ms after ready", programs.run("first", server.url))


def opened(programs: Programs, model: Path, pairs: int) -> None:
    """Print the rate with open pages over the rate without them."""
    ratios = []
    with serving(str(model), QUIET) as server:
        browser = programs.start("open", server.url, str(PLAYGROUNDS))
        busy = {}
        for state in ("close", "open"):
            _tell(browser, state)
            _give_way(browser.pid)
            busy[state] = _busy(server)
        cost = busy["open"] - busy["close"]
        print(f"the server's work for open pages: {cost:.2%} of a core")
        for pair in track(range(pairs), f"{PLAYGROUNDS} playgrounds and a dashboard"):
            rates = {}
            for state in ("open", "close") if pair % 2 else ("close", "open"):
                _tell(browser, state)
                rates[state] = asyncio.run(throughput(server.url, ANSWERS, store=False))
            ratios.append(rates["open"] / rates["close"])
        browser.communicate()
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"rate with open pages over without: median {middle:.3f} ({low:.3f} to {high:.3f})")


def _give_way(pid: int) -> None:
    """Give the sessions that a process and its children began the lowest priority.

    Linux shares the processors out among sessions, and niceness counts within one only: see
    sched(7), "The autogroup feature". The browser has a session of its own.
    """
    with suppress(OSError):
        if os.getsid(pid) != os.getsid(0):
            Path(f"/proc/{pid}/autogroup").write_text("19")
    for child in children(pid):
        _give_way(child)


def _busy(server: Server) -> float:
    """The part of a core that the server's processes use."""

    def used() -> float:
        return sum(map(cpu_seconds, server.processes.values()))

    time.sleep(IDLE_SECONDS)  # until the pages are complete
    before = used()
    time.sleep(IDLE_SECONDS)
    return (used() - before) / IDLE_SECONDS


def _tell(browser: subprocess.Popen[str], line: str) -> None:
    assert browser.stdin
    assert browser.stdout
    browser.stdin.write(f"{line}\n")
    browser.stdin.flush()
    if browser.stdout.readline().strip() != line:
        raise RuntimeError("the browser ended")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file or a folder")
    parser.add_argument("--only", choices=("tasks", "first", "open"))
    parser.add_argument("--times", type=int, default=8, help="starts of a server, and pairs")
    options = parser.parse_args()
    browser = installed_browser()
    if browser is None:
        parser.error("Chromium is not installed")
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(Path(folder), browser)
        if options.only in (None, "first"):
            first(programs, options.model, options.times)
        if options.only in (None, "open"):
            opened(programs, options.model, options.times)
        if options.only in (None, "tasks"):
            tasks(programs, options.model)


if __name__ == "__main__":
    main()
