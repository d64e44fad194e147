from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import sentencepiece
from sentencepiece import SentencePieceProcessor as Processor

from minikin.engine.detokenizer import Detokenizer
from minikin.errors import ModelFileError
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.files import Folder
from minikin.model_file.folder.vocabulary import read_vocabulary
from minikin.model_file.gguf import GGUFFile
from minikin.tokenizer.tokenizer import Tokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
USER_DEFINED_TOKENS = ["▁▁", "▁▁▁▁", "\n\n", "<h1>"]


def train(code: str, **options: Any) -> bytes:
    """A small SentencePiece model with byte fallback and user-defined tokens, as Gemma has."""
    model = io.BytesIO()
    defaults = {
        "vocab_size": 900, "model_type": "bpe", "byte_fallback": True, "character_coverage": 0.99,
        "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
        "add_dummy_prefix": False, "user_defined_symbols": USER_DEFINED_TOKENS,
        "control_symbols": ["<start_of_turn>", "<end_of_turn>"], "minloglevel": 2,
    }  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*code.splitlines(), "日本語のテキスト、中文文本。" * 5]),
        model_writer=model,
        **defaults | options,
    )
    return model.getvalue()


def type_of(model: Processor, token_id: int) -> int:
    if model.IdToPiece(token_id) in USER_DEFINED_TOKENS:
        return USER_DEFINED
    kinds = {BYTE: model.IsByte, CONTROL: model.IsControl, UNKNOWN: model.IsUnknown}
    return next((kind for kind, holds in kinds.items() if holds(token_id)), NORMAL)


def write_gguf(path: Path, proto: bytes, spec: dict[int, Any], kind: str) -> None:
    """As converters do: user-defined tokens have plain spaces in them."""
    model = Processor(model_proto=proto)
    ids = range(model.vocab_size())
    tokens = [model.IdToPiece(i) for i in ids]
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre("default")
    writer.add_token_list(
        [text.replace("▁", " ") if text in USER_DEFINED_TOKENS else text for text in tokens]
    )
    writer.add_token_scores([model.GetScore(i) for i in ids])
    writer.add_token_types([gguf.TokenType(type_of(model, i)) for i in ids])
    writer.add_bos_token_id(model.bos_id())
    writer.add_eos_token_id(model.eos_id())
    writer.add_add_space_prefix(bool(spec[PREFIX]))
    writer.add_remove_extra_whitespaces(bool(spec[NO_EXTRA]))
    if spec.get(CHARSMAP):
        writer.add_precompiled_charsmap(spec[CHARSMAP])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


PREFIX, NO_EXTRA, CHARSMAP = 3, 4, 2
"""Fields of the NormalizerSpec in SentencePiece's model, which is field 3 of the whole."""


def fields(proto: bytes) -> dict[int, Any]:
    """The last value of each top-level field of a protobuf message."""
    stream = io.BytesIO(proto)
    found: dict[int, Any] = {}
    while stream.tell() < len(proto):
        key = varint(stream)
        kind = key & 7
        found[key >> 3] = (
            varint(stream) if kind == 0 else stream.read(varint(stream) if kind == 2 else 4)
        )
    return found


def varint(stream: io.BytesIO) -> int:
    value = shift = 0
    while (byte := stream.read(1)[0]) & 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
    return value | byte << shift


def metadata_of(path: Path, proto: bytes, kind: str) -> dict[str, Any]:
    spec = {PREFIX: 1, NO_EXTRA: 1} | fields(fields(proto)[3])
    write_gguf(path, proto, spec, kind)
    return dict(GGUFFile.open(path).metadata)


@pytest.fixture(scope="module", params=["llama", "t5"])
def module_metadata(
    request: pytest.FixtureRequest, code: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    kind = "bpe" if request.param == "llama" else "unigram"
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    return metadata_of(path, train(code, model_type=kind), request.param)


@pytest.fixture
def metadata(module_metadata: dict[str, Any]) -> dict[str, Any]:
    return dict(module_metadata)


NMT = {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True}
MODELS: dict[str, dict[str, Any]] = {
    "as Gemma": {},
    "as Llama 2": {"add_dummy_prefix": True},
    "a character map": {"add_dummy_prefix": True} | NMT,
    "unigram": {"model_type": "unigram"},
    "unigram with space prefix": {"model_type": "unigram", "add_dummy_prefix": True},
    "unigram as T5": {"model_type": "unigram", "add_dummy_prefix": True, "byte_fallback": False}
    | NMT,
    "unigram with tokens across words": {"model_type": "unigram", "split_by_whitespace": False},
}


def spelled(tokenizer: Tokenizer, ids: list[int], text: str) -> bool:
    """Whether the whole characters of each token stand in the text where the token begins."""
    begins = list(tokenizer.starts(ids))
    pieces = [tokenizer.token_bytes(token).decode(errors="ignore") for token in ids]
    if pieces and not text.startswith(pieces[0]):  # `encode` added a space
        pieces[0] = pieces[0].removeprefix(" ")
    return all(text[at:].startswith(piece) for at, piece in zip(begins, pieces, strict=True))


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_a_model_agrees_with_sentencepiece(
    options: dict[str, Any], code: str, varied_texts: list[str], tmp_path: Path
) -> None:
    proto = train(code, **options)
    model = Processor(model_proto=proto)
    kind = "t5" if options.get("model_type") == "unigram" else "llama"
    tokenizer = Tokenizer.from_gguf(metadata_of(tmp_path / "model.gguf", proto, kind))
    keeps_all = options.get("byte_fallback", True) and "normalization_rule_name" not in options

    ties = 0
    for text in varied_texts:
        ids = tokenizer.encode(text)
        expected = model.Encode(text)
        # The same tokens in another order have the same score, up to SentencePiece's rounding.
        ties += kind == "t5" and ids != expected
        assert ids == expected or (kind == "t5" and sorted(ids) == sorted(expected))
        if keeps_all:
            assert tokenizer.decode(ids) == text == streamed(tokenizer, ids)
            assert spelled(tokenizer, ids, text)
        elif model.unk_id() not in ids:
            assert tokenizer.decode(ids) == model.Decode(ids)
    assert ties <= len(varied_texts) // 40


def streamed(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Token by token, where a text's first space stays: it may follow on another text."""
    detokenizer = Detokenizer(tokenizer)
    text = "".join(map(detokenizer.add, ids)) + detokenizer.flush()
    return text.removeprefix(" ") if tokenizer.decode(ids) != text else text


def test_text_never_becomes_a_control_or_byte_token(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)
    text = "<s></s><unk><start_of_turn>user<0x41><end_of_turn>"
    control = set(tokenizer.control_tokens.values())

    assert tokenizer.control_tokens.keys() == {
        "<unk>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>"
    }  # fmt: skip
    assert not control & set(tokenizer.encode(text))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_end_tokens_are_those_of_the_family(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)

    assert {"</s>", "<end_of_turn>"} == {
        text for text, i in tokenizer.control_tokens.items() if i in tokenizer.eos_ids
    }
    assert tokenizer.add_bos is (metadata["tokenizer.ggml.model"] == "llama")


def test_byte_tokens_give_their_byte(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)
    ids = tokenizer.encode("🎉")

    assert [tokenizer.token_bytes(i) for i in ids] == [b"\xf0", b"\x9f", b"\x8e", b"\x89"]


@pytest.mark.parametrize(
    "text", ["x" * 500_000, " " * 500_000 + "x", "日" * 200_000, "ab" * 300_000, "🎉" * 100_000]
)
def test_long_runs_take_linear_time(metadata: dict[str, Any], text: str) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)
    started = time.process_time()

    ids = tokenizer.encode(text)

    assert time.process_time() - started < 4, "quadratic would take minutes"
    assert tokenizer.decode(ids) == text


def test_a_model_without_scores_is_refused(metadata: dict[str, Any]) -> None:
    del metadata["tokenizer.ggml.scores"]

    with pytest.raises(ModelFileError, match=r"no tokenizer\.ggml\.scores"):
        Tokenizer.from_gguf(metadata)


def test_scores_of_another_length_are_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="scores is not an array of 900 numbers"):
        Tokenizer.from_gguf(metadata | {"tokenizer.ggml.scores": np.zeros(3)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_numbers_are_rejected(metadata: dict[str, Any], value: float) -> None:
    metadata["tokenizer.ggml.scores"] = metadata["tokenizer.ggml.scores"].copy()
    metadata["tokenizer.ggml.scores"][-1] = value

    with pytest.raises(ModelFileError, match="scores has a value that is not a finite number"):
        Tokenizer.from_gguf(metadata)


def test_huge_scores_are_used(metadata: dict[str, Any]) -> None:
    scores = np.where(np.arange(900) % 2, np.float32(3e38), np.float32(-3e38))

    tokenizer = Tokenizer.from_gguf(metadata | {"tokenizer.ggml.scores": scores})

    assert tokenizer.decode(tokenizer.encode("Hello wörld")) == "Hello wörld"


def test_a_model_without_a_byte_token(metadata: dict[str, Any]) -> None:
    tokens = ["x" if token == "<0x41>" else token for token in metadata["tokenizer.ggml.tokens"]]
    tokens[tokens.index("x")] = "<0x4>"
    metadata["tokenizer.ggml.tokens"] = tokens

    if metadata["tokenizer.ggml.model"] == "t5":
        assert Tokenizer.from_gguf(metadata).encode("🎉") == [tokens.index("<unk>")]
    else:
        with pytest.raises(ModelFileError, match="lacks the byte token <0x41>"):
            Tokenizer.from_gguf(metadata)


def test_a_unigram_model_needs_an_unknown_token(metadata: dict[str, Any]) -> None:
    types = np.where(metadata["tokenizer.ggml.token_type"] == UNKNOWN, CONTROL, NORMAL)

    with pytest.raises(ModelFileError, match="has no unknown token"):
        Tokenizer.from_gguf(
            metadata | {"tokenizer.ggml.token_type": types, "tokenizer.ggml.model": "t5"}
        )


def test_every_file_is_used_or_rejected(
    metadata: dict[str, Any], spoilt: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]
) -> None:
    tokenizer_keys = {k: v for k, v in metadata.items() if k.startswith("tokenizer")}
    tokenizer_keys["tokenizer.ggml.precompiled_charsmap"] = None
    used = 0
    for broken in spoilt(tokenizer_keys):
        try:
            tokenizer = Tokenizer.from_gguf(broken)
        except ModelFileError:
            continue
        used += 1
        tokenizer.decode(tokenizer.encode("Hello <|im_end|> wörld"))
        tokenizer.token_bytes(tokenizer.vocab_size - 1)
    assert used


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("prefix", [False, True])
def test_a_folder_with_only_a_sentencepiece_model_encodes_as_its_library(
    kind: str, prefix: bool, code: str, varied_texts: list[str], tmp_path: Path
) -> None:
    proto = train(code, model_type=kind, add_dummy_prefix=prefix)
    (tmp_path / "tokenizer.model").write_bytes(proto)
    reference = Processor(model_proto=proto)
    size = reference.vocab_size() + 24
    tokenizer = Tokenizer.from_gguf(read_vocabulary(Folder(tmp_path), ConfigFields({}), size))

    same = sum(tokenizer.encode(text) == reference.Encode(text) for text in varied_texts[:300])
    assert same == 300 if kind == "bpe" else same > 290, "rounding decides ties of unigram"
    assert tokenizer.bos_id == reference.bos_id()
    assert reference.eos_id() in tokenizer.eos_ids
    assert tokenizer.add_bos is (kind == "bpe")


@pytest.mark.parametrize("marker", ["<start_of_turn>", "<end_of_turn>"])
def test_a_turn_marker_that_is_typed_as_ordinary_is_control(
    metadata: dict[str, Any], marker: str
) -> None:
    types = metadata["tokenizer.ggml.token_type"].copy()
    token = metadata["tokenizer.ggml.tokens"].index(marker)
    types[token] = NORMAL
    template = "{{ '<start_of_turn>' + messages[0].content + '<end_of_turn>' }}"
    changed = {"tokenizer.ggml.token_type": types, "tokenizer.chat_template": template}
    tokenizer = Tokenizer.from_gguf(metadata | changed)

    assert tokenizer.encode_pieces([(marker, True)]) == [token]
    assert token not in tokenizer.encode(marker)
    assert (token in tokenizer.eos_ids) == (marker == "<end_of_turn>")


@pytest.mark.parametrize(
    ("named", "strips"),
    [
        ({"general.architecture": "phi3"}, True),
        ({"general.architecture": "llama", "general.name": "Phi 3 Mini 4k"}, True),
        ({"general.architecture": "llama", "general.name": "Phi-3.5-mini"}, True),
        ({"general.architecture": "llama", "general.name": "Llama"}, False),
    ],
)
def test_markers_of_phi_3_remove_the_white_space_after_them(
    metadata: dict[str, Any], named: dict[str, str], strips: bool
) -> None:
    tokenizer = Tokenizer.from_gguf(metadata | named)
    turn, start = "<start_of_turn>", "<s>"
    plain = tokenizer.encode_pieces([(turn, True), ("Hi", False)])

    for space in ("\n", " ", "\n\n\t "):
        spaced = tokenizer.encode_pieces([(turn, True), (space + "Hi", False)])
        assert (spaced == plain) == strips
        after_bos = tokenizer.encode_pieces([(start, True), (space + "Hi", False)])
        assert after_bos == tokenizer.encode_pieces([(start, True)]) + tokenizer.encode(
            space + "Hi"
        )
