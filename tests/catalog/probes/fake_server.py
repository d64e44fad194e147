"""A small server that honours every parameter of chat completions, on a model of random bigrams."""

import asyncio
import json
import math
import random
import re
import zlib
from functools import lru_cache

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

# A prime number of words, so that round token ids stand for different ones.
VOCABULARY = [f" {a}{b}" for a in "bdfghklmnprst" for b in ("ea", "ate", "e")][:37]
DEFAULT_LENGTH = 120
TOKEN_SECONDS = 0.002
KNOWN = {
    "model", "messages", "max_tokens", "temperature", "top_p", "stop", "seed", "n", "stream",
    "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "tools",
    "tool_choice", "parallel_tool_calls", "response_format", "prediction", "modalities",
    "stream_options", "max_completion_tokens",
}  # fmt: skip


@lru_cache(maxsize=50_000)
def scores(prompt, last):
    chance = random.Random(f"{prompt}{last}")
    return [chance.gauss(0, 1.5) for _ in VOCABULARY]


def sample(body, prompt, written, chance):
    raw = scores(prompt, written[-1] if written else -1)
    adjusted = []
    for token, score in enumerate(raw):
        count = written.count(token)
        score -= count * body.get("frequency_penalty", 0)
        score -= (count > 0) * body.get("presence_penalty", 0)
        adjusted.append(score)
    for token, bias in (body.get("logit_bias") or {}).items():
        adjusted[int(token) % len(VOCABULARY)] += bias
    temperature = body.get("temperature", 1)
    if temperature == 0:
        return adjusted.index(max(adjusted))
    weights = [math.exp(min((s - max(adjusted)) / temperature, 0)) for s in adjusted]
    order = sorted(range(len(weights)), key=lambda t: -weights[t])
    kept, mass = [], 0.0
    for token in order:
        kept.append(token)
        mass += weights[token] / sum(weights)
        if mass >= body.get("top_p", 1):
            break
    return chance.choices(kept, [weights[token] for token in kept])[0]


def logprob_entry(prompt, last, token, top):
    raw = scores(prompt, last)
    total = math.log(sum(map(math.exp, raw)))

    def entry(t):
        return {
            "token": VOCABULARY[t],
            "logprob": raw[t] - total,
            "bytes": list(VOCABULARY[t].encode()),
        }

    best = sorted(range(len(raw)), key=lambda t: -raw[t])[:top]
    return entry(token) | {"top_logprobs": [entry(t) for t in best]}


def instance(schema):
    if "enum" in schema:
        return schema["enum"][-1]
    if schema["type"] == "object":
        return {name: instance(part) for name, part in schema["properties"].items()}
    if schema["type"] == "array":
        return [instance(schema["items"])]
    return {"string": "x", "boolean": True}[schema["type"]]


def tool_calls(body):
    """The last assistant's calls again, unless tool_choice says otherwise."""
    given = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or []}
    choice = body.get("tool_choice", "auto")
    if not given or choice == "none":
        return []
    before = [m["tool_calls"] for m in body["messages"] if m.get("tool_calls")]
    calls = [(c["function"]["name"], c["function"]["arguments"]) for c in (before or [[]])[-1]]
    if isinstance(choice, dict):
        calls = [(choice["function"]["name"], None)]
    elif choice == "required" and not calls:
        calls = [(next(iter(given)), None)]
    if not body.get("parallel_tool_calls", True):
        calls = calls[:1]
    made = []
    for index, (name, arguments) in enumerate(calls):
        if arguments is None or given[name].get("strict"):
            arguments = json.dumps(instance(given[name]["parameters"]))
        function = {"name": name, "arguments": arguments}
        made.append({"id": f"call_{index}", "type": "function", "function": function})
    return made


NEEDLE = re.compile(r"the code of the harbour door is (\d+)")


def forced_text(body):
    found = NEEDLE.search(flat(body["messages"][-1]["content"]))
    if found:
        return found[1]
    form = body.get("response_format") or {}
    if form.get("type") == "json_object":
        return '{"hello": "json"}'
    if form.get("type") == "json_schema":
        return json.dumps(instance(form["json_schema"]["schema"]), ensure_ascii=False)
    return None


def choose(body, prompt, index, chance):
    calls, forced = tool_calls(body), forced_text(body)
    message = {"role": "assistant", "content": forced, "refusal": None}
    choice = {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"}
    if calls:
        message |= {"content": None, "tool_calls": calls}
        return choice | {"finish_reason": "tool_calls"}, 5, []
    if forced is not None:
        return choice, len(forced.split()), [forced]
    stops = body.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    written, text, finish = [], "", "length"
    while len(written) < body.get("max_tokens", DEFAULT_LENGTH):
        written.append(sample(body, prompt, written, chance))
        text += VOCABULARY[written[-1]]
        found = [text.index(stop) for stop in stops if stop in text]
        if found:
            text, finish = text[: min(found)], "stop"
            break
    message["content"] = text
    if body.get("logprobs"):
        lasts = [-1, *written[:-1]]
        pairs = zip(lasts, written, strict=True)
        entries = [logprob_entry(prompt, a, b, body.get("top_logprobs", 0)) for a, b in pairs]
        choice["logprobs"] = {"content": entries, "refusal": None}
    return choice | {"finish_reason": finish}, len(written), [VOCABULARY[t] for t in written]


def error(status, message, param=None, code=None):
    kind = "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status)


def fault_of(body):
    if body.get("model") != "fake":
        return error(404, "no such model", None, "model_not_found")
    if extra := body.keys() - KNOWN:
        return error(400, f"Unrecognized request argument supplied: {extra}")
    if "messages" not in body:
        return error(400, "no messages", "messages", "missing_required_parameter")
    if not body["messages"]:
        return error(400, "empty messages", "messages", "empty_array")
    for message in body["messages"]:
        if isinstance(message["content"], list):
            for part in message["content"]:
                if part["type"] != "text":
                    return error(400, "bad part", "messages", "invalid_value")
    return None


def flat(content):
    return "".join(p["text"] for p in content) if isinstance(content, list) else content or ""


def make_app():
    seen = set()

    async def chat(request):
        try:
            body = json.loads(await request.body())
        except ValueError:
            return error(400, "We could not parse the JSON body of your request.")
        if fault := fault_of(body):
            return fault
        body.setdefault("max_tokens", body.get("max_completion_tokens", DEFAULT_LENGTH))
        prompt = " ".join(flat(m["content"]) for m in body["messages"])
        count = len(prompt.split())
        cached = count if prompt in seen and count >= 1024 else 0
        seen.add(prompt)
        chance = random.Random(body.get("seed"))
        rows = [
            choose(body, zlib.crc32(prompt.encode()), i, chance) for i in range(body.get("n", 1))
        ]
        guess = flat((body.get("prediction") or {}).get("content"))
        accepted = len(rows[0][0]["message"]["content"] or "") if rows and guess else 0
        if guess and guess != rows[0][0]["message"]["content"]:
            accepted = 0
        written = sum(tokens for _, tokens, _ in rows)
        usage = {
            "prompt_tokens": count,
            "completion_tokens": written,
            "total_tokens": count + written,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"accepted_prediction_tokens": accepted},
        }
        whole = {"id": "chatcmpl-1", "object": "chat.completion", "system_fingerprint": "fp_fake"}
        if body.get("stream"):
            counted = usage if (body.get("stream_options") or {}).get("include_usage") else None
            events = stream(whole, rows, counted)
            return StreamingResponse(events, media_type="text/event-stream")
        await asyncio.sleep(TOKEN_SECONDS * written)
        return JSONResponse(whole | {"choices": [row[0] for row in rows], "usage": usage})

    async def stream(whole, rows, usage):
        def chunk(index, delta, finish=None, entry=None):
            choice = {"index": index, "delta": delta, "finish_reason": finish}
            choice["logprobs"] = {"content": [entry]} if entry else None
            return f"data: {json.dumps(whole | {'choices': [choice]})}\n\n"

        for choice, _, pieces in rows:
            message, rest = choice["message"], choice["message"]["content"] or ""
            entries = (choice["logprobs"] or {}).get("content") or [None] * len(pieces)
            yield chunk(choice["index"], {"role": "assistant", "content": ""})
            for piece, entry in zip(pieces, entries, strict=True):
                await asyncio.sleep(TOKEN_SECONDS)
                # A stop sequence can end the text within a piece.
                if rest:
                    yield chunk(choice["index"], {"content": rest[: len(piece)]}, entry=entry)
                rest = rest[len(piece) :]
            for index, call in enumerate(message.get("tool_calls") or []):
                yield chunk(choice["index"], {"tool_calls": [{"index": index, **call}]})
            yield chunk(choice["index"], {}, choice["finish_reason"])
        if usage:
            yield f"data: {json.dumps(whole | {'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    async def responses(request):
        body = json.loads(await request.body())
        given = body["input"]
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if body.get("instructions"):
            messages = [{"role": "system", "content": body["instructions"]}, *messages]
        prompt = " ".join(flat(m["content"]) for m in messages)
        limit = body.get("max_output_tokens", DEFAULT_LENGTH)
        asked = body | {"messages": messages, "max_tokens": limit}
        _, count, pieces = choose(asked, zlib.crc32(prompt.encode()), 0, random.Random(0))
        is_cut = count == body.get("max_output_tokens")
        part = {"type": "output_text", "text": "".join(pieces), "annotations": []}
        made = {
            "object": "response",
            "status": "incomplete" if is_cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "output": [{"type": "message", "role": "assistant", "content": [part]}],
            "usage": {"input_tokens": len(prompt.split()), "output_tokens": count},
        }
        if not body.get("stream"):
            return JSONResponse(made)
        events = [
            {"type": "response.created"},
            *({"type": "response.output_text.delta", "delta": piece} for piece in pieces),
            {"type": f"response.{made['status']}", "response": made},
        ]
        text = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
        return StreamingResponse(iter([text]), media_type="text/event-stream")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/responses", responses, methods=["POST"]),
        ]
    )
