import asyncio
import socket
import struct
import time

import pytest

from minikin.api.http.half_closed import HalfClosed
from tests.fakes import ScriptedEngine
from tests.patience import until
from tests.raw_http import HI, STREAM, connected, content, parse, post, talk

SLOW = {"tokens": ["Hel", "lo"], "pause": 0.3}
ENDLESS = {"tokens": ["a"] * 1000, "pause": 0.1}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_half_closed_client_gets_its_answer(serve, version):
    answer = talk(serve(ScriptedEngine(**SLOW)), post(HI, version=version), half_close=True)
    status, headers, body = parse(answer)
    assert (status, headers["connection"]) == (200, "close")
    assert content(body) == "Hello"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_half_closed_client_gets_its_stream(serve, version):
    answer = talk(serve(ScriptedEngine(**SLOW)), post(STREAM, version=version), half_close=True)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"data: [DONE]" in answer


def test_a_side_shut_in_the_middle_of_a_stream_cuts_nothing_off(serve):
    with connected(serve(ScriptedEngine(**SLOW))) as connection:
        connection.sendall(post(STREAM))
        answer = connection.recv(65536)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            answer += part
    assert answer.endswith(b"0\r\n\r\n")


def test_all_requests_before_the_end_are_answered(serve):
    server = serve(ScriptedEngine(**SLOW))
    answer = talk(server, post(HI) * 3, half_close=True)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert answer.count(b"connection: close") == 1
    cut = talk(server, post(HI) + post(HI)[:-3], half_close=True)
    assert [part[:3] for part in cut.split(b"HTTP/1.1 ")] == [b"", b"200", b"400"]


def test_a_body_cut_short_is_an_error(shared_server):
    status, headers, body = parse(talk(shared_server, post(HI)[:-3], half_close=True))
    assert (status, headers["connection"]) == (400, "close")
    assert b"ended before the body of the request" in body


def test_an_end_between_requests_closes(shared_server):
    assert talk(shared_server, half_close=True) == b""
    with connected(shared_server) as connection:
        connection.sendall(post(HI))
        connection.recv(65536)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536) == b""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("ask", [HI, STREAM])
def test_a_disconnected_client_is_cancelled(serve, ask, version, requests, reset):
    server = serve(ScriptedEngine(**ENDLESS))
    with connected(server) as connection:
        connection.sendall(post(ask, version=version) * requests)
        until(lambda: server.engine.requests)
        if reset:
            now = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
    until(lambda: server.engine.cancelled)
    until(lambda: not server.service.in_flight)
    assert len(server.engine.requests) == 1


def test_a_half_closed_client_that_disconnects_is_cancelled(serve):
    server = serve(ScriptedEngine(**ENDLESS))
    with connected(server) as connection:
        connection.sendall(post(HI))
        connection.shutdown(socket.SHUT_WR)
        until(lambda: server.engine.requests)
        time.sleep(0.3)
        assert not server.engine.cancelled
        assert connection.recv(5)
    until(lambda: server.engine.cancelled)


def test_a_reset_right_after_the_end_of_the_input_ends_the_connection():
    """The client closed everything, and bytes of the answer met its closed socket meanwhile."""

    class Transport:
        aborted = False

        def get_extra_info(self, name):
            return accepted

        def abort(self):
            self.aborted = True

    async def half_closed():
        transport = Transport()
        watch = HalfClosed(transport, lambda: pytest.fail("there is nothing left to send"))
        await asyncio.sleep(0.01)
        watch.stop()  # as the end of the connection does
        return transport.aborted

    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # with a reset
            assert asyncio.run(half_closed())
