from __future__ import annotations

import pytest

from minikin.cli.wrap import Wrapper

TEXT = "The quick brown fox jumps over\n\n    the lazy dog, again and again."


def wrapped(text: str, width: int, size: int) -> str:
    wrapper = Wrapper(width)
    shown = [wrapper.add(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join(shown) + wrapper.end()


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_end_between_words_however_the_text_arrives(size: int):
    shown = wrapped(TEXT, 12, size)
    assert shown == ("The quick\nbrown fox\njumps over\n\n    the lazy\ndog, again\nand again.")


def test_text_that_fits_stays_as_it_is():
    assert wrapped(TEXT, 100, 5) == TEXT


def test_a_word_that_is_too_wide_has_a_line_of_its_own():
    assert wrapped("a verylongword b", 5, 4) == "a\nverylongword\nb"


def test_wide_characters_take_two_columns():
    assert wrapped("\u4f60\u597d \u4f60\u597d", 6, 1) == "\u4f60\u597d\n\u4f60\u597d"


def test_words_are_printed_as_soon_as_they_end():
    wrapper = Wrapper(20)
    assert wrapper.add("one tw") == "one"
    assert wrapper.add("o ") == " two"
