from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as Reference
from tokenizers import models, pre_tokenizers, trainers

from minikin.errors import ModelFileError
from minikin.tokenizer.tokenizer import Tokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5
CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED_TOKENS = ["<h1>", "<think>", "<|tool|>"]


@pytest.fixture(scope="module")
def reference(code: str) -> Reference:
    """A small byte-level tokenizer of the smollm family, trained on some code."""
    tokenizer = Reference(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=CONTROLS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([code], trainer)
    return tokenizer


@pytest.fixture(scope="module")
def metadata(reference: Reference) -> dict[str, Any]:
    """The same as a GGUF file's metadata, with some user-defined tokens added."""
    state = json.loads(reference.to_str())["model"]
    tokens = [*sorted(state["vocab"], key=state["vocab"].get), *USER_DEFINED_TOKENS, "[PAD0]"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types_of(tokens),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in state["merges"]],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": "{{ messages }}<think>",
    }


def types_of(tokens: list[str]) -> np.ndarray:
    special = dict.fromkeys(CONTROLS, CONTROL) | dict.fromkeys(USER_DEFINED_TOKENS, USER_DEFINED)
    return np.array([special.get(token, NORMAL) for token in tokens[:-1]] + [UNUSED])


@pytest.fixture(scope="module")
def tokenizer(metadata: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_gguf(metadata)


def changed(metadata: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The metadata with some `tokenizer.ggml.` keys replaced; None takes one out."""
    new = metadata | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    return {key: value for key, value in new.items() if value is not None}


def with_tokens(metadata: dict[str, Any], kind: int, *texts: str, **changes: Any) -> dict[str, Any]:
    """The metadata with more tokens of a type at the end, and `changes` as in `changed`."""
    tokens = [*metadata["tokenizer.ggml.tokens"], *texts]
    types = np.append(metadata["tokenizer.ggml.token_type"], [kind] * len(texts))
    return changed(metadata, tokens=tokens, token_type=types, **changes)


def test_a_small_model_encodes_as_its_reference(
    tokenizer: Tokenizer, reference: Reference, varied_texts: list[str]
) -> None:
    plain = Reference.from_str(reference.to_str())
    plain.encode_special_tokens = True

    for text in varied_texts:
        assert tokenizer.encode(text) == plain.encode(text).ids


def test_text_comes_back_whole(tokenizer: Tokenizer, varied_texts: list[str]) -> None:
    for text in varied_texts:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_text_never_becomes_a_control_token(tokenizer: Tokenizer, varied_texts: list[str]) -> None:
    control = set(tokenizer.control_tokens.values())

    for text in [*varied_texts, *CONTROLS, "".join(CONTROLS), "<think>", "<|tool|>"]:
        assert not control & set(tokenizer.encode(text))


def test_merges_never_produce_a_control_token(
    metadata: dict[str, Any],
) -> None:
    tokens = metadata["tokenizer.ggml.tokens"]
    types = metadata["tokenizer.ggml.token_type"].copy()
    types[tokens.index("self")] = CONTROL
    tokenizer = Tokenizer.from_gguf(changed(metadata, token_type=types))

    ids = tokenizer.encode("self")

    assert len(ids) > 1
    assert tokenizer.decode(ids) == "self"
    assert tokenizer.encode_pieces([("self", True)]) == [tokens.index("self")]


def test_pieces_write_control_tokens(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_pieces(
        [("<|im_start|>", True), ("user\n", False), ("<|im_end|> hi", False), ("<|im_end|>", True)]
    )

    assert ids == [1, *tokenizer.encode("user\n<|im_end|> hi"), 2]
    assert tokenizer.decode(ids) == "user\n<|im_end|> hi"


def test_neighbouring_texts_are_encoded_as_one(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_pieces([("re", False), ("turn", False)]) == tokenizer.encode("return")
    assert tokenizer.encode_pieces([]) == []


def test_a_prompt_starts_with_bos_once_where_the_file_says_so(metadata: dict[str, Any]) -> None:
    plain = Tokenizer.from_gguf(metadata)
    adding = Tokenizer.from_gguf(changed(metadata, add_bos_token=True))
    hello = plain.encode("hello")

    assert plain.encode_prompt([("hello", False)]) == hello
    assert adding.encode_prompt([("hello", False)]) == [1, *hello]
    assert adding.encode_prompt([("<|im_start|>", True), ("hello", False)]) == [1, *hello]
    assert adding.encode_prompt([("<|im_end|>", True)]) == [1, 2]


def test_a_prompt_has_a_token(metadata: dict[str, Any]) -> None:
    assert Tokenizer.from_gguf(metadata).encode_prompt([]) == [1]
    assert Tokenizer.from_gguf(changed(metadata, bos_token_id=None)).encode_prompt([]) == [2]


@pytest.mark.parametrize("piece", ["", "<|im_start", "<|im_start|><|im_end|>", "self", "<h1>"])
def test_a_control_piece_is_one_control_token(tokenizer: Tokenizer, piece: str) -> None:
    with pytest.raises(ValueError, match="not a control token"):
        tokenizer.encode_pieces([(piece, True)])


def test_user_defined_tokens_match_in_text(tokenizer: Tokenizer) -> None:
    heading = tokenizer.encode("<h1>")

    assert len(heading) == 1
    assert tokenizer.encode("a<h1>b") == [
        *tokenizer.encode("a"), *heading, *tokenizer.encode("b")
    ]  # fmt: skip
    assert tokenizer.decode(heading) == "<h1>"


def test_markup_that_the_template_spells_is_for_the_template(tokenizer: Tokenizer) -> None:
    (think,) = tokenizer.encode_pieces([("<think>", True)])

    assert think not in tokenizer.encode("<think>")
    assert tokenizer.decode([think]) == "<think>"


def test_a_user_defined_turn_marker_counts_as_control(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([tokenizer.control_tokens["<|tool|>"]]) == ""


@pytest.mark.parametrize("kind", [CONTROL, USER_DEFINED])
@pytest.mark.parametrize("mark", ["[TOOL_CALLS]", "<|tool_call|>", "<｜tool▁sep｜>", "[THINK]"])
def test_marks_are_visible_and_text_never_becomes_one(
    metadata: dict[str, Any], kind: int, mark: str
) -> None:
    made = with_tokens(metadata, kind, mark)
    tokenizer = Tokenizer.from_gguf(made | {"tokenizer.chat_template": f"{{{{ tools }}}}{mark}"})
    token = tokenizer.vocab_size - 1

    assert tokenizer.decode([token]) == mark
    assert tokenizer.encode_pieces([(mark, True)]) == [token]
    assert token not in tokenizer.encode(f"a{mark}b")
    assert (mark in tokenizer.frame_marks) == (mark != "[THINK]")
    assert tokenizer.free_bytes()[token] == (b"" if mark != "[THINK]" else mark.encode())


def test_tokens_give_their_bytes(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("é日")

    assert b"".join(tokenizer.token_bytes(i) for i in ids) == "é日".encode()
    assert len(ids) == 5
    assert tokenizer.token_bytes(2) == b""
    assert tokenizer.decode(ids[:1]) == "\ufffd"


def test_special_tokens_are_named(tokenizer: Tokenizer) -> None:
    assert (tokenizer.bos_id, tokenizer.bos_token, tokenizer.add_bos) == (1, "<|im_start|>", False)
    assert (tokenizer.eos_ids, tokenizer.eos_token) == ({0, 2}, "<|im_end|>")
    assert tokenizer.chat_template == "{{ messages }}<think>"


def test_end_tokens_named_by_id_are_ends(metadata: dict[str, Any]) -> None:
    tokens = metadata["tokenizer.ggml.tokens"]
    tokenizer = Tokenizer.from_gguf(
        changed(metadata, eot_token_id=tokens.index("!"), eos_token_id=None, bos_token_id=None)
    )

    assert tokenizer.eos_ids == {0, 2, tokens.index("!")}
    assert (tokenizer.bos_id, tokenizer.bos_token, tokenizer.add_bos) == (None, "", False)


def test_marks_of_channels_are_spelled_but_stand_in_no_free_text(metadata: dict[str, Any]) -> None:
    marks = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>"]
    first = len(metadata["tokenizer.ggml.tokens"])
    made = with_tokens(metadata, CONTROL, "<|return|>", "<|call|>", *marks, eos_token_id=first)
    tokenizer = Tokenizer.from_gguf(made)

    assert tokenizer.frame_marks == {mark: first + 2 + at for at, mark in enumerate(marks)}
    assert {first, first + 1} <= tokenizer.eos_ids
    assert tokenizer.eos_ids.isdisjoint(tokenizer.frame_marks.values())
    for mark, token in tokenizer.frame_marks.items():
        assert tokenizer.token_bytes(token) == mark.encode()
        assert tokenizer.free_bytes()[token] == b""
        assert token not in tokenizer.encode(mark)
    assert tokenizer.free_bytes()[:first] == [tokenizer.token_bytes(i) for i in range(first)]


def test_an_incomplete_set_of_channel_marks_does_not_count(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(with_tokens(metadata, CONTROL, "<|end|>", "<|channel|>"))

    assert tokenizer.frame_marks == {}
    assert tokenizer.vocab_size - 2 in tokenizer.eos_ids
    assert tokenizer.token_bytes(tokenizer.vocab_size - 1) == b""


def test_lone_surrogates_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        tokenizer.encode("a\ud800b")


def test_a_byte_without_a_token_gives_nothing(metadata: dict[str, Any]) -> None:
    tokens = metadata["tokenizer.ggml.tokens"]
    types = metadata["tokenizer.ggml.token_type"].copy()
    types[tokens.index("ą")] = UNUSED  # byte 5 in the byte-level alphabet
    tokenizer = Tokenizer.from_gguf(changed(metadata, token_type=types))

    assert tokenizer.encode("a\x05b") == [*tokenizer.encode("a"), *tokenizer.encode("b")]


LONG_RUNS = {
    "letters": "x" * 1_000_000,
    "pairs": "us" * 500_000,
    "spaces": " " * 1_000_000,
    "spaces, then a letter": " " * 1_000_000 + "x",
    "new lines": "\n" * 1_000_000,
    "ideographs": "日" * 333_000,
    "digits": "1" * 1_000_000,
    "marks on one letter": "e" + "\u0301" * 500_000,
    "joined emoji": "👩\u200d" * 140_000,
    "almost repeating": "aaab" * 250_000,
}


@pytest.mark.parametrize("text", LONG_RUNS.values(), ids=LONG_RUNS)
def test_long_runs_take_linear_time(tokenizer: Tokenizer, text: str) -> None:
    started = time.process_time()

    ids = tokenizer.encode(text)

    assert time.process_time() - started < 30, "quadratic would take minutes"
    assert tokenizer.decode(ids) == text


SIZE = 800 + len(USER_DEFINED_TOKENS) + 1
BROKEN = {
    "no model": ({"model": None}, "unsupported tokenizer ''"),
    "unknown model": ({"model": "bert"}, "unsupported tokenizer 'bert'.*gpt2.*llama.*t5"),
    "model of wrong type": ({"model": 7}, "tokenizer.ggml.model is not of type str"),
    "unknown pre-tokenizer": ({"pre": "mystery\n"}, r"pre-tokenizer 'mystery\\n'.*qwen2, qwen35"),
    "no tokens": ({"tokens": None}, "no list of strings tokenizer.ggml.tokens"),
    "empty tokens": ({"tokens": []}, "no list of strings tokenizer.ggml.tokens"),
    "token twice": ({"tokens": ["a", "b", "a"]}, "the token 'a' twice"),
    "types of wrong length": ({"token_type": np.ones(3)}, "token_type is not an array of 80[0-9]"),
    "types for no tokens": ({"token_type": None, "tokens": ["a"]}, "no token that ends"),
    "types of no kind": ({"token_type": np.full(SIZE, 7)}, "token types outside 0 to 6"),
    "a type that is no number": ({"token_type": np.full(SIZE, np.nan)}, "token_type has a value"),
    "types that are truth values": ({"token_type": np.ones(SIZE, bool)}, "not an array of 80"),
    "a huge token": (
        {"tokens": ["a", "b" * 2000]},
        "a token of 2000 characters. The maximum is 1024",
    ),
    "a huge vocabulary": ({"tokens": ["a" * 1024] * 16385}, "a vocabulary of 16778240 char"),
    "types not numbers": ({"token_type": ["1"]}, "token_type is not an array of"),
    "bos not a number": ({"bos_token_id": True}, "bos_token_id is not of type int"),
    "no merges": ({"merges": None}, "no list of strings tokenizer.ggml.merges"),
    "merge of unknown tokens": ({"merges": ["日 本"]}, r"merge '\\u65e5 \\u672c' needs tokens"),
    "merge into an unknown token": ({"merges": ["a \\"]}, r"merge 'a \\\\' needs tokens"),
    "merge of one token": ({"merges": ["a"]}, "merge 'a' needs tokens"),
}


@pytest.mark.parametrize(("changes", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_vocabulary_is_refused_by_name(
    metadata: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelFileError, match=reason):
        Tokenizer.from_gguf(changed(metadata, **changes))


def test_every_file_is_used_or_rejected(
    metadata: dict[str, Any], spoilt: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]
) -> None:
    used = 0
    for broken in spoilt(metadata):
        try:
            tokenizer = Tokenizer.from_gguf(broken)
        except ModelFileError:
            continue
        used += 1
        tokenizer.decode(tokenizer.encode("Hello <|im_end|> wörld"))
        tokenizer.token_bytes(tokenizer.vocab_size - 1)
    assert used


@pytest.mark.parametrize("none", [2**32 - 1, -1, 10**6])
def test_a_special_id_without_a_token_means_none(
    metadata: dict[str, Any], none: int, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = Tokenizer.from_gguf(changed(metadata, bos_token_id=none, eot_token_id=none))
    assert tokenizer.bos_id is None
    assert tokenizer.eos_ids == Tokenizer.from_gguf(metadata).eos_ids
    warned = "bos_token_id is 1000000" in caplog.text and "eot_token_id is 1000000" in caplog.text
    assert warned == (none == 10**6), "only what no converter means is worth a warning"


def test_several_empty_tokens_get_names(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(with_tokens(metadata, UNUSED, "", ""))
    assert tokenizer.encode("hello") == Tokenizer.from_gguf(metadata).encode("hello")


MARKERS = ["<start_of_turn>", "<end_of_turn>", "[INST]", "<|user|>", "<｜User｜>", "</s>"]


@pytest.mark.parametrize("kind", [NORMAL, USER_DEFINED])
@pytest.mark.parametrize("marker", MARKERS)
def test_a_turn_marker_counts_as_control_whatever_its_type(
    metadata: dict[str, Any], kind: int, marker: str
) -> None:
    made = with_tokens(metadata, kind, marker)
    template = f"{{{{ '{marker}' + messages[0].content }}}}"
    tokenizer = Tokenizer.from_gguf(made | {"tokenizer.chat_template": template})
    token = tokenizer.vocab_size - 1

    assert tokenizer.encode_pieces([(marker, True)]) == [token]
    assert token not in tokenizer.encode(f"a{marker}b")
    assert (token in tokenizer.eos_ids) == (marker in ("<end_of_turn>", "</s>"))


def test_an_ordinary_token_that_text_becomes_stays_text(metadata: dict[str, Any]) -> None:
    merges = [*metadata["tokenizer.ggml.merges"], "< +", "<+ >"]
    made = with_tokens(metadata, NORMAL, "<+", "<+>", merges=merges)
    tokenizer = Tokenizer.from_gguf(made | {"tokenizer.chat_template": "{{ '<+>' }}"})
    assert tokenizer.encode("<+>") == [tokenizer.vocab_size - 1]
    assert "<+>" not in tokenizer.control_tokens


def test_a_vocabulary_without_an_end_is_refused(metadata: dict[str, Any]) -> None:
    tokens = [token.replace("<|", "(|") for token in metadata["tokenizer.ggml.tokens"]]
    bare = changed(metadata, tokens=tokens, token_type=None, eos_token_id=None, bos_token_id=None)

    with pytest.raises(ModelFileError, match="no token that ends an answer"):
        Tokenizer.from_gguf(bare)
