"""Section B: abuse of parameters."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.attacks.case import ASK, Case, Target, ask, faults_of
from tests.attacks.section_a import field

OPTIONS = ()
N = "integer_above_max_value"
BAN_ALL = {str(token): -100 for token in range(1024)}
ADDRESS = "http://127.0.0.1:{port}/x.png"


def image(url: str) -> list[dict[str, Any]]:
    part = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [{"type": "text", "text": "Look"}, part]}]


def talk(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


async def no_connection(target: Target) -> list[str]:
    """Row 38: nobody is called, whatever address a message names."""
    called: list[str] = []

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append("a connection was opened")
        writer.close()

    listener = await asyncio.start_server(heard, "127.0.0.1", 0)
    url = ADDRESS.format(port=listener.sockets[0].getsockname()[1])
    faults = []
    for address in (url, "http://169.254.169.254/", "file:///etc/passwd", "data:image/png;base64,"):
        answer = await target.post(ASK | {"messages": image(address)})
        faults += [each.replace("/etc/passwd", "") for each in faults_of(answer, 400)]
    answer = await target.post(ASK | {"messages": [user(f"![x]({url})")]})
    faults += faults_of(answer, 200)
    listener.close()
    return faults + called


async def bounded_logprobs(target: Target) -> list[str]:
    """Row 29: much output, in bounded memory."""
    body = ASK | {"n": 8, "logprobs": True, "top_logprobs": 20, "max_tokens": 4_000, "stream": True}
    size = 0
    async with target.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for part in answer.aiter_bytes():
            size += len(part)
    return [] if answer.status_code == 200 and size else ["no answer"]


async def whole_logprobs(target: Target) -> list[str]:
    """Its sibling without a stream: the largest plain answer."""
    body = ASK | {"n": 128, "logprobs": True, "top_logprobs": 20, "max_tokens": 60}
    return faults_of(await target.post(body), 200)


async def short_echo(target: Target) -> list[str]:
    """Row 39: an error repeats little of a wrong name."""
    answer = await target.post(ASK | {"model": "x" * 1_000_000})
    faults = faults_of(answer, (400, 404))
    return faults if len(answer.content) < 1_000 else [*faults, "a long echo"]


async def space(target: Target) -> list[str]:
    """Row 43: JSON that only grows."""
    wanted = {
        "messages": [user("Write JSON.")], "response_format": {"type": "json_object"},
        "max_tokens": 60,
    }  # fmt: skip
    answer = await target.post(ASK | wanted | {"logit_bias": {"0": -100, "2": -100}})
    if faults := faults_of(answer, 200):
        return faults
    said = answer.json()["choices"][0]
    if said["finish_reason"] not in ("length", "stop"):
        faults.append(said["finish_reason"])
    return faults if len(said["message"]["content"]) < 2_000 else [*faults, "endless"]


MANY = {"role": "user", "content": "x"}
CASES: list[Case] = [
    ask(23, "a million", {"n": 1_000_000}, param="n", code=N, quick=True),
    *(ask(23, repr(value), {"n": value}, param="n", quick=True)
      for value in (0, -1, 1.5, "2", True, 129, 2**63, [])),
    ask(24, "best_of", {"best_of": 100_000}, quick=True),
    ask(25, "10**12", {"max_tokens": 10**12}, quick=True),
    *(ask(25, repr(value), {"max_tokens": value}, param="max_tokens", quick=True)
      for value in (-1, 0, 1.5, "4")),
    ask(25, "both", {"max_completion_tokens": 4}, quick=True),
    ask(25, "all that fits", {"max_tokens": 8_000, "stop": [" "], "seed": 1}, 200),
    *(ask(26, f"{name} {value}", {name: value}, param=name, quick=True)
      for name, value in (("temperature", 999_999), ("temperature", -1), ("top_p", -1),
                          ("top_p", 1.1), ("presence_penalty", 3), ("frequency_penalty", -3))),
    ask(26, "corner", {"top_p": 0, "temperature": 0}, 200, quick=True),
    ask(26, "repeat_penalty", {"repeat_penalty": 0}, quick=True),
    *(ask(27, f"bias {name}", {"logit_bias": value}, quick=True)
      for name, value in (("id", {"99999999": 1}), ("-1", {"-1": 1}), ("word", {"abc": 1}),
                          ("101", {"5": 101}), ("text", {"5": "1"}), ("list", [1]))),
    ask(27, "bias 1e400", field("logit_bias", '{"5": 1e400}'), quick=True),
    ask(27, "two million", lambda: {"logit_bias": {str(at): 1 for at in range(250_000)}}),
    ask(28, "every end", {"logit_bias": BAN_ALL, "max_tokens": 8}, (200, 400), quick=True),
    ask(28, "a grammar wants it", {
        "messages": [user("JSON")], "logit_bias": BAN_ALL,
        "response_format": {"type": "json_object"}, "max_tokens": 8,
    }, (200, 400), quick=True),
    *(ask(29, repr(change), change, quick=True)
      for change in ({"top_logprobs": 21, "logprobs": True}, {"top_logprobs": -1, "logprobs": True},
                     {"top_logprobs": 2}, {"logprobs": 5})),
    Case(29, "much in a stream", bounded_logprobs, lag=0.1),
    Case(29, "much at once", whole_logprobs, lag=0.1),
    *(ask(30, f"stop {name}", {"stop": value}, quick=True)
      for name, value in (("5", list("abcde")), ("10,000", ["a"] * 10_000), ("empty", ""),
                          ("number", 5), ("nested", [["a"]]))),
    ask(30, "stop of 1 MB", lambda: {"stop": "x" * 1_000_000}),
    ask(30, "no stops", {"stop": []}, (200, 400)),
    ask(30, "long common beginnings", {"stop": ["a" * 200 + end for end in "bcde"]}, 200),
    *(ask(31, repr(value), {"seed": value}, param="seed", quick=True)
      for value in (2**63, -(2**63) - 1, 1.5, "1")),
    ask(31, "-1", {"seed": -1}, 200, quick=True),
    ask(32, "stop_token_ids", {"stop_token_ids": [999_999_999]}, quick=True),
    *(ask(33, repr(value), {"model": "gpt-4.1-mini", "prompt": value}, (400, 404),
          path="/v1/completions") for value in ([999_999_999], [-1], [], [[]], [1, "a"])),
    *(ask(34, name, {name: value}, quick=True)
      for name, value in (("n_discard", -5), ("n_keep", -999), ("cache_prompt", True),
                          ("id_slot", -1))),
    *(ask(35, name, {name: "x"}, quick=True)
      for name in ("guided_decoding_backend", "api_base", "base_url", "model_path",
                   "mm_processor_kwargs")),
    ask(36, "template", {"chat_template": "{{ 7 * 7 }}"}, quick=True),
    ask(36, "variables", {"chat_template_kwargs": {"tokenize": True, "messages": []}}, quick=True),
    ask(37, "embeddings", {"prompt_embeds": "gASVAAAAAAAAAAA="}, quick=True),
    Case(38, "addresses", no_connection, quick=True),
    *(ask(39, name, {"model": name}, (400, 404), quick=True)
      for name in ("../../etc/passwd", "", "gpt-4.1-mini\0", "a/b", "file:///x")),
    Case(39, "1 MB", short_echo),
    *(ask(40, name, {"metadata": value}, quick=True)
      for name, value in (("17 pairs", {str(at): "a" for at in range(17)}), ("number", {"a": 1}),
                          ("nested", {"a": {}}), ("long key", {"k" * 65: "a"}))),
    ask(40, "metadata of 1 MB", lambda: {"metadata": {"a": "x" * 1_000_000}}),
    ask(40, "user of 1 MB", lambda: {"user": "x" * 1_000_000}),
    ask(40, "safety_identifier of 1 MB", lambda: {"safety_identifier": "x" * 1_000_000}),
    ask(40, "prompt_cache_key of 1 MB", lambda: {"prompt_cache_key": "x" * 1_000_000}),
    ask(41, "none", {"messages": []}, param="messages", quick=True),
    ask(41, "100,000 messages", lambda: {"messages": [MANY] * 100_000}),
    ask(41, "30,000 messages", lambda: {"messages": [MANY] * 30_000}),
    ask(41, "role", talk({"role": "boss", "content": "x"}), param="messages[0].role", quick=True),
    ask(41, "result without a call", talk({"role": "tool", "content": "x", "tool_call_id": "a"}),
        quick=True),
    ask(41, "null", talk(user(None)), quick=True),
    ask(41, "50,000 parts", lambda: talk(user([{"type": "text", "text": "x"}] * 50_000))),
    ask(41, "no text", talk(user([])), quick=True),
    ask(42, "stream", {"stream": "yes"}, param="stream", quick=True),
    ask(42, "options", {"stream_options": {"include_usage": True}}, quick=True),
    Case(43, "endless white space", space, quick=True),
]  # fmt: skip
