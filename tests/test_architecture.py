"""Holds the direction of imports: cli -> api -> {chat, constrain, engine} -> errors."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "minikin"
GROUND = {"errors", "config"}
MAY_IMPORT = {
    "errors": set(),
    "config": set(),
    "chat": GROUND,
    "constrain": GROUND,
    "engine": GROUND,
    "engine_process": GROUND | {"constrain", "engine"},
    "hub": GROUND,
    "catalog": GROUND,
    "bench": GROUND,
    "api": GROUND | {"chat", "constrain", "engine"},
    "cli": GROUND | {"api", "engine", "hub", "catalog", "bench"},
    "__main__": {"cli"},
    "__init__": set(),
}
FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    """`engine` for engine/gguf.py, `config` for config.py."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Every name that a module of `package` imports, wherever in its text, in full."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imports_of(file: Path) -> Iterator[str]:
    return imports(file.read_text(), ("minikin", *file.relative_to(PACKAGE).parent.parts))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_downwards(file: Path):
    part = part_of(file)
    assert part in MAY_IMPORT, f"say in {Path(__file__).name} what {part} may import"
    for name in imports_of(file):
        top, _, rest = name.partition(".")
        imported = rest.partition(".")[0]
        if top == "minikin" and imported not in (part, "__version__"):
            assert imported in MAY_IMPORT[part], f"{part} may not import {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_engine_imports_torch(file: Path):
    if part_of(file) != "engine":
        assert "torch" not in {name.partition(".")[0] for name in imports_of(file)}


def test_everything_but_the_engines_inside_loads_without_torch():
    light = {"messages", "process", "gguf"}  # of the engine, what other parts use
    names = [
        ".".join(("minikin", *file.relative_to(PACKAGE).with_suffix("").parts))
        for file in FILES
        if file.stem != "__main__" and (part_of(file) != "engine" or file.stem in light)
    ]
    script = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    run = subprocess.run([sys.executable, "-c", script], env=env)
    assert run.returncode == 0


def test_the_walk_sees_every_form_of_import():
    source = """
import torch.nn as nn
from . import cache
from ..hub import fetch
def late():
    from .output import console
"""
    found = set(imports(source, ("minikin", "cli")))
    assert found == {
        "torch.nn",
        "minikin.cli.cache",
        "minikin.hub.fetch",
        "minikin.cli.output.console",
    }
