"""The interface of a model file to the engine, for every format."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Run
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minikin.model_file.folder.folder import SafetensorsFolder
from minikin.model_file.gguf import GGMLType, GGUFFile


class StoredTensor(Protocol):
    """The shape and type of a tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Outermost first."""
        ...

    @property
    def type(self) -> GGMLType:
        """How the numbers are packed."""
        ...


class ModelFile(Protocol):
    """An open model in GGUF's terms: keys, tensor names and types."""

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
        """The quantization method, if it is more than the type of the tensors."""
        ...

    @property
    def changed(self) -> Run[tuple[int, int]]:
        """When the bytes of each file last changed, and when anything did, in nanoseconds."""
        ...

    def data(self, name: str) -> np.ndarray:
        """The packed bytes of a tensor: a new uint8 [nbytes].

        Raises KeyError if unknown, ModelFileError if it is not readable.
        """
        ...

    def digest(self) -> str:
        """64 hex digits that identify this model, computed in milliseconds."""
        ...


def open_model_file(path: Path) -> ModelFile:
    """Open a GGUF file, the first of several parts, or a safetensors folder.

    Raises ModelFileError with the reason if it is none of them, or if it is not valid.
    """
    return SafetensorsFolder.open(path) if path.is_dir() else GGUFFile.open(path)
