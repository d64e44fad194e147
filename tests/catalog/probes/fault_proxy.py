"""A proxy before an honest server that drops or corrupts one feature and passes on the rest."""

import json
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def drop(*names):
    def edit(body):
        for name in names:
            body.pop(name, None)

    return edit


def drop_format(kind):
    def edit(body):
        if (body.get("response_format") or {}).get("type") == kind:
            del body["response_format"]

    return edit


def drop_choice(kind):
    def edit(body):
        choice = body.get("tool_choice")
        if choice == kind or (kind == "named" and isinstance(choice, dict)):
            del body["tool_choice"]

    return edit


def schema_as_object(body):
    if (body.get("response_format") or {}).get("type") == "json_schema":
        body["response_format"] = {"type": "json_object"}


def halve_limit(body):
    if "max_tokens" in body:
        body["max_tokens"] = max(1, body["max_tokens"] // 2)


def first_part_only(body):
    for message in body.get("messages", []):
        if isinstance(message["content"], list):
            message["content"] = message["content"][:1]


def loosen_tools(body):
    for tool in body.get("tools", []):
        tool["function"].pop("strict", None)


def blank_when_bare(sent, body):
    if sent.keys() <= {"model", "messages", "max_tokens"}:
        body["choices"][0]["message"]["content"] = ""


def blank_modality(sent, body):
    if "modalities" in sent:
        body["choices"][0]["message"]["content"] = None


def _functions(sent):
    return {tool["function"]["name"]: tool["function"] for tool in sent.get("tools", [])}


def spoil_arguments(sent, body):
    for call in body["choices"][0]["message"].get("tool_calls") or []:
        if not _functions(sent)[call["function"]["name"]].get("strict"):
            call["function"]["arguments"] = "{'city': "


def break_strict_arguments(sent, body):
    for call in body["choices"][0]["message"].get("tool_calls") or []:
        if _functions(sent)[call["function"]["name"]].get("strict"):
            call["function"]["arguments"] = '{"mode": "blue"}'


def fence_json(sent, body):
    if (sent.get("response_format") or {}).get("type") == "json_object":
        message = body["choices"][0]["message"]
        message["content"] = f"```json\n{message['content']}\n```"


def call_in_prose(sent, body):
    message = body["choices"][0]["message"]
    calls = message.get("tool_calls") or []
    loose = not any(tool.get("strict") for tool in _functions(sent).values())
    if len(calls) == 1 and loose and "tool_choice" not in sent:
        message["content"] = json.dumps(message.pop("tool_calls")[0]["function"])


def miscount_prediction(sent, body):
    body["usage"]["completion_tokens_details"]["accepted_prediction_tokens"] = 5


def shuffle_choices(sent, body):
    for choice in body["choices"]:
        choice["index"] = 0


def forget_cache(sent, body):
    body["usage"]["prompt_tokens_details"]["cached_tokens"] = 0


def positive_logprobs(sent, body):
    for entry in (body["choices"][0]["logprobs"] or {}).get("content", []):
        entry["logprob"] = 0.5


def shift_logprobs(sent, body):
    if body["choices"][0]["logprobs"]:
        body["choices"][0]["logprobs"]["content"].pop(0)


def copy_first_choice(sent, body):
    first = body["choices"][0]
    body["choices"] = [first | {"index": index} for index in range(len(body["choices"]))]


def leave_stop_text(sent, body):
    if "stop" in sent:
        stop = sent["stop"]
        body["choices"][0]["message"]["content"] += stop if isinstance(stop, str) else stop[-1]


# (capability, name): an edit of the request, of the answer, or of an error; or a way with streams.
FAULTS = {
    ("text", "blanked"): {"answer": blank_when_bare},
    ("input_text", "parts dropped"): {"request": first_part_only},
    ("output_text", "blanked"): {"answer": blank_modality},
    ("tools", "in prose"): {"answer": call_in_prose},
    ("tools", "arguments spoiled"): {"answer": spoil_arguments},
    ("tool_choice", "dropped"): {"request": drop("tool_choice")},
    ("tool_choice", "none dropped"): {"request": drop_choice("none")},
    ("tool_choice", "required dropped"): {"request": drop_choice("required")},
    ("tool_choice", "named dropped"): {"request": drop_choice("named")},
    ("temperature", "dropped"): {"request": drop("temperature")},
    ("top_p", "dropped"): {"request": drop("top_p")},
    ("max_tokens", "halved"): {"request": halve_limit},
    ("max_tokens", "dropped"): {"request": drop("max_tokens")},
    ("stop", "dropped"): {"request": drop("stop")},
    ("stop", "left in"): {"answer": leave_stop_text},
    ("frequency_penalty", "dropped"): {"request": drop("frequency_penalty")},
    ("presence_penalty", "dropped"): {"request": drop("presence_penalty")},
    ("logprobs", "dropped"): {"request": drop("logprobs", "top_logprobs")},
    ("logprobs", "positive"): {"answer": positive_logprobs},
    ("logprobs", "shifted"): {"answer": shift_logprobs},
    ("format_response", "dropped"): {"request": drop_format("json_object")},
    ("format_response", "fenced"): {"answer": fence_json},
    ("structured_outputs", "any object"): {"request": schema_as_object},
    ("structured_outputs", "dropped"): {"request": drop_format("json_schema")},
    ("streaming", "dropped"): {"request": drop("stream")},
    ("streaming", "held back"): {"stream": "held back"},
    ("streaming", "cut"): {"stream": "cut"},
    ("logit_bias", "dropped"): {"request": drop("logit_bias")},
    ("seed", "dropped"): {"request": drop("seed")},
    ("n", "dropped"): {"request": drop("n")},
    ("n", "misnumbered"): {"answer": shuffle_choices},
    ("n", "copied"): {"answer": copy_first_choice},
    ("prediction", "dropped"): {"request": drop("prediction")},
    ("prediction", "miscounted"): {"answer": miscount_prediction},
    ("parallel_tool_calls", "dropped"): {"request": drop("parallel_tool_calls")},
    ("strict_tools", "dropped"): {"request": loosen_tools},
    ("strict_tools", "broken"): {"answer": break_strict_arguments},
    ("cached_tokens", "forgotten"): {"answer": forget_cache},
    ("error_bodies", "flattened"): {"error": '{"error": "something went wrong"}'},
}


JSON = {"content-type": "application/json"}


class FaultProxy:
    """`fault` may be changed between requests: a key of FAULTS, or None for an honest proxy."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.fault = None
        self.client = httpx.AsyncClient(timeout=300, verify=False, trust_env=False)
        routes = [Route("/{path:path}", self.forward, methods=["POST"])]
        self.app = Starlette(routes=routes, lifespan=self.lifespan)

    @asynccontextmanager
    async def lifespan(self, app):
        async with self.client:
            yield

    async def forward(self, request):
        fault = FAULTS.get(self.fault, {})
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
            body = self.stream(url, data, cut=fault.get("stream") == "cut")
            return StreamingResponse(body, media_type="text/event-stream")
        reply = await self.client.post(url, content=data, headers=JSON)
        content = reply.content
        if reply.status_code == 200 and "answer" in fault and not sent.get("stream"):
            answer = reply.json()
            fault["answer"](sent, answer)
            content = json.dumps(answer).encode()
        if reply.status_code >= 400 and "error" in fault:
            content = fault["error"].encode()
        return Response(content, reply.status_code, media_type=reply.headers["content-type"])

    async def stream(self, url, data, cut):
        async with self.client.stream("POST", url, content=data, headers=JSON) as reply:
            async for piece in reply.aiter_raw():
                yield piece.replace(b"data: [DONE]\n\n", b"") if cut else piece
