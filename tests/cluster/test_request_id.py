"""An answer through Ray Serve has one request id."""

import pytest

from minikin.cluster.request_id import middlewares

OTHERS = [(b"a", b"1"), (b"A", b"2")]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([], []),
        (OTHERS, OTHERS),
        ([*OTHERS, (b"x-request-id", b"req_1"), (b"X-Request-ID", b"ray")],
         [*OTHERS, (b"x-request-id", b"req_1")]),
    ],
    ids=["none", "others", "two"],
)  # fmt: skip
async def test_only_the_first_one_stays(sent, kept):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": b"x"})

    messages = []

    async def note(message):
        messages.append(message)

    [middleware] = middlewares()
    await middleware.cls(app)({}, None, note)
    assert messages[0]["headers"] == kept
    assert messages[1]["body"] == b"x"
