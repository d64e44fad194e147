from hypothesis import given
from hypothesis import strategies as st

from minikin.engine.detokenizer import Detokenizer
from tests.engine.fakes import ByteTokenizer


@given(st.binary(max_size=12) | st.text(max_size=6).map(str.encode))
def test_bytes_one_by_one_give_what_they_give_together(data):
    detokenizer = Detokenizer(ByteTokenizer())
    pieces = [detokenizer.add(byte) for byte in data]
    assert "".join(pieces) + detokenizer.flush() == data.decode(errors="replace")


def test_no_piece_holds_half_a_character():
    detokenizer = Detokenizer(ByteTokenizer())
    assert [detokenizer.add(byte) for byte in "a€".encode()] == ["a", "", "", "€"]


@given(st.text(max_size=20))
def test_a_character_is_given_with_its_last_byte(text):
    detokenizer = Detokenizer(ByteTokenizer())
    data = text.encode()
    shown = ""
    for count, byte in enumerate(data, 1):
        shown += detokenizer.add(byte)
        assert shown == data[:count].decode(errors="ignore")
    assert detokenizer.flush() == ""
