"""What a server can do wrong with one feature: edits of requests and of answers."""

import json


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
