"""A proxy before an honest server that drops or corrupts one feature and passes on the rest."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.catalog.probes.faults import FAULTS


def noisy(answer):
    """The answer with one word exchanged."""
    message = answer["choices"][0]["message"]
    words = (message["content"] or "").split(" ")
    words[len(words) // 2] = "da"
    message["content"] = " ".join(words)
    return json.dumps(answer).encode()


JSON = {"content-type": "application/json"}


class FaultProxy:
    """`fault` may be changed between requests: a key of FAULTS, or None for an honest proxy."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.fault = None
        self.noise = None
        self.pauses = []
        """Seconds by which the next plain answers are late."""
        self.client = httpx.AsyncClient(timeout=300, verify=False, trust_env=False)
        routes = [Route("/{path:path}", self.forward, methods=["POST", "GET", "DELETE"])]
        self.app = Starlette(routes=routes, lifespan=self.lifespan)

    def is_noisy(self, sent):
        """Whether this greedy answer gets another word: 15 % of them, as by hosted batching."""
        greedy = sent.get("temperature", 1) == 0 or sent.get("top_p", 1) < 0.01 or "seed" in sent
        plain = "messages" in sent and not sent.keys() & {
            "logprobs",
            "tools",
            "response_format",
            "logit_bias",
        }
        return greedy and plain and self.noise.random() < 0.15

    @asynccontextmanager
    async def lifespan(self, app):
        async with self.client:
            yield

    async def forward(self, request):
        fault = FAULTS.get(self.fault, {})
        if not request.url.path.endswith(fault.get("path", "/chat/completions")):
            fault = {}
        data = await request.body()
        try:
            sent = json.loads(data)
        except ValueError:
            sent = {}
        if sent and "request" in fault:
            fault["request"](sent)
            data = json.dumps(sent).encode()
        url = f"{self.upstream}{request.url.path}"
        if sent.get("stream") and fault.get("stream") != "held back":
            body = self.stream(url, data, fault.get("stream"))
            return StreamingResponse(body, media_type="text/event-stream")
        kind = {"content-type": request.headers.get("content-type", "application/json")}
        reply = await self.client.request(request.method, url, content=data, headers=kind)
        content = reply.content
        if self.pauses:
            await asyncio.sleep(self.pauses.pop(0))
        if self.noise and reply.status_code == 200 and self.is_noisy(sent):
            content = noisy(reply.json())
        if reply.status_code == 200 and "answer" in fault and not sent.get("stream"):
            answer = reply.json()
            fault["answer"](sent, answer)
            content = json.dumps(answer).encode()
        if "lines" in fault:
            content = "".join(f"{line}\n" for line in fault["lines"](reply.text.splitlines()))
        if reply.status_code >= 400 and "error" in fault:
            content = fault["error"].encode()
        return Response(content, reply.status_code, media_type=reply.headers["content-type"])

    async def stream(self, url, data, fault):
        async with self.client.stream("POST", url, content=data, headers=JSON) as reply:
            if fault == "dripped":
                whole = b"".join([piece async for piece in reply.aiter_raw()])
                for event in whole.split(b"\n\n")[:-1]:
                    await asyncio.sleep(0.003)
                    yield event + b"\n\n"
                return
            async for piece in reply.aiter_raw():
                if fault == "cut":
                    piece = piece.replace(b"data: [DONE]\n\n", b"")
                if fault == "miscounted":
                    piece = piece.replace(b'"completion_tokens": ', b'"completion_tokens": 1')
                yield piece
