"""What a token costs in theory: bytes to read, operations to compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minikin.engine.model.architecture import Architecture
from minikin.model_file.gguf import GGUFFile


def bytes_a_token(model: Path) -> int:
    """Bytes of weights that a step of one token reads from memory, as the file has them."""
    file = GGUFFile.open(model)
    return sum(info.nbytes for info in file.tensors.values() if len(info.shape) > 1)


def operations_a_token(model: Path, prompt: int) -> float:
    """Operations for each token of a prompt; the head is computed for its last token only.

    Two for each weight, and for attention four for each value of a query and each token that it
    sees, half of the prompt on average.
    """
    file = GGUFFile.open(model)
    a = Architecture.read(file)
    weights = sum(
        int(np.prod(info.shape)) for name, info in file.tensors.items() if name.startswith("blk.")
    )
    attention = 4 * a.layers * a.heads * a.head_dim * prompt / 2
    return 2 * weights + attention
