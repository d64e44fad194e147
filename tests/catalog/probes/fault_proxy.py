"""A proxy before an honest server that drops or corrupts one feature and passes on the rest."""

import asyncio
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


def in_streams(edit):
    """The same edit, but only of requests for a stream."""
    return lambda body: edit(body) if body.get("stream") else None


def drop_auto_tools(body):
    if "tool_choice" not in body:
        body.pop("tools", None)


def change(name, edit):
    def changed(body):
        if name in body:
            body[name] = edit(body[name])

    return changed


def triple_limit(body):
    if body.get("max_tokens") in (4, 9) and not body.get("stream"):
        body["max_tokens"] *= 3


def claim_limit(sent, body):
    if sent.get("max_tokens") in (12, 27):
        body["usage"]["completion_tokens"] = sent["max_tokens"] // 3


def constant_logprobs(sent, body):
    for entry in (body["choices"][0]["logprobs"] or {}).get("content", []):
        entry["logprob"] = -0.5
        for rank, rival in enumerate(entry["top_logprobs"]):
            rival["logprob"] = -0.5 - 2 * rank


def invented_rivals(sent, body):
    for entry in (body["choices"][0]["logprobs"] or {}).get("content", []):
        for rival in entry["top_logprobs"]:
            rival["token"] = " invented"


def no_logprobs_alone(sent, body):
    if sent.get("logprobs") and not sent.get("top_logprobs"):
        body["choices"][0]["logprobs"] = None


def blank_when_bare(sent, body):
    if sent.keys() <= {"model", "messages", "max_tokens", "reasoning_effort"}:
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


def parts_of(body):
    """The lists of parts in a body."""
    return [m["content"] for m in body.get("messages", []) if isinstance(m["content"], list)]


def drop_parts(kind, is_dropped=lambda part: True):
    def edit(body):
        for parts in parts_of(body):
            parts[:] = [p for p in parts if p["type"] != kind or not is_dropped(p)]

    return edit


def drop_files(kind):
    return drop_parts("file", lambda part: kind in part["file"]["file_data"][:40])


def replace_images(body):
    for parts in parts_of(body):
        for part in parts:
            if part["type"] == "image_url":
                part["image_url"]["url"] = "data:image/png;base64,AAAA"


def cut_sound(body):
    for parts in parts_of(body):
        for part in parts:
            if part["type"] == "input_audio":
                part["input_audio"]["data"] = part["input_audio"]["data"][:20_000]


def empty_sound(sent, body):
    if audio := body["choices"][0]["message"].get("audio"):
        audio["data"] = ""


def end_like_text(sent, body):
    if body["choices"][0]["finish_reason"] == "tool_calls":
        body["choices"][0]["finish_reason"] = "stop"


def drop_last_result(body):
    if body.get("messages") and body["messages"][-1]["role"] == "tool":
        body["messages"][-1]["content"] = ""


def leak_thoughts(sent, body):
    message = body["choices"][0]["message"]
    if thoughts := message.pop("reasoning_content", None):
        message["content"] = f"<think>{thoughts}</think>{message['content']}"


def count_thoughts(count):
    def edit(sent, body):
        usage = body["usage"]
        if usage["completion_tokens_details"]["reasoning_tokens"]:
            usage["completion_tokens_details"]["reasoning_tokens"] = count(usage)

    return edit


def only_echo(sent, body):
    if sent.get("echo"):
        body["choices"][0]["text"] = sent["prompt"]


def copy_answers(lines):
    rows = [json.loads(line) for line in lines]
    return [json.dumps(row | {"response": rows[0]["response"]}) for row in rows]


def exchange_names(lines):
    rows = [json.loads(line) for line in lines]
    names = [row["custom_id"] for row in reversed(rows)]
    return [json.dumps(row | {"custom_id": name}) for row, name in zip(rows, names, strict=True)]


MANY_WORDS = 1_400


def cut_long_prompts(body):
    """Leave out the middle of a long prompt."""
    for message in body.get("messages", []):
        words = str(message["content"]).split(" ")
        if len(words) > MANY_WORDS:
            message["content"] = " ".join([*words[:200], *words[-1_200:]])


def claim_all(sent, body):
    if body["usage"]["prompt_tokens"] > 1_250:
        body["usage"]["prompt_tokens"] = 2_222


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
    # Partial lies: honoured at one setting, or only in plain answers.
    ("temperature", "always 1"): {"request": change("temperature", lambda t: 1 if t > 0 else 0)},
    ("temperature", "rounded"): {"request": change("temperature", lambda t: 1 if t else t)},
    ("top_p", "at least 0.5"): {"request": change("top_p", lambda p: max(p, 0.5))},
    ("max_tokens", "only claimed"): {"request": triple_limit, "answer": claim_limit},
    ("max_tokens", "dropped in streams"): {"request": in_streams(drop("max_tokens"))},
    ("max_completion_tokens", "dropped"): {"request": drop("max_completion_tokens")},
    ("stop", "dropped in streams"): {"request": in_streams(drop("stop"))},
    ("stop", "only the first"): {
        "request": change("stop", lambda stop: stop[0] if isinstance(stop, list) else stop)
    },
    ("presence_penalty", "never positive"): {
        "request": change("presence_penalty", lambda value: min(value, 0))
    },
    ("logprobs", "constant"): {"answer": constant_logprobs},
    ("logprobs", "invented rivals"): {"answer": invented_rivals},
    ("logprobs", "dropped in streams"): {"request": in_streams(drop("logprobs", "top_logprobs"))},
    ("tools", "dropped in streams"): {"request": in_streams(drop_auto_tools)},
    ("tool_choice", "dropped in streams"): {"request": in_streams(drop("tool_choice"))},
    ("format_response", "dropped in streams"): {"request": in_streams(drop_format("json_object"))},
    ("structured_outputs", "dropped in streams"): {
        "request": in_streams(drop_format("json_schema"))
    },
    ("streaming", "computed first"): {"stream": "dripped"},
    ("logit_bias", "halved away"): {
        "request": change("logit_bias", lambda bias: dict.fromkeys(bias, 1))
    },
    ("seed", "always the same"): {"request": change("seed", lambda seed: 5)},
    ("n", "at most 2"): {"request": change("n", lambda n: min(n, 2))},
    ("stream_usage", "dropped"): {"request": drop("stream_options")},
    ("stream_usage", "invented"): {"stream": "miscounted"},
    ("image_refusal", "dropped"): {"request": drop_parts("image_url"), "also": {"input_image"}},
    ("input_image", "one for all"): {
        "request": replace_images,
        "also": {"image_refusal"},
    },
    ("input_audio", "dropped"): {"request": drop_parts("input_audio")},
    ("input_audio", "first second"): {"request": cut_sound},
    ("input_pdf", "dropped"): {"request": drop_files("application/pdf")},
    ("attachments", "dropped"): {"request": drop_files("text/plain")},
    ("output_audio", "dropped"): {"request": drop("audio", "modalities")},
    ("output_audio", "empty"): {"answer": empty_sound},
    ("tool_calls", "ends like text"): {"answer": end_like_text},
    ("tool_calls", "results dropped"): {"request": drop_last_result},
    ("top_logprobs", "at most 3"): {"request": change("top_logprobs", lambda count: min(count, 3))},
    ("top_logprobs", "nothing without any"): {"answer": no_logprobs_alone},
    ("top_logprobs", "one more than none"): {
        "request": change("top_logprobs", lambda count: count or 1)
    },
    ("top_k", "dropped"): {"request": drop("top_k")},
    ("top_k", "at least 5"): {"request": change("top_k", lambda k: max(k, 5))},
    ("top_k", "only 1"): {"request": change("top_k", lambda k: k if k == 1 else 1000)},
    ("min_p", "dropped"): {"request": drop("min_p")},
    ("min_p", "at most 0.1"): {"request": change("min_p", lambda p: min(p, 0.1))},
    ("typical_p", "dropped"): {"request": drop("typical_p")},
    ("typical_p", "at least 0.2"): {"request": change("typical_p", lambda p: max(p, 0.2))},
    ("tfs", "dropped"): {"request": drop("tfs")},
    ("tfs", "rounded"): {"request": change("tfs", lambda z: round(z) or 1)},
    ("mirostat", "dropped"): {"request": drop("mirostat")},
    ("mirostat", "target at least 3"): {"request": change("mirostat_tau", lambda tau: max(tau, 3))},
    ("mirostat_tau", "always low"): {"request": change("mirostat_tau", lambda tau: 0.01)},
    ("repetition_penalty", "dropped"): {"request": drop("repetition_penalty")},
    ("repetition_penalty", "never above 1"): {
        "request": change("repetition_penalty", lambda value: min(value, 1))
    },
    ("no_repeat_ngram_size", "dropped"): {"request": drop("no_repeat_ngram_size")},
    ("no_repeat_ngram_size", "doubled"): {
        "request": change("no_repeat_ngram_size", lambda size: 2 * size)
    },
    ("bad_words", "dropped"): {"request": drop("bad_words")},
    ("bad_words", "only the first"): {"request": change("bad_words", lambda words: words[:1])},
    ("allowed_tokens", "dropped"): {"request": drop("allowed_token_ids")},
    ("allowed_tokens", "and another"): {
        "request": change("allowed_token_ids", lambda ids: [*ids, ids[0] + 1, ids[0] + 2])
    },
    ("stop_token_ids", "dropped"): {"request": drop("stop_token_ids")},
    ("stop_token_ids", "only the last"): {
        "request": change("stop_token_ids", lambda ids: ids[-1:])
    },
    ("reasoning", "in the content"): {
        "answer": leak_thoughts,
        "also": {"reasoning_tokens", "include_reasoning"},
    },
    ("reasoning", "not in streams"): {
        "request": in_streams(lambda body: body.update(include_reasoning=False))
    },
    ("reasoning_effort", "exchanged"): {
        "request": change("reasoning_effort", lambda e: {"low": "high", "high": "low"}.get(e, e))
    },
    ("reasoning_effort", "two steps only"): {
        "request": change("reasoning_effort", lambda e: "low" if e == "high" else e)
    },
    ("reasoning_tokens", "all"): {
        "answer": count_thoughts(lambda usage: usage["completion_tokens"])
    },
    ("reasoning_tokens", "a few"): {"answer": count_thoughts(lambda usage: 5)},
    ("reasoning_tokens", "none"): {"answer": count_thoughts(lambda usage: 0)},
    ("include_reasoning", "dropped"): {"request": drop("include_reasoning")},
    ("include_reasoning", "always false"): {
        "request": change("include_reasoning", lambda wanted: False)
    },
    ("verbosity", "dropped"): {"request": drop("verbosity")},
    ("verbosity", "never high"): {"request": change("verbosity", lambda value: "low")},
    ("echo", "dropped"): {"path": "/completions", "request": drop("echo")},
    ("echo", "nothing after it"): {"path": "/completions", "answer": only_echo},
    ("batch", "copied"): {"path": "/content", "lines": copy_answers},
    ("batch", "names exchanged"): {"path": "/content", "lines": exchange_names},
    ("batch", "half of it"): {"path": "/content", "lines": lambda lines: lines[:1]},
    ("long_context", "cut"): {"request": cut_long_prompts},
    ("long_context", "cut, and claimed"): {"request": cut_long_prompts, "answer": claim_all},
    ("max_output_tokens", "dropped"): {"path": "/responses", "request": drop("max_output_tokens")},
    ("max_output_tokens", "doubled"): {
        "path": "/responses",
        "request": change("max_output_tokens", lambda limit: limit * 2),
    },
    ("responses", "instructions dropped"): {"path": "/responses", "request": drop("instructions")},
    ("responses", "never streamed"): {"path": "/responses", "request": drop("stream")},
    ("error_bodies", "flattened"): {"error": '{"error": "something went wrong"}'},
}


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
