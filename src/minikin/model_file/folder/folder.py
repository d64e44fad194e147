"""A model in a Hugging Face folder, presented as a GGUF file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Run
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from minikin.model_file.data_file import MalformedError, explained, shown
from minikin.model_file.folder.config import (
    ConfigFields,
    head_dim,
    read_kind,
    read_shape,
    text_fields,
)
from minikin.model_file.folder.files import Folder, check_keys, json_object
from minikin.model_file.folder.gemma4 import gemma4_fields, gemma4_shape
from minikin.model_file.folder.hybrid import state_shape, usual_fields
from minikin.model_file.folder.kinds import Kind
from minikin.model_file.folder.latent import latent_fields, latent_shape
from minikin.model_file.folder.rope import read_rope
from minikin.model_file.folder.shard import Shard
from minikin.model_file.folder.tensors import FolderTensor, FolderTensors
from minikin.model_file.folder.vocabulary import read_vocabulary
from minikin.model_file.gguf import GGMLType
from minikin.model_file.sampling import as_metadata

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_MOST_INDEX_BYTES = 16 * 1024 * 1024
_MOST_SHARDS = 512
"""Each file stays open. Published models have up to 200."""


class Metadata(Mapping[str, Any]):
    """The metadata of a folder. The tokenizer is read on first use.

    Reading it takes seconds, and the list of models does not need it.
    """

    def __init__(self, shape: dict[str, Any], read_tokenizer: Callable[[], dict[str, Any]]) -> None:
        self._shape = shape
        self._tokenizer = cache(read_tokenizer)

    def __getitem__(self, key: str) -> Any:
        """Raises KeyError if unknown, ModelFileError if the tokenizer is not valid."""
        return (self._tokenizer() if key.startswith("tokenizer.") else self._shape)[key]

    def __iter__(self) -> Iterator[str]:
        yield from self._shape
        yield from self._tokenizer()

    def __len__(self) -> int:
        return len(self._shape) + len(self._tokenizer())


class SafetensorsFolder:
    """An open folder: config.json, one or more safetensors files, and a tokenizer.

    Tensors are read on request, and then converted to GGUF's format.
    """

    def __init__(
        self,
        shards: Run[Shard],
        metadata: Mapping[str, Any],
        tensors: dict[str, FolderTensor],
        quantization: str | None,
    ) -> None:
        self._shards = shards
        self.metadata = metadata
        """Under GGUF's keys. Those of the tokenizer are in folder/vocabulary.py."""
        self.tensors: Mapping[str, FolderTensor] = MappingProxyType(tensors)
        self.quantization = quantization
        self.changed = [shard.changed for shard in shards]
        """See `ModelFile`."""

    @classmethod
    def open(cls, path: Path) -> SafetensorsFolder:
        """Open the folder. Raises ModelFileError with the reason if it is not valid."""
        folder = Folder(path)
        fields, kind, shape = _read_config(folder)
        turned, factors = read_rope(fields, kind)
        shape |= turned
        shards = _open_shards(folder)
        maker = FolderTensors(shards, fields, kind, head_dim(fields, kind))
        tensors = maker.read() | {name: _made(values) for name, values in factors.items()}
        metadata = {f"{kind.arch}.{key}": value for key, value in shape.items()}
        metadata["general.architecture"] = kind.arch
        metadata |= as_metadata(folder.json("generation_config.json") or {})
        read_tokenizer = partial(read_vocabulary, folder, fields, shape["vocab_size"])
        return cls(shards, Metadata(metadata, read_tokenizer), tensors, maker.quantization)

    def data(self, name: str) -> np.ndarray:
        """The packed bytes of a tensor: a new uint8 [nbytes].

        Raises KeyError if unknown, ModelFileError if it is not readable.
        """
        return self.tensors[name].read()

    def digest(self) -> str:
        """64 hex digits that identify this model, computed in milliseconds.

        SHA-256 of config.json, the tokenizer, and the size, the header and samples of the data of
        each shard.
        """
        digest = hashlib.sha256()
        for key, value in sorted(self.metadata.items()):
            digest.update(f"{key}={value if np.isscalar(value) else list(value)}".encode())
        for shard in self._shards:
            for sample in shard.samples(shard.header_bytes):
                digest.update(sample)
        return digest.hexdigest()


def check_config(path: Path) -> None:
    """Raise ModelFileError if config.json is missing or of an unsupported family."""
    _read_config(Folder(path))


def _read_config(folder: Folder) -> tuple[ConfigFields, Kind, dict[str, Any]]:
    """The fields of config.json, its family and the model's shape. Raises ModelFileError."""
    config = folder.json("config.json")
    if config is None:
        with explained(folder.path):
            raise MalformedError("it has no config.json")
    fields = text_fields(ConfigFields(config))
    kind = read_kind(fields)
    fields = gemma4_fields(latent_fields(usual_fields(fields, kind), kind), kind)
    shape = read_shape(fields, kind)
    for more in (state_shape, latent_shape, gemma4_shape):
        shape |= more(fields, kind)
    return fields, kind, shape


def _made(values: np.ndarray) -> FolderTensor:
    """A tensor computed from config.json."""
    return FolderTensor(values.shape, GGMLType.F32, lambda: values.view(np.uint8).copy())


def _open_shards(folder: Folder) -> list[Shard]:
    """All files that contain tensors. Raises ModelFileError."""
    if (path := folder.find(_SINGLE)) is not None:
        return [Shard(path)]
    data = folder.read(_INDEX, _MOST_INDEX_BYTES)
    if data is not None:
        return _indexed(folder, data)
    names = folder.names(".safetensors")
    if len(names) != 1 or (path := folder.find(names[0])) is None:
        with explained(folder.path):
            raise MalformedError(f"it has no {_SINGLE} and no {_INDEX}")
    return [Shard(path)]


def _indexed(folder: Folder, data: bytes) -> list[Shard]:
    """The files in an index, checked for their tensors. Raises ModelFileError."""
    with explained(folder.path / _INDEX):
        index = json_object(data)
        check_keys(data)
        homes = index.get("weight_map")
        if not isinstance(homes, dict) or not homes:
            raise MalformedError("it has no weight_map")
        if not all(isinstance(home, str) for home in homes.values()):
            raise MalformedError("its weight_map has a file name that is not a string")
        expected: dict[str, set[str]] = {}
        for tensor, home in homes.items():
            expected.setdefault(home, set()).add(tensor)
        if len(expected) > _MOST_SHARDS:
            raise MalformedError(f"it names {len(expected)} files. The maximum is {_MOST_SHARDS}")
    shards = {name: _named(folder, name) for name in sorted(expected)}
    with explained(folder.path / _INDEX):
        for name, shard in shards.items():
            for tensor in sorted(expected[name] ^ shard.tensors.keys()):
                fault = "lacks" if tensor in expected[name] else "has, unlike the index,"
                raise MalformedError(f"{shown(name)} {fault} the tensor {shown(tensor)}")
    return [*shards.values()]


def _named(folder: Folder, name: str) -> Shard:
    path = folder.find(name)
    if path is None:
        with explained(folder.path / _INDEX):
            raise MalformedError(f"it names {shown(name)}, which is missing")
    return Shard(path)
