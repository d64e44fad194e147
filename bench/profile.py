"""Show where the time of an engine's steps goes, with Linux's perf: `make profile`."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minikin.config import EngineSettings
from minikin.engine.engine import Engine
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.native.build import load_library
from minikin.engine.native.variants import FLAGS

SECONDS = 5
FREQUENCY = 1999
"""Samples per second, a prime number: samples must not follow the rhythm of the steps."""
NO_PERF = """\
perf not found. It is in the package linux-perf (Debian), linux-tools-generic (Ubuntu) or perf
(Fedora). Install it, then run this command again."""
NOT_ALLOWED = """\
perf could not record (see above). If the system does not allow it, run
`sysctl kernel.perf_event_paranoid=2` as root, then run this command again."""


def start_answers(engine: Engine, count: int, prompt: int) -> None:
    """Begin answers to different random prompts of that many tokens."""
    params = SamplingParams(max_tokens=1_000_000, temperature=0, logit_bias={0: -100.0, 2: -100.0})
    for i in range(count):
        tokens = [random.randrange(1000, 40_000) for _ in range(prompt)]
        engine.add(GenerationRequest(id=str(i), prompt=tokens, params=params))


def record(perf: str, engine: Engine, data: Path) -> list[float]:
    """The seconds of each step that ran while perf recorded all threads of this process."""
    target = ("--pid", str(os.getpid()), "--freq", str(FREQUENCY), "--output", str(data))
    recorder = subprocess.Popen([perf, "record", *target, "--", "sleep", str(SECONDS)])
    times: list[float] = []
    while recorder.poll() is None and engine.busy:
        started = time.perf_counter()
        engine.step()
        times.append(time.perf_counter() - started)
    if recorder.wait() != 0:
        sys.exit(NOT_ALLOWED)
    return times


def report(perf: str, data: Path, kernels: Path) -> None:
    """Print the time per function, and the machine code of the slowest kernel with its source."""
    source = ("--stdio", "--input", str(data))
    subprocess.run([perf, "report", *source, "--sort", "dso,symbol", "--percent-limit", "0.5"])
    command = [perf, "report", "--quiet", *source, "--sort", "symbol", "--dsos", kernels.name]
    listed = subprocess.run(command, capture_output=True, text=True).stdout.split()
    if "[.]" in listed:
        slowest = listed[listed.index("[.]") + 1]
        code = subprocess.run(
            [perf, "annotate", *source, "--dsos", kernels.name, slowest], capture_output=True
        )
        data.with_suffix(".txt").write_bytes(code.stdout)
        print(f"The machine code of {slowest}, line by line: {data.with_suffix('.txt')}")


def main() -> None:
    """Load a model, record its steps and print where their time goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--answers", type=int, default=1, help="answers side by side")
    parser.add_argument("--prompt", type=int, default=30, help="tokens of each prompt")
    options = parser.parse_args()
    perf = shutil.which("perf")
    if perf is None:
        sys.exit(NO_PERF)
    library = load_library(flags=(*FLAGS, "-g"))
    settings = EngineSettings(model=options.model, max_running=options.answers)
    engine, _ = load_engine(settings, find_kernels=lambda: library)
    start_answers(engine, options.answers, options.prompt)
    while engine.scheduler.waiting or any(s.pending > 1 for s in engine.scheduler.running):
        engine.step()  # the prompts
    data = Path(tempfile.mkdtemp(prefix="minikin-")) / "profile.data"
    times = record(perf, engine, data)
    report(perf, data, Path(library._name if library else ""))
    print(f"{len(times)} steps, median {statistics.median(times) * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
