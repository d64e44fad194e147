"""Checks of input and output: text, parts, length, stop sequences, streams, choices."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from minikin.catalog.probes.probe import Asker, Body, Failed, Ignored, Inconclusive, answer

STORY = "Tell me a long story about a lighthouse keeper and the sea."


def text(asker: Asker) -> str:
    """Two plain prompts get two different answers, with a finish reason and a count."""
    replies = [
        asker.ask(prompt, max_tokens=12) for prompt in (STORY, "List five kinds of vegetables.")
    ]
    if not all(reply.text.strip() for reply in replies):
        raise Failed("a plain prompt got an empty answer")
    if any(reply.finish not in ("stop", "length") for reply in replies):
        raise Failed(f"finish_reason is {replies[0].finish!r}")
    if replies[0].text == replies[1].text:
        raise Failed("two different prompts got the same answer")
    return "two prompts, two answers"


def input_text(asker: Asker) -> str:
    """Text parts count like a string, each adds to the prompt, and unknown types are rejected."""
    first, second = ({"type": "text", "text": part} for part in ("Hello there.", STORY))

    def size(content: Any) -> int:
        message = {"role": "user", "content": content}
        usage = asker.ask([message], max_tokens=1, **asker.greedy).usage
        if not isinstance(usage.get("prompt_tokens"), int):
            raise Inconclusive("no prompt_tokens to count with")
        return usage["prompt_tokens"]

    whole, one, two = size(first["text"]), size([first]), size([first, second])
    if whole != one:
        raise Failed(f"a string has {whole} tokens, but the same text as a part has {one}")
    if two < one + 8:
        raise Ignored(f"a second text part of 12 words added {two - one} tokens")
    odd = [{"role": "user", "content": [first, {"type": "smell", "smell": "rose"}]}]
    status = asker.send(odd, max_tokens=1, **asker.greedy).status
    if not 400 <= status < 500:
        raise Failed(f"an unknown part type got {status} instead of an error")
    return f"parts of {one} and {two} tokens; an unknown type rejected with {status}"


def output_text(asker: Asker) -> str:
    """With the modality text, the content of the answer is a string."""
    reply = asker.ask(STORY, modalities=["text"], max_tokens=8, **asker.greedy)
    if not reply.text.strip() or reply.choice["message"].get("audio"):
        raise Failed("requested text, but the answer has none")
    return "the content is a string"


def max_tokens(asker: Asker) -> str:
    """Two answers have exactly the allowed number of tokens, and finish reason length."""
    for limit in (4, 9):
        reply = asker.ask(STORY, max_tokens=limit, **asker.greedy)
        count = reply.usage.get("completion_tokens")
        if not isinstance(count, int):
            raise Inconclusive("no completion_tokens to count with")
        if count > limit:
            raise Ignored(f"{count} tokens, but {limit} were allowed")
        if count != limit or reply.finish != "length":
            raise Failed(f"{count} of {limit} tokens, finish_reason {reply.finish!r}")
    return "exactly 4 and 9 tokens, finish_reason length"


def stop(asker: Asker) -> str:
    """The answer's most common letters end it, as a string and in a list, also inside a token."""
    control = asker.ask(STORY, max_tokens=32, **asker.greedy).text
    letters = [letter for letter, _ in Counter(filter(str.isalpha, control)).most_common(2)]
    if len(letters) < 2:
        raise Inconclusive("the answer has no letters to stop at")
    for value, letter in ((letters[0], letters[0]), (["zq#", letters[1]], letters[1])):
        reply = asker.ask(STORY, max_tokens=32, stop=value, **asker.greedy)
        if letter in reply.text:
            raise Ignored(f"the answer still contains the stop sequence {letter!r}")
        if reply.finish != "stop":
            raise Failed(f"finish_reason is {reply.finish!r}")
    return "two stop sequences end the answer and are not in it"


def n(asker: Asker) -> str:
    """There are three numbered answers, and sampling makes them differ."""
    body = asker.body(STORY, n=3, max_tokens=16, temperature=1)
    if len(body["choices"]) < 3:
        raise Ignored(f"requested 3 answers, got {len(body['choices'])}")
    if sorted(choice["index"] for choice in body["choices"]) != [0, 1, 2]:
        raise Failed("the answers are not numbered 0, 1, 2")
    texts = {answer(body, choice).text for choice in body["choices"]}
    if len(texts) == 1:
        raise Failed("the three answers are equal")
    return f"3 answers, {len(texts)} of them different"


def streaming(asker: Asker) -> str:
    """Deltas arrive over time, end with [DONE], and add up to the plain answer."""
    plain = asker.ask(STORY, max_tokens=24, **asker.greedy)
    for _ in range(
        3
    ):  # a busy machine can delay deltas once; a proxy that buffers them always does
        moments = _streamed(asker, plain.text)
        spread = moments[-1] - moments[0] if moments else 0.0
        if len(moments) > 1 and spread > 0.1 * moments[-1]:
            return f"{len(moments)} deltas over {1000 * spread:.0f} ms add up to the answer"
    raise Failed("all deltas arrived at the same time")


def _streamed(asker: Asker, plain: str) -> list[float]:
    """The arrival of each piece of text in seconds. Raises Failed if they differ from `plain`."""
    reply = asker.send(STORY, max_tokens=24, stream=True, **asker.greedy)
    if reply.status != 200:
        raise Failed(f"rejected with {reply.status}: {asker.complaint(reply)}")
    events = [(at, line[5:].strip()) for at, line in reply.arrivals if line.startswith("data:")]
    if not events:
        raise Ignored("got a plain answer instead of a stream")
    if events[-1][1] != "[DONE]":
        raise Failed("the stream does not end with [DONE]")
    chunks = [(at, json.loads(data)) for at, data in events[:-1]]
    deltas = [(at, choice) for at, chunk in chunks for choice in chunk["choices"]]
    said = [(at, c["delta"]["content"]) for at, c in deltas if c["delta"].get("content")]
    asker.note(chunks[0][1])
    _well_formed(deltas, "".join(text for _, text in said), plain)
    return [at for at, _ in said]


def _well_formed(deltas: list[tuple[float, Body]], streamed: str, plain: str) -> None:
    if deltas[0][1]["delta"].get("role") != "assistant":
        raise Failed("the first delta has no role")
    ends = [choice["finish_reason"] for _, choice in deltas if choice.get("finish_reason")]
    if len(ends) != 1:
        raise Failed(f"{len(ends)} chunks have a finish_reason")
    if streamed != plain:
        raise Failed("the text of the deltas differs from the plain answer")
