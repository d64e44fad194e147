"""`python -m tests.fuzz`: coverage-guided fuzzing (atheris) of all that reads untrusted bytes.

python -m tests.fuzz [--target gguf ...] [--seconds 60] [--runs 100000] [--seed 1]

Inputs that reach new code stay in `.fuzz/TARGET`: the next run continues from them. A fault prints
a traceback, and its input stays in `.fuzz/TARGET-crash-...`.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
from pathlib import Path
from typing import NoReturn

from tests.fuzz.target import Target

NAMES = ("gguf", "folder", "tokenizer", "body", "template")
HOME = Path(".fuzz")
MEMORY_MB = 4_096
INPUT_SECONDS = 30
"""An input that takes longer is a fault."""


def main() -> int:
    """Fuzz each target in a process of its own. Returns 1 if one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="repeat a run's inputs; 0: new ones")
    parser.add_argument("--corpus", type=Path, default=HOME)
    given = parser.parse_args()
    import atheris

    logging.disable()  # a refusal is expected
    # Once for all targets: this takes longer than a thousand runs.
    with atheris.instrument_imports(include=["minikin", "jinja2"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    bad = []
    for name in given.target:
        print(f"== {name}", flush=True)
        child = os.fork()
        if not child:
            fuzz(name, TARGETS[name], given)
        if os.waitpid(child, 0)[1]:
            bad.append(name)
    print("Faults in:", ", ".join(bad) or "none")
    return bool(bad)


def fuzz(name: str, target: Target, given: argparse.Namespace) -> NoReturn:
    """Fuzz one target. libFuzzer ends the process."""
    import atheris

    corpus = given.corpus / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={given.seconds}",
        f"-runs={given.runs}",
        f"-seed={given.seed}",
        f"-max_len={target.most}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={INPUT_SECONDS}",
        f"-artifact_prefix={given.corpus}/{name}-",
        *_dictionary(target, given.corpus / f"{name}.dict"),
    ]

    def mutator(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        changed = target.change(data, chance) if target.change and chance.random() < 0.5 else None
        return atheris.Mutate(data, most) if changed is None else changed[:most]

    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run, custom_mutator=mutator)
    atheris.Fuzz()
    os._exit(0)


def _dictionary(target: Target, path: Path) -> list[str]:
    """The option that names the words of a target, which go into `path`."""
    if not target.words:
        return []
    quoted = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in target.words)
    path.write_text("".join(f'"{word}"\n' for word in quoted))
    return [f"-dict={path}"]


if __name__ == "__main__":
    sys.exit(main())
