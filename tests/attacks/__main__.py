"""`python -m tests.attacks`: every hostile row against the command with its default model.

python -m tests.attacks [--sections AB] [--rows 16 52-54] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import httpx

from tests.attacks.case import Case
from tests.attacks.elsewhere import ELSEWHERE
from tests.attacks.watch import Outcome, Watch
from tests.patience import PATIENCE
from tests.real_model import real_server

SECTIONS = "abcdefghijtu"
SERVER = ("--kv-cache-tokens", "16384", "--no-access-log")


def main() -> int:
    """Run what the arguments ask for. Returns 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", default=SECTIONS, type=str.lower)
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rows = {row for each in options.rows for row in _numbers(each)}
    outcomes = []
    print(f"{'row':>4} {'':4} {'s':>6} {'lag':>6} {'memory':>7}  what")
    for name in options.sections:
        section = importlib.import_module(f"tests.attacks.section_{name}")
        cases = [case for case in section.CASES if not rows or case.row in rows]
        if options.quick:
            cases = [case for case in cases if case.quick]
        outcomes += asyncio.run(run(cases, section.OPTIONS))
    failed = [outcome for outcome in outcomes if outcome.faults]
    bad = sorted({outcome.case.row for outcome in failed})
    tried = {outcome.case.row for outcome in outcomes}
    print(
        f"\n{len(outcomes)} cases of {len(tried)} rows, {len(failed)} cases of {len(bad)} rows bad"
    )
    print("rows that fall short:", *bad)
    print(f"{len(ELSEWHERE)} more rows are covered by other tests, see elsewhere.py")
    return bool(failed)


async def run(
    cases: list[Case], options: Iterable[str] = (), *, together: bool = False
) -> list[Outcome]:
    """The outcomes of these cases, against one server with these options.

    `together`: beside one canary, without a look at the memory.
    """
    if not cases:
        return []
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        log = (Path(folder) / "log").open("wb")
        database = str(Path(folder) / "kept.sqlite3")
        with log, real_server(*SERVER, "--database", database, *options, log=log) as server:
            key = {"Authorization": "Bearer sk-secret-of-the-owner"}
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(
                base_url=server.url, timeout=2 * PATIENCE, headers=key, limits=limits
            ) as client:
                watch = Watch(server, client, log)
                await watch.hear()
                if together:
                    return await watch.run_together(cases)
                await watch.settle()
                for case in cases:
                    outcomes.append(await watch.run_until_memory_stays(case))
                    _show(outcomes[-1])
    return outcomes


def _show(outcome: Outcome) -> None:
    case = outcome.case
    mark = "BAD" if outcome.faults else "ok"
    print(
        f"{case.row:>4} {mark:4} {outcome.seconds:6.2f} {outcome.lag * 1000:6.0f} "
        f"{(outcome.growth - 1) * 100:+6.0f}%  {case.name}",
        *(f"\n{'':12}{fault}" for fault in outcome.faults),
        sep="",
        flush=True,
    )


def _numbers(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    sys.exit(main())
