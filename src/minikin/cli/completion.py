"""`minikin completion`: what makes a shell complete commands and options with Tab."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from typer.completion import get_completion_script  # pyright: ignore[reportPrivateImportUsage]

_Shell = Annotated[
    Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")
]


def completion(shell: _Shell) -> None:
    """Print a script with which a shell completes commands and options.

    Examples:

    `minikin completion bash > ~/.local/share/bash-completion/completions/minikin`

    `minikin completion zsh > ~/.zfunc/_minikin`

    `minikin completion fish > ~/.config/fish/completions/minikin.fish`
    """
    names = {"prog_name": "minikin", "complete_var": "_MINIKIN_COMPLETE"}
    print(get_completion_script(shell=shell, **names))
