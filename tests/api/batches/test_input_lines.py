import pytest

from minikin.api.batches.input_lines import InputLine, split_lines


async def lines(*chunks, most=5):
    async def content():
        for chunk in chunks:
            yield chunk

    return [each async for each in split_lines(content(), most)]


@pytest.mark.parametrize("size", range(1, 12))
async def test_the_lines_do_not_depend_on_the_chunks(size):
    data = b"one\n\n two\nabcdefgh\n\r\nxyz"
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert await lines(*chunks) == [(1, b"one"), (3, b" two"), (4, None), (6, b"xyz")]


async def test_the_last_line_can_be_too_long():
    assert await lines(b"abcdef") == [(1, None)]
    assert await lines(b"abc", b"defg", b"hij") == [(1, None)]
    assert await lines(b"") == []


def test_a_body_stays_as_the_client_wrote_it():
    line = InputLine.read(b'{"custom_id": "a", "body": {"x": 1e999, "y":  12}, "url": "u"}')
    assert bytes(line.body) == b'{"x": 1e999, "y":  12}'
