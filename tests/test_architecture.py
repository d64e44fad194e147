"""The walls of the house: which room may import which, where torch is, how large a room may be.

A room is a folder of modules. Rooms stand on floors: a room imports rooms further down, never up,
so a change in one room can only surprise the rooms above it.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "minikin"

# From the ground up. A name stands for the whole folder unless a part of it is listed too.
MAY_IMPORT: dict[str, set[str]] = {
    # What every room may use.
    "errors": set(),
    "logs": set(),
    "config": set(),
    "marks": set(),
    "memory": set(),
    "machine": set(),
    "periodic": set(),
    # The database and the files of the server. Knows owners, and nothing of HTTP.
    "store": set(),
    # Processes of bounded time and memory, and the frames between all processes.
    "bounded": set(),
    # Reading model files: no torch, and nothing of the engine.
    "tokenizer": set(),
    "model_file": {"tokenizer"},
    # The engine: token ids in, token events out.
    "engine/native": {"model_file"},
    "engine/model": {"engine/native", "model_file"},
    # The same forward pass in PyTorch. Torch is used only here and for a GPU, and only if it is
    # necessary.
    "engine/pytorch": {"engine/model", "engine/native", "model_file"},
    # The same on an NVIDIA GPU: kernels in Triton, and steps without reads back.
    "engine/cuda/kernels": set(),
    "engine/cuda": {
        "engine/cuda/kernels", "engine/model", "engine/native", "engine/pytorch", "model_file",
    },
    "engine": {
        "engine/cuda", "engine/model", "engine/native", "engine/pytorch", "model_file", "tokenizer",
    },
    "engine/host": {"bounded", "engine"},
    # Text to grammars, conversations to text. Neither knows the engine.
    "constrain/schema": set(),
    "constrain": {"bounded", "constrain/schema"},
    "chat": {"bounded"},
    # The engine's program gives the engine its grammars.
    "engine_main": {"constrain", "engine/host"},
    # OpenAI's API, from the rules of a request up to the routes.
    "api/access": set(),
    "api/request": {"engine"},
    "api/answer": {"api/request", "chat", "constrain", "constrain/schema", "engine"},
    "api/responses": {
        "api/answer", "api/request", "chat", "constrain/schema", "engine", "store",
    },
    "api/completions": {"api/answer", "api/request", "engine", "tokenizer"},
    "api/serving": {
        "api/access", "api/answer", "api/request", "chat", "constrain", "engine", "engine/host",
        "model_file", "store", "tokenizer",
    },
    "api/http": {"api/access", "api/answer", "api/request", "api/serving", "store"},
    "api/batches": {"api/answer", "api/http", "api/request", "store"},
    "api/routes": {
        "api/access", "api/answer", "api/batches", "api/completions", "api/http", "api/request",
        "api/responses", "api/serving", "engine", "store", "tokenizer",
    },
    "api/page": {"api/http", "api/request", "api/serving"},
    "api": {
        "api/access", "api/answer", "api/batches", "api/completions", "api/http", "api/page",
        "api/request", "api/responses", "api/routes", "api/serving", "constrain",
        "constrain/schema", "engine/host", "engine/model", "store",
    },
    # Several machines, with Ray. It needs the extra `ray`.
    "cluster": {"api", "api/serving", "engine", "engine/host"},
    # Facts about models, and their evidence. Reaches every server over HTTP alone.
    "catalog/facts": set(),
    "catalog/sources": {"catalog/facts"},
    "catalog/pages": {"catalog/facts", "catalog/sources"},
    "catalog/probes": {"catalog/facts"},
    "catalog": {"catalog/facts", "catalog/pages", "catalog/probes", "catalog/sources"},
    # Where models come from.
    "hub": set(),
    # The commands.
    "cli": {
        "api", "api/access", "api/page", "api/serving", "catalog", "catalog/pages",
        "catalog/sources", "cluster",
        "engine/model", "engine/native", "hub", "model_file",
    },
    "__main__": {"cli"},
    "__init__": set(),
}  # fmt: skip
GROUND = {"errors", "logs", "config", "machine", "marks", "memory", "periodic"}
OF_THE_ENGINE = {
    "minikin.engine.messages", "minikin.engine.model.block", "minikin.engine.model.footprint",
    "minikin.engine.native.build", "minikin.engine.native.features",
}  # fmt: skip
"""All that the rooms above the engine may use of it, beside engine/host."""
WITH_TORCH = {"engine/cuda", "engine/cuda/kernels", "engine/pytorch"}
WITH_EXTRAS = {
    "minikin.cluster.edge", "minikin.cluster.remote_engine", "minikin.cluster.router",
}  # fmt: skip
"""Modules that load only with a package of an extra."""
LINES = {
    "config": 350,
    "errors": 215,
    "logs": 120,
    "marks": 130,
    "machine": 95,
    "periodic": 60,
    "memory": 110,
    "__init__": 10,
    "__main__": 10,
    "engine_main": 30,
    "tokenizer": 1390,
    "model_file": 4329,
    "engine": 3690,
    "engine/host": 880,
    "engine/model": 2766,
    "engine/native": 1240,
    "engine/pytorch": 1370,
    "engine/cuda": 1490,
    "engine/cuda/kernels": 640,
    "store": 2410,
    "bounded": 415,
    "constrain": 1935,
    "constrain/schema": 2190,
    "chat": 2600,
    "api": 950,
    "api/answer": 1030,
    "api/batches": 580,
    "api/completions": 640,
    "api/http": 1900,
    "api/page": 395,
    "api/request": 2250,
    "api/responses": 2530,
    "api/routes": 2410,
    "api/serving": 1650,
    "api/access": 520,
    "cluster": 611,
    "catalog": 1275,
    "catalog/facts": 930,
    "catalog/pages": 1805,
    "catalog/probes": 2220,
    "catalog/sources": 1700,
    "hub": 1340,
    "cli": 2990,
}
"""The most lines of Python a room may have. A change that needs more raises its number here."""

MODULES = {
    ".".join(("minikin", *file.relative_to(PACKAGE).with_suffix("").parts)): file
    for file in sorted(PACKAGE.rglob("*.py"))
}
each_module = pytest.mark.parametrize("module", MODULES)


def room_of(module: str) -> str:
    """`engine/model` for minikin.engine.model.rope, `config` for minikin.config."""
    file = MODULES[module].relative_to(PACKAGE)
    folders = file.parent.parts or (file.stem,)
    whole = "/".join(folders)
    return whole if whole in MAY_IMPORT else folders[0]


def imports(source: str, package: tuple[str, ...] = ()) -> Iterator[str]:
    """Every name that a module of `package` imports, wherever in its text, in full."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imports_of(module: str) -> Iterator[str]:
    file = MODULES[module]
    return imports(file.read_text(), ("minikin", *file.relative_to(PACKAGE).parent.parts))


def modules_of(module: str) -> Iterator[str]:
    """The modules of Minikin that a module imports, packages aside."""
    for name in imports_of(module):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name:
            yield name


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle of imports, if there is one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@each_module
def test_a_module_imports_only_what_its_room_may(module: str):
    room = room_of(module)
    for imported in modules_of(module):
        other = room_of(imported)
        allowed = MAY_IMPORT[room] | GROUND | {room}
        assert other in allowed, f"{room} may not import {other}: {module} imports {imported}"


def test_no_arrow_between_rooms_points_up():
    floors = list(MAY_IMPORT)
    for room, below in MAY_IMPORT.items():
        for other in below:
            assert floors.index(other) < floors.index(room), f"{room} is listed below {other}"


def test_no_modules_import_each_other_in_a_circle():
    assert circle({module: set(modules_of(module)) for module in MODULES}) == []


@each_module
def test_torch_is_imported_in_two_rooms(module: str):
    if room_of(module) not in WITH_TORCH:
        assert "torch" not in {name.partition(".")[0] for name in imports_of(module)}


@each_module
def test_only_messages_footprint_and_host_are_used_from_outside_the_engine(module: str):
    if not room_of(module).startswith("engine"):
        used = {name for name in modules_of(module) if room_of(name).startswith("engine")}
        assert {name for name in used if room_of(name) != "engine/host"} <= OF_THE_ENGINE


def test_everything_but_those_rooms_loads_without_torch():
    names = {name for name in MODULES if "__" not in name and room_of(name) not in WITH_TORCH}
    names -= WITH_EXTRAS
    script = f"import sys, {', '.join(sorted(names))}; sys.exit('torch' in sys.modules)"
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    run = subprocess.run([sys.executable, "-c", script], env=env)
    assert run.returncode == 0


def test_every_folder_of_modules_has_a_folder_of_tests():
    tests = Path(__file__).parent
    folders = {file.parent.relative_to(PACKAGE) for file in MODULES.values()}
    tested = {file.parent.relative_to(tests) for file in tests.rglob("test_*.py")}
    assert folders <= tested


def lines_of(room: str) -> int:
    return sum(
        MODULES[module].read_text().count("\n") for module in MODULES if room_of(module) == room
    )


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_keeps_to_its_number_of_lines(room: str):
    assert lines_of(room) <= LINES[room]


def test_a_file_that_prose_names_is_there():
    root = PACKAGE.parents[1]
    folders = [root / name for name in ("src", "tests", "bench")]
    here = [str(file) for folder in folders for file in folder.rglob("*.*")]
    here += [str(file) for file in root.glob("*.py")]
    elsewhere = {"chat_template_utils.py"}  # of transformers
    prose = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.[ch]"), *root.glob("docs/*.md")]
    for file in [*prose, root / "README.md", root / "CONTRIBUTING.md"]:
        for name in set(re.findall(r"`([\w/]+\.(?:py|c|h))`", file.read_text())) - elsewhere:
            assert any(path.endswith(f"/{name}") for path in here), f"{file}: {name}"


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


def test_a_circle_is_found():
    assert set(circle({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})) == {"a", "b", "c"}
