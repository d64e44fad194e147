"""`minikin doctor`: what this machine computes with, and what would make it faster."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Annotated

import typer
from rich.table import Table

from minikin import __version__, machine
from minikin.cli.options import CacheOption, model_cache
from minikin.cli.output import console, errors, own_name, wide
from minikin.errors import SetupError
from minikin.hub.progress import readable_size


def doctor(
    compile_kernels: Annotated[
        bool,
        typer.Option(
            "--compile",
            allow_from_autoenv=False,
            help="First compile the native kernels for exactly this processor.",
        ),
    ] = False,
    cache: CacheOption = None,
) -> None:
    """Show what this machine computes with, and what would make it faster.

    Example:

    `minikin doctor`
    """
    if compile_kernels:
        _compile()
    models = model_cache(cache)
    names = [model.record.name for model in models.models()]
    processors = machine.processors()
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in (
        ("Minikin", f"{__version__}, Python {platform.python_version()}"),
        ("Processor", f"{machine.processor_name()}, {processors} for this process"),
        ("Memory", readable_size(machine.memory())),
        ("Native kernels", _kernels()),
        ("PyTorch", _pytorch() or "not installed (only a GPU or an unusual model needs it)"),
        ("Threads", f"{processors}, or --threads"),
        ("Models", ", ".join(names) or "none yet"),
        ("Cache", str(models.folder)),
    ):
        table.add_row(name, value)
    wide.print(table)
    for advice in _advice(names, processors):
        console.print(f"- {advice}", soft_wrap=True)


def _kernels() -> str:
    from minikin.engine.native.build import PREBUILT, expects_kernels, load_library, ready_file

    ready = ready_file()
    if ready is None:
        if expects_kernels():
            return "not compiled yet: the first start of a server compiles them, in seconds"
        return "none"
    library = load_library()
    origin = "from the package" if ready.parent == PREBUILT else "compiled for this processor"
    return f"{library.instructions().decode()}, {origin}" if library else "none"


def _pytorch() -> str | None:
    try:
        return version_of("torch")
    except PackageNotFoundError:
        return None


def _advice(models: list[str], processors: int) -> Iterator[str]:
    """What would make this machine faster, or the models better."""
    from minikin.engine.native.build import compilers, expects_kernels
    from minikin.engine.native.features import has_bfloat16
    from minikin.hub.known import better_model

    if not compilers():
        yield "The native kernels need Linux or macOS. PyTorch computes several times slower."
    elif not expects_kernels():
        yield f"Install {compilers()}: the native kernels are several times faster than PyTorch."
    if platform.machine() == "x86_64" and not has_bfloat16():
        yield (
            "This processor has no bfloat16 instructions. Prompts are several times faster on "
            "one with AMX or AVX-512 BF16 (Intel from Sapphire Rapids on, AMD from Zen 4 on)."
        )
    better = better_model(machine.memory(), processors)
    if better and better.name not in models:
        yield f"A better model fits this machine: {own_name()} pull {better.name}"


def _compile() -> None:
    from minikin.engine.native.build import compile_kernels

    errors.print("Compiling the native kernels for this processor. This takes some seconds.")
    try:
        compile_kernels()
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"The native kernels could not be compiled: {error}.") from error
