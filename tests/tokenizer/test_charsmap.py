from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest

from minikin.errors import ModelFileError
from minikin.tokenizer.charsmap import CharsMap

KEY = "tokenizer.ggml.precompiled_charsmap"


def packed(replacements: dict[str, str]) -> np.ndarray:
    """A double array as Darts-clone lays it out, each node's children in a block of their own."""
    strings, values = bytearray(), {}
    for text, new in replacements.items():
        values[text.encode()] = len(strings)
        strings += new.encode() + b"\0"
    units = [0] * 256
    place(units, 0, b"", values)
    trie = np.array(units, "<u4").tobytes()
    return np.frombuffer(len(trie).to_bytes(4, "little") + trie + bytes(strings), np.uint8)


def place(units: list[int], node: int, prefix: bytes, values: dict[bytes, int]) -> None:
    base = len(units)
    units += [0] * 256
    units[node] |= (node ^ base) << 10
    if prefix in values:
        units[node] |= 0x100
        units[base] = 0x8000_0000 | values[prefix]
    for label in {key[len(prefix)] for key in values if key.startswith(prefix) and key != prefix}:
        units[base ^ label] |= label
        place(units, base ^ label, prefix + bytes([label]), values)


def read(data: np.ndarray) -> CharsMap:
    charsmap = CharsMap.read({KEY: data})
    assert charsmap
    return charsmap


def test_the_longest_spelling_is_replaced() -> None:
    charsmap = read(packed({"a": "1", "abc": "2", "é": "e", "\t": " ", "日本": ""}))

    assert charsmap.replace("ab abcab\té 日本日") == "1b 21b e 日"
    assert charsmap.replace("") == ""
    assert charsmap.replace("xyz") == "xyz"


def test_a_file_without_a_map_has_none() -> None:
    assert CharsMap.read({}) is None


@pytest.mark.parametrize(
    "value",
    [
        "text", 7, [], np.zeros(0, np.uint8), np.zeros(3, np.uint8), np.zeros(100, np.uint8),
        np.full(100, 255, np.uint8), np.ones(100, np.float32), packed({"a": "b"})[:-1],
        packed({"a": "b"})[:600],
    ],
)  # fmt: skip
def test_a_broken_map_is_refused(value: Any) -> None:
    with pytest.raises(ModelFileError, match="precompiled_charsmap is not"):
        CharsMap.read({KEY: value})


def test_a_hostile_map_reads_nothing_outside_itself_and_ends() -> None:
    """Random units: the walk leaves the array, goes in circles, or points past the texts."""
    chance = random.Random(3)
    text = "".join(chr(chance.randrange(1, 0x800)) for _ in range(300))
    for _ in range(200):
        data = packed({"a": "1", "ab": "2"}).copy()
        for _ in range(300):
            data[chance.randrange(4, len(data) - 1)] = chance.randrange(256)
        assert isinstance(read(data).replace(text + "ab" * 50), str)


def test_a_long_text_takes_linear_time() -> None:
    charsmap = read(packed({"a" * 60: "1", "a": "2"}))
    started = time.process_time()

    assert charsmap.replace("a" * 100_020) == "1" * 1667

    assert time.process_time() - started < 1
