from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import gguf
import pytest
from tokenizers import Tokenizer as Reference
from tokenizers import models, pre_tokenizers, trainers

from minikin.errors import ModelFileError
from minikin.model_file.gguf import GGUFFile
from minikin.tokenizer.pretokenizer import pretokenizer
from minikin.tokenizer.tokenizer import Tokenizer

GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
ALPHABET = GPT2 | {"use_regex": False}
DIGITS = {"type": "Digits", "individual_digits": True}
NFC = {"type": "NFC"}


def split(expression: str) -> dict[str, Any]:
    pattern = {"Regex": expression}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


LLAMA3 = split(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = split(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN35 = split(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = split(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = split(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = split(
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK_CODER = [
    split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
    split("[一-龥\u0800-一가-\ud7ff]+"), DIGITS, ALPHABET,
]  # fmt: skip
LETTERS = (  # those with case, but for some that are younger than the file
    r"[\p{Lu}\p{Ll}\p{Lt}&&"
    "[^\u0560-\u0588\u10c7\u10cd\u10d0-\u10ff\u1c80-\u1c8f\u2c2f\u2c5f\u2d00-\u2d2d"
    "\ua790-\ua7ff\uab30-\uab68\U00010500-\U000105ff\U00010d50-\U00010dff"
    "\U00016e40-\U00016eff\U0001d400-\U0001dfff]]"
)
DEEPSEEK_LLM = [
    split(r"[\r\n]"), split(rf"\s?{LETTERS}+"), split(r"\s?[!-/:-~！-／：-～‘-‟\x{3000}-。]+"),
    split(r"\s+$"), split("[一-龥\u0800-一가-\ud7ff]+"), split(r"\p{N}+"), ALPHABET,
]  # fmt: skip
SEED = split(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MINICPM5 = split(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BAILING = split(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
BLOOM = split(" ?[^(\\s|.,!?…。，、।۔،)]+")
SPARK = split(
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"
)
CJK = "[一-龥\u3040-ゟ゠-ヿ]+"
YOUTU = [
    split(f"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|{CJK}"),
    split(O200K["pattern"]["Regex"].replace(r"\p{N}{1,3}", r"\p{N}")),
]
PUNCTUATION = {"type": "Punctuation", "behavior": "Contiguous"}
PUBLISHED = {
    "gpt-2": ([GPT2], None, False),
    "smollm": ([DIGITS, GPT2], None, False),
    "starcoder": ([DIGITS, GPT2], None, False),
    "command-r": ([DIGITS, GPT2], NFC, False),
    "llama-bpe": ([LLAMA3, ALPHABET], None, True),
    "dbrx": ([LLAMA3, ALPHABET], None, False),
    "qwen2": ([QWEN2, ALPHABET], NFC, False),
    "qwen35": ([QWEN35, ALPHABET], NFC, False),
    "tekken": ([TEKKEN, ALPHABET], None, True),
    "gpt-4o": ([O200K, ALPHABET], None, False),
    "deepseek-v3": (
        [split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), DEEPSEEK, ALPHABET], None, False
    ),
    "deepseek-r1-qwen": ([QWEN2, ALPHABET], None, False),
    "deepseek-llm": (DEEPSEEK_LLM, None, False),
    "seed-coder": ([SEED, ALPHABET], None, False),
    "deepseek-coder": (DEEPSEEK_CODER, None, False),
    "glm4": ([LLAMA3, ALPHABET], None, True),
    "minicpm5": ([split(r"\p{N}{1,3}"), MINICPM5, ALPHABET], None, True),
    "bailingmoe2": ([BAILING, ALPHABET], None, False),
    "bloom": ([BLOOM, ALPHABET], None, False),
    "viking": ([BLOOM, DIGITS, ALPHABET], None, False),
    "superbpe": ([split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"), ALPHABET], None, False),
    "spark2_5": ([split(r"\p{N}{1,3}"), split(CJK), SPARK, DIGITS, ALPHABET], None, False),
    "youtu": ([*YOUTU, ALPHABET], None, True),
    "laguna": ([split(r"[^\n]+|[\n]+"), QWEN2, ALPHABET], None, False),
    "falcon": ([PUNCTUATION, GPT2, split("[0-9][0-9][0-9]")], None, False),
}  # fmt: skip
"""Name -> pre-tokenizers, normalizer and ignore_merges of a family's own tokenizer.json."""


@pytest.fixture(scope="module")
def trained(code: str) -> dict[str, Any]:
    """A vocabulary whose merges know no words, so that each cut shows in the ids."""
    tokenizer = Reference(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "merged_with_next"), pre_tokenizers.ByteLevel(False, False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    multilingual = "12345 Größe's WE'RE éé 日本語テキスト 🎉🎉!!\r\n\r\n  x " * 20
    tokenizer.train_from_iterator([code, multilingual], trainer)
    state = json.loads(tokenizer.to_str())["model"]
    assert "Ġzygote" not in state["vocab"]
    state["vocab"]["Ġzygote"] = len(state["vocab"])  # a word that no merge leads to
    return state


def write_gguf(path: Path, trained: dict[str, Any], pre: str) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    tokens = sorted(trained["vocab"], key=trained["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([*tokens, "<|endoftext|>"])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens) + [gguf.TokenType.CONTROL])
    writer.add_token_merges([" ".join(pair) for pair in trained["merges"]])
    writer.add_eos_token_id(len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def published_reference(name: str, trained: dict[str, Any]) -> Reference:
    parts, normalizer, ignore_merges = PUBLISHED[name]
    shape = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": normalizer, "post_processor": None, "decoder": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": parts},
        "model": trained | {"ignore_merges": ignore_merges},
    }  # fmt: skip
    return Reference.from_str(json.dumps(shape))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_family_encodes_as_its_published_tokenizer(
    name: str, trained: dict[str, Any], varied_texts: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path, trained, name)
    tokenizer = Tokenizer.from_gguf(GGUFFile.open(path).metadata)
    reference = published_reference(name, trained)

    limited = re.compile(r"\d{193}" if name == "superbpe" else "(?!)")
    for text in varied_texts:
        if limited.search(text):
            continue
        assert tokenizer.encode(text) == reference.encode(text).ids


def test_different_texts_show_the_family(trained: dict[str, Any], varied_texts: list[str]) -> None:
    text = "\n".join(varied_texts[:500])
    # Some are the same as another: with these merges, which have no line breaks.
    names = PUBLISHED.keys() - {"starcoder", "glm4", "laguna", "bailingmoe2"}

    answers: dict[str, str] = {}
    for name in sorted(names):
        ids = str(published_reference(name, trained).encode(text).ids)
        assert answers.setdefault(ids, name) == name


def test_the_default_cuts_as_the_gguf_format_defines(trained: dict[str, Any]) -> None:
    named, unnamed = pretokenizer("default"), pretokenizer("")

    assert named == unnamed
    assert not named.add_bos


def test_an_unknown_name_is_refused_with_those_known() -> None:
    with pytest.raises(ModelFileError, match=r"'x{64}'\. Supported: .*qwen2"):
        pretokenizer("x" * 1000)


@pytest.mark.parametrize(
    ("name", "adds"), [("llama-bpe", True), ("tekken", True), ("qwen2", False)]
)
def test_bos_by_default_is_the_familys(name: str, adds: bool) -> None:
    assert pretokenizer(name).add_bos is adds


@pytest.mark.parametrize(
    "name",
    ["deepseek-llm", "deepseek-coder", "seed-coder", "qwen2", "tekken", "superbpe", "viking"],
)
@pytest.mark.parametrize(
    "text", [" " * 500_000 + "日", "\t" * 500_000 + "~", "a" * 500_000, "1" * 300_000]
)
def test_long_runs_take_linear_time(
    name: str, text: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    write_gguf(tmp_path / "model.gguf", trained, name)
    tokenizer = Tokenizer.from_gguf(GGUFFile.open(tmp_path / "model.gguf").metadata)
    started = time.process_time()

    tokenizer.encode(text)

    assert time.process_time() - started < 4, "quadratic would take minutes"
