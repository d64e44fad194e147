"""Checks of what goes in and what comes out: text, parts, length, stops, streams, choices."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from minikin.catalog.probes.probe import Asker, Body, Failed, Ignored, Inconclusive, answer

STORY = "Tell me a long story about a lighthouse keeper and the sea."


def text(asker: Asker) -> str:
    """Two bare prompts get two non-empty, different answers, with an end reason and a count."""
    replies = [
        asker.ask(prompt, max_tokens=12) for prompt in (STORY, "List five kinds of vegetables.")
    ]
    if not all(reply.text.strip() for reply in replies):
        raise Failed("a plain prompt got an empty answer")
    if any(reply.finish not in ("stop", "length") for reply in replies):
        raise Failed(f"the end reason was {replies[0].finish!r}")
    if replies[0].text == replies[1].text:
        raise Failed("two different prompts got the same answer")
    return "two prompts, two answers"


def input_text(asker: Asker) -> str:
    """Text parts count like a string, each adds to the prompt, and an unknown kind is refused."""
    first, second = ({"type": "text", "text": part} for part in ("Hello there.", STORY))

    def size(content: Any) -> int:
        message = {"role": "user", "content": content}
        usage = asker.ask([message], max_tokens=1, **asker.greedy).usage
        if not isinstance(usage.get("prompt_tokens"), int):
            raise Inconclusive("no prompt_tokens to count with")
        return usage["prompt_tokens"]

    whole, one, two = size(first["text"]), size([first]), size([first, second])
    if whole != one:
        raise Failed(f"a string took {whole} tokens, and the same text as a part {one}")
    if two < one + 8:
        raise Ignored(f"a second text part of 12 words added {two - one} tokens")
    odd = [{"role": "user", "content": [first, {"type": "smell", "smell": "rose"}]}]
    status = asker.send(odd, max_tokens=1, **asker.greedy).status
    if not 400 <= status < 500:
        raise Failed(f"an unknown kind of input was not refused but answered {status}")
    return f"parts of {one} and {two} tokens; an unknown kind refused with {status}"


def output_text(asker: Asker) -> str:
    """Asked for the modality text, the answer's content is a string."""
    reply = asker.ask(STORY, modalities=["text"], max_tokens=8, **asker.greedy)
    if not reply.text.strip() or reply.choice["message"].get("audio"):
        raise Failed("asked for text, the answer held none")
    return "text came as a string"


def max_tokens(asker: Asker) -> str:
    """The answer has exactly as many tokens as allowed, twice, and says so."""
    for limit in (4, 9):
        reply = asker.ask(STORY, max_tokens=limit, **asker.greedy)
        count = reply.usage.get("completion_tokens")
        if not isinstance(count, int):
            raise Inconclusive("no completion_tokens to count with")
        if count > limit:
            raise Ignored(f"{count} tokens came where {limit} were allowed")
        if count != limit or reply.finish != "length":
            raise Failed(f"{count} of {limit} tokens, finish_reason {reply.finish!r}")
    return "exactly 4 and 9 tokens, finish_reason length"


def stop(asker: Asker) -> str:
    """The answer's most common letters end it, as a string and in a list; inside a token, too."""
    control = asker.ask(STORY, max_tokens=32, **asker.greedy).text
    letters = [letter for letter, _ in Counter(filter(str.isalpha, control)).most_common(2)]
    if len(letters) < 2:
        raise Inconclusive("the model's answer has no letters to stop at")
    for value, letter in ((letters[0], letters[0]), (["zq#", letters[1]], letters[1])):
        reply = asker.ask(STORY, max_tokens=32, stop=value, **asker.greedy)
        if letter in reply.text:
            raise Ignored(f"the answer still held the stop text {letter!r}")
        if reply.finish != "stop":
            raise Failed(f"finish_reason was {reply.finish!r}")
    return "two stop texts ended the answer and stayed out of it"


def n(asker: Asker) -> str:
    """Three numbered answers come, and sampling makes them differ."""
    body = asker.body(STORY, n=3, max_tokens=16, temperature=1)
    if len(body["choices"]) < 3:
        raise Ignored(f"asked for 3 answers, got {len(body['choices'])}")
    if sorted(choice["index"] for choice in body["choices"]) != [0, 1, 2]:
        raise Failed("the answers are not numbered 0, 1, 2")
    texts = {answer(body, choice).text for choice in body["choices"]}
    if len(texts) == 1:
        raise Failed("three answers are copies of one")
    return f"3 answers, {len(texts)} of them different"


def streaming(asker: Asker) -> str:
    """Deltas arrive over time, end with the mark, and add up to the plain answer."""
    plain = asker.ask(STORY, max_tokens=24, **asker.greedy)
    for _ in range(3):  # a busy machine may bunch deltas once; a proxy that holds them always does
        moments = _streamed(asker, plain.text)
        spread = moments[-1] - moments[0] if moments else 0.0
        if len(moments) > 1 and spread > 0.1 * moments[-1]:
            return f"{len(moments)} deltas over {1000 * spread:.0f} ms add up to the answer"
    raise Failed("the deltas came all at once")


def _streamed(asker: Asker, plain: str) -> list[float]:
    """When each piece of text came, in seconds. Raises Failed unless they make up `plain`."""
    reply = asker.send(STORY, max_tokens=24, stream=True, **asker.greedy)
    if reply.status != 200:
        raise Failed(f"refused with {reply.status}: {asker.complaint(reply)}")
    events = [(at, line[5:].strip()) for at, line in reply.arrivals if line.startswith("data:")]
    if not events:
        raise Ignored("a whole answer came in place of a stream")
    if events[-1][1] != "[DONE]":
        raise Failed("the stream did not end with [DONE]")
    chunks = [(at, json.loads(data)) for at, data in events[:-1]]
    deltas = [(at, choice) for at, chunk in chunks for choice in chunk["choices"]]
    said = [(at, c["delta"]["content"]) for at, c in deltas if c["delta"].get("content")]
    asker.note(chunks[0][1])
    _well_formed(deltas, "".join(text for _, text in said), plain)
    return [at for at, _ in said]


def _well_formed(deltas: list[tuple[float, Body]], streamed: str, plain: str) -> None:
    if deltas[0][1]["delta"].get("role") != "assistant":
        raise Failed("the first delta names no role")
    ends = [choice["finish_reason"] for _, choice in deltas if choice.get("finish_reason")]
    if len(ends) != 1:
        raise Failed(f"{len(ends)} chunks gave a finish_reason")
    if streamed != plain:
        raise Failed("the deltas add up to another text than the plain answer")
