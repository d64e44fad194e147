import asyncio
import io

import pytest

from minikin.bounded.frames import MAX_FRAME, BadFrame, framed, read_frame, receive_frame

TOO_LONG = (MAX_FRAME + 1).to_bytes(4, "little")


def stream_of(data):
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return stream


async def test_bodies_arrive_as_they_were_sent():
    bodies = [b"one", b"", b"x" * 100_000]
    sent = b"".join(map(framed, bodies))
    source, stream = io.BytesIO(sent), stream_of(sent)
    assert [read_frame(source) for _ in bodies] == bodies
    assert [await receive_frame(stream) for _ in bodies] == bodies


@pytest.mark.parametrize("left", [b"", b"\x01", b"\x05\x00\x00\x00abc"])
async def test_a_stream_that_ends_early_has_no_frame(left):
    assert read_frame(io.BytesIO(left)) is None
    with pytest.raises(asyncio.IncompleteReadError):
        await receive_frame(stream_of(left))


async def test_a_length_above_the_limit_is_an_error():
    with pytest.raises(BadFrame, match="at most"):
        read_frame(io.BytesIO(TOO_LONG))
    with pytest.raises(BadFrame, match="at most"):
        await receive_frame(stream_of(TOO_LONG))
