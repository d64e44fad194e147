"""What the engine asks of a model's file, whatever its form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minikin.model_file.folder.folder import SafetensorsFolder
from minikin.model_file.gguf import GGMLType, GGUFFile


class StoredTensor(Protocol):
    """A tensor's outside."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Outermost first."""
        ...

    @property
    def type(self) -> GGMLType:
        """How its numbers are packed."""
        ...


class ModelFile(Protocol):
    """An open model, in GGUF's terms: its keys, its names of tensors, its types."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Key -> bool, int, float, str, list of str, or numpy array of numbers or bools."""
        ...

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """By name."""
        ...

    @property
    def quantization(self) -> str | None:
        """The method by which it was quantized, if that isn't just the type of its tensors."""
        ...

    def data(self, name: str) -> np.ndarray:
        """The packed bytes of a tensor: a new uint8 [nbytes].

        KeyError if unknown; ModelFileError if it can't be read.
        """
        ...

    def digest(self) -> str:
        """64 hex digits that tell this model from others, found in milliseconds."""
        ...


def open_model_file(path: Path) -> ModelFile:
    """A GGUF file, the first of several parts, or a folder of safetensors.

    Raises ModelFileError, saying why, if it is none of them or not whole and sound.
    """
    return SafetensorsFolder.open(path) if path.is_dir() else GGUFFile.open(path)
