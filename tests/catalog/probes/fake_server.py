"""A small server that honours every parameter of many servers, on a model of random trigrams.

The model `thinker` also thinks before it answers, unless the request tells it not to.
"""

import asyncio
import base64
import json
import math
import random
import re
import zlib
from functools import lru_cache

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

# A prime number of words, so that round token ids stand for different ones.
VOCABULARY = [f" {a}{b}" for a in "bdfghklmnprst" for b in ("ea", "ate", "e")][:37]
DEFAULT_LENGTH = 120
TOKEN_SECONDS = 0.002
KNOWN = {
    "model", "messages", "max_tokens", "temperature", "top_p", "stop", "seed", "n", "stream",
    "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "tools",
    "tool_choice", "parallel_tool_calls", "response_format", "prediction", "modalities",
    "stream_options", "max_completion_tokens", "top_k", "min_p", "typical_p", "tfs", "mirostat",
    "mirostat_tau", "repetition_penalty", "no_repeat_ngram_size", "bad_words", "stop_token_ids",
    "allowed_token_ids", "reasoning_effort", "include_reasoning", "verbosity", "audio",
}  # fmt: skip


@lru_cache(maxsize=50_000)
def scores(prompt, last):
    chance = random.Random(f"{prompt}{last}")
    return [chance.gauss(0, 1.5) for _ in VOCABULARY]


def sample(body, prompt, written, chance):
    raw = scores(prompt, tuple(written[-2:]))
    adjusted = []
    for token, score in enumerate(raw):
        count = written.count(token)
        score -= count * body.get("frequency_penalty", 0)
        score -= (count > 0) * body.get("presence_penalty", 0)
        # By the count, because a once divided score of so few tokens is still among the best.
        factor = body.get("repetition_penalty", 1) ** count
        score = score / factor if score > 0 else score * factor
        if token in banned(body, written):
            score = -1e9
        adjusted.append(score)
    for token, bias in (body.get("logit_bias") or {}).items():
        adjusted[int(token) % len(VOCABULARY)] += bias
    temperature = body.get("temperature", 1)
    if temperature == 0:
        return adjusted.index(max(adjusted))
    weights = [math.exp(min((s - max(adjusted)) / temperature, 0)) for s in adjusted]
    order = sorted(range(len(weights)), key=lambda t: -weights[t])[: body.get("top_k")]
    order = [t for t in order if weights[t] >= body.get("min_p", 0) * weights[order[0]]]
    if body.get("mirostat"):
        total = sum(weights)
        surprise = body["mirostat_tau"] * 2
        order = [t for t in order if -math.log2(weights[t] / total) <= surprise] or order[:1]
    if min(body.get("typical_p", 1), body.get("tfs", 1)) < 0.01:
        order = order[:1]
    kept, mass = [], 0.0
    for token in order:
        kept.append(token)
        mass += weights[token] / sum(weights)
        if mass >= body.get("top_p", 1):
            break
    return chance.choices(kept, [weights[token] for token in kept])[0]


def banned(body, written):
    """The tokens that may not come next."""
    found = {t for t, text in enumerate(VOCABULARY) if text.strip() in body.get("bad_words", ())}
    if "allowed_token_ids" in body:
        allowed = {token % len(VOCABULARY) for token in body["allowed_token_ids"]}
        found |= set(range(len(VOCABULARY))) - allowed
    if (size := body.get("no_repeat_ngram_size")) and len(written) >= size - 1:
        last = tuple(written[len(written) - size + 1 :])
        runs = [tuple(written[at : at + size]) for at in range(len(written) - size + 1)]
        found |= {run[-1] for run in runs if run[:-1] == last}
    return found


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


THOUGHTS = {"none": 0, "low": 10, "high": 50}
LENGTHS = {"low": 10, "medium": 30, "high": 60}


def thought(body):
    """The tokens that the model thinks before its answer. The limit can cut them."""
    size = THOUGHTS[body.get("reasoning_effort", "high")] if body["model"] == "thinker" else 0
    return min(size, body["max_tokens"])


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
    if size := thought(body):
        left = min(body["max_tokens"] - size, LENGTHS["medium"])
        asked = body | {"max_tokens": left, "reasoning_effort": "none"}
        choice, count, pieces = choose(asked, prompt, index, chance)
        if body.get("include_reasoning", True):
            choice["message"]["reasoning_content"] = "hmm " * size
        return choice, count + size, pieces
    choice, count, pieces = answered(body, prompt, index, chance)
    if "audio" in body.get("modalities", ()):
        choice["message"] |= {"content": None, "audio": spoken()}
    return choice, count, pieces


def answered(body, prompt, index, chance):
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
    limit = body.get("max_tokens", DEFAULT_LENGTH)
    if (wanted := LENGTHS.get(body.get("verbosity"), limit)) < limit:
        limit, finish = wanted, "stop"
    while len(written) < limit:
        written.append(sample(body, prompt, written, chance))
        text += VOCABULARY[written[-1]]
        found = [text.index(stop) for stop in stops if stop in text]
        if found:
            text, finish = text[: min(found)], "stop"
            break
        if written[-1] in body.get("stop_token_ids", ()):
            text, finish = text.removesuffix(VOCABULARY[written.pop()]), "stop"
            break
    message["content"] = text
    if body.get("logprobs"):
        entries = [
            logprob_entry(prompt, tuple(written[:at][-2:]), token, body.get("top_logprobs", 0))
            for at, token in enumerate(written)
        ]
        choice["logprobs"] = {"content": entries, "refusal": None}
    return choice | {"finish_reason": finish}, len(written), [VOCABULARY[t] for t in written]


def error(status, message, param=None, code=None):
    kind = "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status)


def fault_of(body):
    if body.get("model") not in ("fake", "thinker"):
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
                if part["type"] not in ("text", "image_url", "input_audio", "file"):
                    return error(400, "bad part", "messages", "invalid_value")
    return None


def flat(content):
    """A content as text. Other parts become a text that depends on them."""
    if not isinstance(content, list):
        return content or ""
    return "".join(map(seen_in, content))


def seen_in(part):
    if part["type"] == "file":
        return base64.b64decode(part["file"]["file_data"].partition(",")[2]).decode() + " "
    if part["type"] == "image_url":
        return f"picture-{zlib.crc32(part['image_url']['url'].encode())} "
    if part["type"] == "input_audio":
        return "sound " * (len(part["input_audio"]["data"]) // 1_000)
    return part["text"]


def spoken():
    sound = base64.b64encode(b"RIFF" + bytes(2_000)).decode()
    return {"id": "audio_1", "data": sound, "transcript": "hello", "expires_at": 1}


def make_app():
    seen = set()

    async def chat(request):
        try:
            body = json.loads(await request.body())
        except ValueError:
            return error(400, "We could not parse the JSON body of your request.")
        if fault := fault_of(body):
            return fault
        rows, usage = complete(body)
        whole = {"id": "chatcmpl-1", "object": "chat.completion", "system_fingerprint": "fp_fake"}
        if body.get("stream"):
            counted = usage if (body.get("stream_options") or {}).get("include_usage") else None
            events = stream(whole, rows, counted)
            return StreamingResponse(events, media_type="text/event-stream")
        await asyncio.sleep(TOKEN_SECONDS * usage["completion_tokens"])
        return JSONResponse(whole | {"choices": [row[0] for row in rows], "usage": usage})

    def complete(body):
        """The choices of a chat completion, and its usage."""
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
            "completion_tokens_details": {
                "accepted_prediction_tokens": accepted,
                "reasoning_tokens": thought(body),
            },
        }
        return rows, usage

    async def stream(whole, rows, usage):
        def chunk(index, delta, finish=None, entry=None):
            choice = {"index": index, "delta": delta, "finish_reason": finish}
            choice["logprobs"] = {"content": [entry]} if entry else None
            return f"data: {json.dumps(whole | {'choices': [choice]})}\n\n"

        for choice, _, pieces in rows:
            message, rest = choice["message"], choice["message"]["content"] or ""
            entries = (choice["logprobs"] or {}).get("content") or [None] * len(pieces)
            yield chunk(choice["index"], {"role": "assistant", "content": ""})
            if thoughts := message.get("reasoning_content"):
                yield chunk(choice["index"], {"reasoning_content": thoughts})
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
        effort = (body.get("reasoning") or {}).get("effort", "none")
        asked = body | {"messages": messages, "max_tokens": limit, "reasoning_effort": effort}
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

    async def completions(request):
        body = json.loads(await request.body())
        messages = [{"role": "user", "content": body["prompt"]}]
        rows, _ = complete(body | {"messages": messages, "reasoning_effort": "none"})
        text = rows[0][0]["message"]["content"]
        text = body["prompt"] + text if body.get("echo") else text
        return JSONResponse({"choices": [{"index": 0, "text": text, "finish_reason": "length"}]})

    files = {}

    async def upload(request):
        form = await request.body()
        content = form.partition(b"filename=")[2].partition(b"\r\n\r\n")[2]
        files["file-in"] = content.partition(b"\r\n--")[0].decode()
        return JSONResponse({"id": "file-in", "object": "file"})

    async def batches(request):
        rows = [json.loads(line) for line in files["file-in"].splitlines()]
        done = [
            {"custom_id": row["custom_id"], "response": {"status_code": 200, "body": body_of(row)}}
            for row in rows
        ]
        files["file-out"] = "".join(f"{json.dumps(row)}\n" for row in done)
        return JSONResponse({"id": "batch-1", "status": "in_progress"})

    def body_of(row):
        rows, usage = complete(row["body"])
        return {"choices": [row[0] for row in rows], "usage": usage}

    async def batch(request):
        done = {"id": "batch-1", "status": "completed", "output_file_id": "file-out"}
        return JSONResponse(done)

    async def content(request):
        return Response(files[request.path_params["id"]], media_type="application/jsonl")

    async def delete(request):
        del files[request.path_params["id"]]
        return JSONResponse({"deleted": True})

    return Starlette(
        routes=[
            Route("/v1/completions", completions, methods=["POST"]),
            Route("/v1/files", upload, methods=["POST"]),
            Route("/v1/files/{id}", delete, methods=["DELETE"]),
            Route("/v1/files/{id}/content", content),
            Route("/v1/batches", batches, methods=["POST"]),
            Route("/v1/batches/{id}", batch),
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/responses", responses, methods=["POST"]),
        ]
    )
