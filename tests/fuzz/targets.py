"""What the fuzzer calls with any bytes. Only Minikin's own errors may come back."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

from minikin.api.completions.translate import translate as translate_completion
from minikin.api.http.bodies import decode_json
from minikin.api.request.translate import Limits, translate
from minikin.api.responses.translate import read
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.footprint import footprint
from minikin.model_file.folder.folder import SafetensorsFolder
from minikin.model_file.model_file import ModelFile, open_model_file
from minikin.model_file.sampling import recommended_sampling
from minikin.tokenizer.tokenizer import Tokenizer
from tests.api.request.test_mutations import FULL, RESPONSE
from tests.attacks.mutation import CHAT, RESPONSES
from tests.engine.tiny_folders import byte_tokenizer, write_tokenizer
from tests.fuzz.folders import AWQ, CONFIG, GPTQ, INDEX, UNIGRAM, safetensors
from tests.fuzz.target import Target, change_json, refusals, scratch
from tests.fuzz.templates import TEMPLATE
from tests.model_file.test_hostile_gguf import corrupted, fields, load

LIMITS = Limits(models=frozenset({"gpt-4.1-mini"}), extensions=True)
TEXT = "ab <|im_end|> é\0"


def gguf(data: bytes) -> None:
    """A model file, with its tensors and its tokenizer."""
    path = scratch() / "model.gguf"
    path.write_bytes(data)
    with refusals():
        _describe(open_model_file(path))
    with refusals():
        load(path)


def _describe(file: ModelFile) -> None:
    """Read what the server and the list of models read. Each can refuse."""
    recommended_sampling(file.metadata)
    footprint(file)
    Architecture.read(file)


SPELLED = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
    "model.safetensors", "model.safetensors.index.json", "chat_template.jinja",
)  # fmt: skip
"""The file that the first byte of an input names."""


def folder(data: bytes) -> None:
    """A Hugging Face folder, one file of which is the data."""
    path = scratch() / "folder"
    _write_sound(path)
    if data:
        (path / SPELLED[data[0] % len(SPELLED)]).write_bytes(data[1:])
    with refusals():
        file = SafetensorsFolder.open(path)
        with refusals():
            _describe(file)
        for name in list(file.tensors)[:4]:
            file.data(name)
        Tokenizer.from_gguf(file.metadata).encode(TEXT)


def _write_sound(path: Path) -> None:
    path.mkdir(exist_ok=True)
    for old in path.iterdir():
        old.unlink()
    write_tokenizer(path)
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "model.safetensors").write_bytes(safetensors())


def _folder_seeds() -> list[bytes]:
    _write_sound(path := scratch() / "seeds")
    files = [(name, (path / name).read_bytes()) for name in SPELLED if (path / name).exists()]
    files += [("config.json", json.dumps(CONFIG | more).encode()) for more in (AWQ, GPTQ)]
    files += [("model.safetensors.index.json", json.dumps(INDEX).encode())]
    files += [("model.safetensors", safetensors()[:64])]
    return [bytes([SPELLED.index(name)]) + content for name, content in files]


def _change_file(data: bytes, chance: random.Random) -> bytes | None:
    """Change a value of a JSON file, or of the header of a safetensors file."""
    if data[:1] != bytes([SPELLED.index("model.safetensors")]):
        return change_json(data, chance, prefix=1)
    size = int.from_bytes(data[1:9], "little")
    changed = change_json(data[9 : 9 + size], chance)
    if changed is None:
        return None
    return data[:1] + len(changed).to_bytes(8, "little") + changed + data[9 + size :]


def tokenizer(data: bytes) -> None:
    """A tokenizer.json, as the translation of a folder passes it on."""
    path = scratch() / "tokenizer"
    _write_sound(path)
    (path / "tokenizer.json").write_bytes(data)
    with refusals():
        made = Tokenizer.from_gguf(SafetensorsFolder.open(path).metadata)
        made.decode(made.encode(TEXT))


_READERS = (translate, read, translate_completion)
"""The body that the first byte of an input is for: a chat completion, a response, a completion."""


def body(data: bytes) -> None:
    """The body of a request."""
    with refusals():
        _READERS[data[0] % 3 if data else 0](decode_json(data[1:]), LIMITS)


def _body_seeds() -> list[bytes]:
    named = {"model": "gpt-4.1-mini"}
    bodies: list[tuple[int, dict[str, Any]]] = [(0, FULL), (1, RESPONSE)]
    bodies += [(0, each | named) for each in CHAT] + [(1, each | named) for each in RESPONSES]
    bodies.append((2, named | {"prompt": ["a", "b"], "echo": True, "logprobs": 2, "suffix": None}))
    return [bytes([kind]) + json.dumps(each).encode() for kind, each in bodies]


TARGETS = {
    "gguf": Target(gguf, lambda: [b"".join(fields()), *corrupted(60)]),
    "folder": Target(folder, _folder_seeds, most=40_000, change=_change_file),
    "tokenizer": Target(
        tokenizer,
        lambda: [json.dumps(each).encode() for each in (byte_tokenizer(), UNIGRAM)],
        most=16_384,
        change=change_json,
    ),
    "body": Target(body, _body_seeds, change=partial(change_json, prefix=1)),
    "template": TEMPLATE,
}
