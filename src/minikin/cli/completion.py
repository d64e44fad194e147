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

    Write it where the shell looks for such scripts, then start a new shell. zsh looks in ~/.zfunc
    if ~/.zshrc has the line `fpath+=~/.zfunc` before `compinit`.

    Examples:

    `mkdir -p ~/.local/share/bash-completion/completions`

    `minikin completion bash > ~/.local/share/bash-completion/completions/minikin`

    `mkdir -p ~/.zfunc`

    `minikin completion zsh > ~/.zfunc/_minikin`

    `mkdir -p ~/.config/fish/completions`

    `minikin completion fish > ~/.config/fish/completions/minikin.fish`
    """
    names = {"prog_name": "minikin", "complete_var": "_MINIKIN_COMPLETE"}
    print(get_completion_script(shell=shell, **names))
