"""Checks of input and output: text, parts, length, stop sequences, streams, choices."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

from minikin.catalog.probes import stream as streams
from minikin.catalog.probes.probe import Asker, Body, Failed, Ignored, Inconclusive, answer
from minikin.catalog.probes.stream import Stream

STORY = "Tell me a long story about a lighthouse keeper and the sea."


def text(asker: Asker) -> str:
    """Two plain prompts get two different answers, with a finish reason and a count."""
    replies = [
        asker.ask(prompt, max_tokens=14) for prompt in (STORY, "List five kinds of vegetables.")
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
    """Two answers have the allowed number of tokens, by the usage and by their text."""
    return _limited(asker, "max_tokens")


def max_completion_tokens(asker: Asker) -> str:
    """The same limit under the name that reasoning models use."""
    return _limited(asker, "max_completion_tokens")


def _limited(asker: Asker, name: str) -> str:
    for limit in (4, 9):
        body = asker.body(STORY, literal={name: limit}, **asker.greedy)
        reply = answer(body, body["choices"][0])
        count = reply.usage.get("completion_tokens")
        if not isinstance(count, int):
            raise Inconclusive("no completion_tokens to count with")
        if count > limit:
            raise Ignored(f"{count} tokens, but {limit} were allowed")
        if count != limit or reply.finish != "length":
            raise Failed(f"{count} of {limit} tokens, finish_reason {reply.finish!r}")
        _count_text(asker, reply.text, limit)
    if streamed := asker.stream(STORY, literal={name: 9}, **asker.greedy):
        _count_text(asker, streamed.text, 9, " when streaming")
    return "exactly 4 and 9 tokens, finish_reason length, also when streaming"


def _count_text(asker: Asker, text: str, limit: int, how: str = "") -> None:
    """Count a text as a part of a prompt: what a server says about its own answers can be false."""
    sizes = [
        asker.body(prompt, max_tokens=1, **asker.greedy).get("usage", {}).get("prompt_tokens")
        for prompt in ("Hello", f"Hello {text}")
    ]
    if all(isinstance(size, int) for size in sizes) and sizes[1] - sizes[0] > 1.5 * limit + 3:
        raise Ignored(f"the text has {sizes[1] - sizes[0]} tokens, but {limit} were allowed{how}")


def stop(asker: Asker) -> str:
    """The answer's most common letters end it, as a string and in a list, also inside a token."""
    control = asker.ask(STORY, max_tokens=32, **asker.greedy).text
    letters = [letter for letter, _ in Counter(filter(str.isalpha, control)).most_common(2)]
    if len(letters) < 2:
        raise Inconclusive("the answer has no letters to stop at")
    for ask, how in ((asker.ask, ""), (asker.stream, " when streaming")):
        for value, letter in ((letters[0], letters[0]), (["zq#", letters[1]], letters[1])):
            reply = ask(STORY, max_tokens=32, stop=value, **asker.greedy)
            if reply is None:
                continue
            if letter in reply.text:
                raise Ignored(f"the answer still contains the stop sequence {letter!r}{how}")
            if reply.finish != "stop":
                raise Failed(f"finish_reason is {reply.finish!r}{how}")
    return "two stop sequences end the answer and are not in it, also when streaming"


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


_TRIALS = 4
"""How often a stream may differ from a plain answer, or arrive at once, by chance."""


def streaming(asker: Asker) -> str:
    """Deltas arrive while the answer is made, end with [DONE], and add up to the plain answer."""
    plain: set[str] = set()
    times: list[float] = []
    reason = ""
    # Greedy answers of some servers differ now and then, and a busy machine can delay deltas.
    for _ in range(_TRIALS):
        reply, seconds = asker.timed(STORY, **_long(asker))
        plain.add(reply.text)
        times.append(seconds)
        streamed = _streamed(asker)
        moments = streamed.arrivals
        spread = moments[-1] - moments[0] if moments else 0.0
        if not any(_begins(streamed.choice["message"]["content"], text) for text in plain):
            reason = "the text of the deltas differs from the plain answer"
        elif len(moments) < 2 or spread <= 0.1 * moments[-1]:
            reason = "all deltas arrived at the same time"
        elif fastest := _not_before(asker, moments[0], times):
            reason = f"the first delta came after {moments[0]:.2f} s, a whole plain answer after "
            reason += f"{fastest:.2f} s"
        else:
            return f"{len(moments)} deltas over {1000 * spread:.0f} ms add up to the answer"
    if "after" in reason and median(times) > 2 * min(times):
        raise Inconclusive("the server is too busy to time its first delta")
    raise Failed(reason)


def _not_before(asker: Asker, first: float, times: list[float]) -> float | None:
    """The seconds of the fastest plain answer, if the first delta of a stream was not before it.

    A plain answer can be slow by chance, so that a stream that was computed first looks true. So
    there are at least two, and more while the first delta is near the fastest of them.
    """
    for _ in range(_TRIALS):
        fastest = min(times)
        if fastest <= _MEASURABLE or (len(times) > 1 and first < _EARLY * fastest):
            return None
        if first > _LATE * fastest:
            return fastest
        times.append(asker.timed(STORY, **_long(asker))[1])
    return None


_MEASURABLE = 0.05
"""Seconds of a plain answer, above which the time of the first delta says something."""
_EARLY, _LATE = 0.35, 0.7
"""The parts of a plain answer's time before which a first delta is in time, and after which it is
too late."""


def _begins(one: str, other: str) -> bool:
    """Whether one text begins with the other. Their lengths are another check's concern."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _long(asker: Asker) -> Body:
    return {"max_tokens": 48, **asker.greedy}


def _streamed(asker: Asker) -> Stream:
    """The stream. Raises Ignored, Failed."""
    found = streams.read(asker.accepted(asker.send(STORY, stream=True, **_long(asker))))
    if found is None:
        raise Ignored("got a plain answer instead of a stream")
    asker.note(found.first)
    if not found.done:
        raise Failed("the stream does not end with [DONE]")
    if found.deltas[0]["delta"].get("role") != "assistant":
        raise Failed("the first delta has no role")
    ends = [choice["finish_reason"] for choice in found.deltas if choice.get("finish_reason")]
    if len(ends) != 1:
        raise Failed(f"{len(ends)} chunks have a finish_reason")
    return found


def stream_usage(asker: Asker) -> str:
    """On demand, the stream ends with the same counts as a plain answer."""
    fields = {"max_tokens": 8, **asker.greedy}
    plain = asker.ask(STORY, **fields)
    reply = asker.send(STORY, stream=True, stream_options={"include_usage": True}, **fields)
    found = streams.read(asker.accepted(reply))
    if found is None:
        raise Inconclusive("got a plain answer instead of a stream")
    if not found.usage:
        raise Ignored("the stream has no usage")
    same = found.choice["message"]["content"] == plain.text
    for name in ("prompt_tokens", "completion_tokens")[: 1 + same]:
        streamed, whole = found.usage.get(name), plain.usage.get(name)
        if streamed != whole:
            raise Failed(f"{name} is {streamed}, but {whole} without a stream")
    return f"{found.usage['completion_tokens']} tokens counted in the stream, as without it"
