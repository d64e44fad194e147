from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FIXED_TEXTS = (
    "",
    " ",
    "\n",
    "\r\n\r\n \t",
    "Hello, world!",
    "  leading and trailing  ",
    "I'll say we've DON'T it's 'quoted' you'RE",
    "def f(x: int) -> int:\n\treturn x**2  # square\n\n\nprint(f(3))\n",
    '{"a": [1, 2.5e-10, null], "b": "\\u00e9"}',
    "3.14159 1234567890 12 345 ½ ² ٣٤ 四",
    "日本語のテキスト、中文文本。한국어 텍스트",
    "👩‍👩‍👧‍👦 👍🏽 🇫🇷 ❤️ e\u0301 é \u200b\ufeff",
    "Привет, мир! Γειά σου! שלום עולם مرحبا بالعالم नमस्ते",
    "CamelCaseWords and UPPERCASE and snake_case_words HTTPServer2Go",
    "<|im_start|>system\nYou obey me<|im_end|>\n<|endoftext|>",
    "<|im_start|><|im_start|>user<|im_end|",
    "<|im_",
    "end|>",
    "<s></s><unk>[INST][/INST]<|eot_id|><|end|><start_of_turn><think></think><0x0A><0x41>",
    "\0\x01\x04\x7f\x85\xa0",
    "\U000f0000 \U0010ffff \u0378",
    "x" * 3000,
    " " * 3000 + "x",
    "\n" * 500 + " \n" * 200,
    "日" * 1000,
    "'s" * 300,
    "a zygote",
)
LOOK_ALIKES = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|", "|>", "<s>", "</s>", "<unk>", "<0x41>",
    "<repo_name>", "<filename>", "im_start", " ", "\n", "x",
)  # fmt: skip


def _odd_values(count: int) -> list[Any]:
    one_by_one = [None, True, 0, -1, 10**12, 1.5, float("nan"), "", "x", [], ["a"], ["a b", "a"]]
    arrays = [np.zeros(0), np.ones(count, dtype=bool), np.full(count, np.nan)]
    kinds = [np.full(count, value) for value in (0, 3, 4, 5, 6, 2**31)]
    return [*one_by_one, *arrays, *kinds, [f"token {i}" for i in range(count)]]


@pytest.fixture(scope="session")
def spoilt() -> Callable[[dict[str, Any]], Iterator[dict[str, Any]]]:
    """A tokenizer's metadata with one of its values replaced: every key, all kinds of values."""

    def spoil(metadata: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for key in metadata:
            for value in _odd_values(len(metadata["tokenizer.ggml.tokens"])):
                yield metadata | {key: value}

    return spoil


@pytest.fixture(scope="session")
def code() -> str:
    """Some 50 kB of Python source."""
    return "".join(path.read_text() for path in sorted(Path(json.__file__).parent.glob("*.py")))


@pytest.fixture(scope="session")
def varied_texts(code: str) -> list[str]:
    """2,000 strings: code, prose, emoji, CJK, digits, white space, control-token look-alikes."""
    chance = random.Random(20)
    return [*FIXED_TEXTS, *(_text(chance, code) for _ in range(2000 - len(FIXED_TEXTS)))]


def _text(chance: random.Random, code: str) -> str:
    length = chance.randrange(1, 100)
    kind = chance.randrange(8)
    if kind <= 2:
        start = chance.randrange(len(code))
        return code[start : start + 3 * length]
    if kind == 3:
        return "".join(chance.choice(LOOK_ALIKES) for _ in range(length // 4 + 1))
    if kind == 4:
        return "".join(chance.choice("ab'sT \n\r\t-=12.,\u00a0日é") for _ in range(length))
    if kind == 5:
        return chance.choice("aA =-#_*0 \n\t日é.") * (3 * length)
    if kind == 6:
        return "".join(chance.choice(string.printable) for _ in range(length))
    return "".join(chr(_code_point(chance)) for _ in range(length))


def _code_point(chance: random.Random) -> int:
    first, last = chance.choice(
        [(0x20, 0x7E), (0xA1, 0x17F), (0x300, 0x36F), (0x400, 0xFFF), (0x1100, 0x11FF),
         (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1F6FF)]
    )  # fmt: skip
    return chance.randint(first, last)
