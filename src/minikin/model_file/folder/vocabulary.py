"""The tokenizer of a folder, under GGUF's keys.

Tokens, types, merges and scores have GGUF's keys. GGUF has no keys for the rest of tokenizer.json.
It is stored as JSON under `tokenizer.huggingface.json`, and huggingface.py makes an encoder from
it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.folder.added import AddedToken, mark_added, numbered
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.files import Folder
from minikin.model_file.folder.sentencepiece_model import read_sentencepiece
from minikin.tokenizer.vocabulary import TokenType

_MOST_TOKENIZER_BYTES = 64 * 1024 * 1024
"""The largest known tokenizer is Gemma 3's, with 33 MB."""
_BYTES = frozenset(f"<0x{byte:02X}>" for byte in range(256))


def read_vocabulary(folder: Folder, fields: ConfigFields, size: int) -> dict[str, Any]:
    """GGUF key -> value, for a model with embeddings of `size` tokens.

    Raises ModelFileError if the tokenizer is missing, broken or not supported.
    """
    settings = folder.json("tokenizer_config.json", 8 * 1024 * 1024) or {}
    stated = folder.json("tokenizer.json", _MOST_TOKENIZER_BYTES)
    if stated is not None:
        metadata = _from_json(stated, size)
    elif (data := folder.read("tokenizer.model", _MOST_TOKENIZER_BYTES)) is not None:
        metadata = read_sentencepiece(data, _listed(settings), size)
    else:
        raise ModelFileError(f"The folder {folder.path} has no tokenizer.json or tokenizer.model.")
    metadata |= _special_tokens(folder, fields, settings, metadata["tokenizer.ggml.tokens"])
    if isinstance(add_bos := settings.get("add_bos_token"), bool):
        metadata["tokenizer.ggml.add_bos_token"] = add_bos
    if (template := _chat_template(folder, settings)) is not None:
        metadata["tokenizer.chat_template"] = template
    return metadata


def _from_json(stated: dict[str, Any], size: int) -> dict[str, Any]:
    model = stated.get("model")
    if not isinstance(model, dict):
        raise _odd("model", model)
    kind = model.get("type", "BPE" if "merges" in model else None)
    types = np.full(size, TokenType.UNUSED, dtype=np.int32)
    metadata: dict[str, Any] = {"tokenizer.ggml.model": "huggingface"}
    if kind == "BPE":
        tokens = _ids(model.get("vocab"), size)
        metadata["tokenizer.ggml.merges"] = _merges(model.get("merges"))
        unknown = next((i for i, t in tokens.items() if t == model.get("unk_token")), None)
    elif kind == "Unigram":
        tokens, scores = _scored(model.get("vocab"), size)
        metadata["tokenizer.ggml.scores"] = scores
        unknown = model.get("unk_id")
        if unknown is not None and (type(unknown) is not int or unknown not in tokens):
            raise _odd("model.unk_id", unknown)
    else:
        raise ModelFileError(
            f"The folder has the unsupported tokenizer {str(kind)[:64]!a}. Supported: BPE, Unigram."
        )
    types[[*tokens]] = TokenType.NORMAL
    if model.get("byte_fallback") is True:
        types[[i for i, token in tokens.items() if token in _BYTES]] = TokenType.BYTE
    if unknown is not None:
        types[unknown] = TokenType.UNKNOWN
    added = mark_added(_added(stated.get("added_tokens")), tokens, types)
    rest = {name: value for name, value in model.items() if name not in ("vocab", "merges")}
    pieces = {name: stated.get(name) for name in ("normalizer", "pre_tokenizer")}
    lasting = [token for token in added if token.lstrip or token.rstrip or not token.special]
    shown = {**pieces, "model": rest | {"type": kind}, "added_tokens": lasting}
    return metadata | {
        "tokenizer.ggml.tokens": numbered(tokens, size),
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.add_bos_token": _starts_with_token(stated.get("post_processor")),
        "tokenizer.huggingface.json": msgspec.json.encode(shown).decode(),
    }


def _ids(vocab: Any, size: int) -> dict[int, str]:
    if not isinstance(vocab, dict) or not vocab:
        raise _odd("model.vocab", vocab)
    if not all(type(i) is int and 0 <= i < size for i in vocab.values()):
        raise ModelFileError(f"The tokenizer has ids outside 0 to {size - 1}.")
    tokens = {i: token for token, i in vocab.items()}
    if len(tokens) < len(vocab):
        raise ModelFileError("The tokenizer has two tokens with the same id.")
    return tokens


def _scored(vocab: Any, size: int) -> tuple[dict[int, str], np.ndarray]:
    """Tokens by id, and their scores: float64 [size]."""
    if not isinstance(vocab, list) or not 0 < len(vocab) <= size:
        raise _odd("model.vocab", vocab)
    try:
        pairs = msgspec.convert(vocab, list[tuple[str, float]])
    except msgspec.ValidationError as error:
        raise _odd("model.vocab", vocab) from error
    scores = np.zeros(size)
    scores[: len(pairs)] = [score for _, score in pairs]
    return {i: token for i, (token, _) in enumerate(pairs)}, scores


def _merges(merges: Any) -> list[str]:
    """In GGUF's format: both parts with a space between them."""
    try:
        pairs = msgspec.convert(merges, list[str | tuple[str, str]])
    except msgspec.ValidationError as error:
        raise _odd("model.merges", merges) from error
    lines = [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]
    for line in lines:
        if line.count(" ") != 1:
            raise _odd("model.merges", line)
    return lines


def _added(added: Any) -> list[AddedToken]:
    try:
        return msgspec.convert(added or [], list[AddedToken])
    except msgspec.ValidationError as error:
        raise ModelFileError(f"tokenizer.json's added_tokens is not valid: {error}.") from error


def _listed(settings: dict[str, Any]) -> list[AddedToken]:
    """The added tokens that tokenizer_config.json lists."""
    listed = settings.get("added_tokens_decoder") or {}
    if not isinstance(listed, dict):
        raise ModelFileError("tokenizer_config.json's added_tokens_decoder is not an object.")
    entries = [
        {**token, "id": int(i)} if isinstance(token, dict) and i.isdecimal() and len(i) < 9 else i
        for i, token in listed.items()
    ]
    return _added(entries)


def _starts_with_token(processor: Any) -> bool:
    """Whether tokenizer.json puts a token before a single text."""
    if not isinstance(processor, dict):
        return False
    if processor.get("type") == "Sequence" and isinstance(processor.get("processors"), list):
        return any(_starts_with_token(part) for part in processor["processors"])
    single = processor.get("single")
    first = single[0] if isinstance(single, list) and single else None
    return isinstance(first, dict) and "SpecialToken" in first


def _special_tokens(
    folder: Folder, fields: ConfigFields, settings: dict[str, Any], tokens: list[str]
) -> dict[str, Any]:
    """The ids of the first token, of the last token, and of all tokens that end an answer."""
    ids = {token: i for i, token in enumerate(tokens)}
    older = folder.json("special_tokens_map.json") or {}
    generation = ConfigFields(folder.json("generation_config.json") or {})
    special: dict[str, Any] = {}
    for name in ("bos", "eos"):
        token = settings.get(f"{name}_token", older.get(f"{name}_token"))
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and text in ids:
            special[f"tokenizer.ggml.{name}_token_id"] = ids[text]
    ends = _end_ids(generation, len(tokens)) or _end_ids(fields, len(tokens))
    if ends:
        special["tokenizer.end_token_ids"] = np.array(ends)
        special.setdefault("tokenizer.ggml.eos_token_id", ends[0])
    return special


def _end_ids(fields: ConfigFields, count: int) -> list[int]:
    value = fields.get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if len(ids) > 1024 or not all(type(i) is int and 0 <= i < count for i in ids):
        raise ModelFileError(f"The folder's eos_token_id can't be {ascii(value)[:64]}.")
    return ids


def _chat_template(folder: Folder, settings: dict[str, Any]) -> str | None:
    """The template for conversations, from its possible places, newest first."""
    if (text := folder.text("chat_template.jinja")) is not None:
        return text
    template = settings.get("chat_template")
    if template is None:
        template = (folder.json("chat_template.json") or {}).get("chat_template")
    if isinstance(template, list):  # several templates by name; "default" is for conversations
        named = {one.get("name"): one.get("template") for one in template if isinstance(one, dict)}
        template = named.get("default")
    if template is not None and not isinstance(template, str):
        raise ModelFileError("The folder's chat_template is not a string.")
    return template


def _odd(name: str, value: Any) -> ModelFileError:
    return ModelFileError(f"tokenizer.json's {name} can't be {ascii(value)[:64]}.")
