"""A model kept as a Hugging Face folder, presented as a GGUF file would be."""

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
from minikin.model_file.folder.config import ConfigFields, Kind, head_dim, read_kind, read_shape
from minikin.model_file.folder.files import Folder, check_keys, json_object
from minikin.model_file.folder.rope import read_rope
from minikin.model_file.folder.shard import Shard
from minikin.model_file.folder.tensors import FolderTensor, FolderTensors
from minikin.model_file.folder.vocabulary import read_vocabulary
from minikin.model_file.gguf import GGMLType
from minikin.model_file.sampling import as_metadata

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_MOST_INDEX_BYTES = 16 * 1024 * 1024
_MOST_SHARDS = 512
"""Each is kept open; published models have up to 200."""


class Metadata(Mapping[str, Any]):
    """A folder's metadata, whose tokenizer is read when it is first asked for.

    It takes seconds, and what a list of models shows does without.
    """

    def __init__(self, shape: dict[str, Any], read_tokenizer: Callable[[], dict[str, Any]]) -> None:
        self._shape = shape
        self._tokenizer = cache(read_tokenizer)

    def __getitem__(self, key: str) -> Any:
        """KeyError if unknown; ModelFileError if the tokenizer can't be read."""
        return (self._tokenizer() if key.startswith("tokenizer.") else self._shape)[key]

    def __iter__(self) -> Iterator[str]:
        yield from self._shape
        yield from self._tokenizer()

    def __len__(self) -> int:
        return len(self._shape) + len(self._tokenizer())


class SafetensorsFolder:
    """An open folder: config.json, safetensors in one file or several, and a tokenizer.

    Tensors are read when asked for, and turned into GGUF's form then.
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
        """Under GGUF's keys; the tokenizer's are those of folder/vocabulary.py."""
        self.tensors: Mapping[str, FolderTensor] = MappingProxyType(tensors)
        self.quantization = quantization

    @classmethod
    def open(cls, path: Path) -> SafetensorsFolder:
        """Raises ModelFileError, saying why, if `path` is no whole and sound folder."""
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

        KeyError if unknown; ModelFileError if it can't be read.
        """
        return self.tensors[name].read()

    def digest(self) -> str:
        """64 hex digits that tell this model from others, found in milliseconds.

        SHA-256 over what config.json and the tokenizer say and over each shard's size, header and
        samples of its data.
        """
        digest = hashlib.sha256()
        for key, value in sorted(self.metadata.items()):
            digest.update(f"{key}={value if np.isscalar(value) else list(value)}".encode())
        for shard in self._shards:
            for sample in shard.samples(shard.header_bytes):
                digest.update(sample)
        return digest.hexdigest()


def check_config(path: Path) -> None:
    """Raise ModelFileError unless config.json, alone in the folder or not, is of a family known."""
    _read_config(Folder(path))


def _read_config(folder: Folder) -> tuple[ConfigFields, Kind, dict[str, Any]]:
    """What config.json says, for what family, and the model's shape. Raises ModelFileError."""
    config = folder.json("config.json")
    if config is None:
        with explained(folder.path):
            raise MalformedError("it has no config.json")
    fields = ConfigFields(config)
    kind = read_kind(fields)
    return fields, kind, read_shape(fields, kind)


def _made(values: np.ndarray) -> FolderTensor:
    """A tensor that follows from config.json."""
    return FolderTensor(values.shape, GGMLType.F32, lambda: values.view(np.uint8).copy())


def _open_shards(folder: Folder) -> list[Shard]:
    """All files that tensors lie in. Raises ModelFileError."""
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
    """The files that an index names, each with the tensors that it says. Raises ModelFileError."""
    with explained(folder.path / _INDEX):
        index = json_object(data)
        check_keys(data)
        homes = index.get("weight_map")
        if not isinstance(homes, dict) or not homes:
            raise MalformedError("it has no weight_map")
        if not all(isinstance(home, str) for home in homes.values()):
            raise MalformedError("its weight_map names files by what is no text")
        expected: dict[str, set[str]] = {}
        for tensor, home in homes.items():
            expected.setdefault(home, set()).add(tensor)
        if len(expected) > _MOST_SHARDS:
            raise MalformedError(f"it names {len(expected)} files; the most is {_MOST_SHARDS}")
    shards = {name: _named(folder, name) for name in sorted(expected)}
    with explained(folder.path / _INDEX):
        for name, shard in shards.items():
            for tensor in sorted(expected[name] ^ shard.tensors.keys()):
                fault = "lacks" if tensor in expected[name] else "has, against the index,"
                raise MalformedError(f"{shown(name)} {fault} the tensor {shown(tensor)}")
    return [*shards.values()]


def _named(folder: Folder, name: str) -> Shard:
    path = folder.find(name)
    if path is None:
        with explained(folder.path / _INDEX):
            raise MalformedError(f"it names {shown(name)}, which is not there")
    return Shard(path)
