"""docs/compatibility.md, written from the rules that requests are checked against.

`python -m minikin.api.reference` prints it; a test compares it with the file.
"""

from __future__ import annotations

from collections.abc import Iterable

from minikin.api.http.keys import MAX_WRONG
from minikin.api.request.message_rules import MAX_MESSAGES, MAX_PARTS, MAX_TOOLS, MESSAGE
from minikin.api.request.parameter_rules import LogitBias
from minikin.api.request.parameters import EXTENSIONS, MAX_STOP_CHARS, PARAMETERS, Parameter
from minikin.api.request.rules import MAX_DEPTH, Object
from minikin.api.routes.openapi import document
from minikin.api.serving.store import MAX_STORED
from minikin.config import ServerSettings

_INTRODUCTION = """\
# Compatibility with OpenAI's API

What Minikin does with each part of OpenAI's chat completions API, as `gpt-4.1-mini` serves it.
This page is written by `python -m minikin.api.reference` from the rules that the server checks
requests against; edit those.

Every field is honoured or refused with an error, none is ignored in silence. A request with a fault
gets the original's status, wording, `param` and `code`; of several faults the original reports one,
and so does Minikin: the model first, then the type and range of each parameter in the order of the
table below, then the rules that span parameters.
"""
_EXTENSIONS = """\
The original refuses these as unrecognised, and so does the server, unless it is started with
`minikin serve --extensions`. A token must pass `top_k`, `min_p` and `top_p` alike, each judged on
the distribution at the request's temperature; `repetition_penalty` comes before the other penalties
and `logit_bias`.

"""
_HEADERS = """\
| header | value |
|---|---|
| `x-request-id` | `req_` and 32 hex digits, on every answer; the log names it where one failed |
| `openai-processing-ms` | time to the first byte; not on a 404, as in the original |
| `openai-version` | `2020-10-01` |
| `openai-organization` | `minikin` |
| `x-ratelimit-limit-requests`, `x-ratelimit-remaining-requests` | requests in flight, the one \
limit that the server has; the headers of other limits are left out |
| `retry-after` | seconds, with a 503, and with the 429 after too many wrong keys or new schemas |
"""
_DIFFERENCES = """\
- Images, audio and files in messages are refused: the models served read text.
- `model` in an answer is the name that was asked for, where the original gives a dated snapshot.
- A `name` on a message that the chat template has no place for is written before the content, as
  `name: content`. A `developer` message is a `system` message where the template knows only that.
- `cached_tokens` tells of a reused prompt from 1,024 tokens on, in steps of 128, as the original
  does; shorter beginnings are reused too, from 16 tokens on, and not told of.
- What a reasoning model says to itself is in `reasoning_content`, of a message and of a delta,
  never in `content`; `reasoning_tokens` counts it, log probabilities leave it out. Assistant
  messages may be sent back with it. An answer held to a form (`json_object`, `json_schema`, a call
  that must be) begins without thoughts. What looks like a call within thoughts is thought.
- A server may have several models. A request for one that isn't in memory waits for it, and is
  answered 503 after the server's `load_seconds`, or 500 with code `model_load_failed`.
- A request that has stopped the engine twice is answered 500 with code `request_quarantined`.
- A prompt's beginning is reused only for the API key that sent it.
- Content parts of one message are joined by line breaks.
- An answer to a schema has a part of what the schema allows, so that small models come to an end:
  numbers of up to 16 digits and six after the point, at most 128 elements where there is no
  `maxItems`, ten levels where a schema comes back within itself, values of any type three levels
  deep, no properties beside those named. Where `uniqueItems` is asked for and the values aren't
  listed, one element.
- `POST /tokenize` takes `{"text": "..."}` and gives `{"ids": [...], "tokens": [...]}`;
  `POST /detokenize` takes `{"ids": [...]}` and gives `{"text": "..."}`; both take a `model` too,
  where there are several. The original has no such routes; here `logit_bias` needs
  the ids of the local model's tokenizer.
- Without API keys in the server's settings, none is asked for and any is accepted.
- `Host` must be localhost, the address that the server listens on, a plain address, or a name that
  the settings allow; no cross-origin headers are sent. Both keep web pages away.
- Stored completions are seen only with the key that stored them.
"""


def compatibility() -> str:
    """The page, as Markdown."""
    sections = {
        "Routes": _table(("route", "what it does"), _routes()),
        "Parameters of POST /v1/chat/completions": _table(
            ("parameter", "type and range", "default", "behaviour", "difference"), _parameters()
        ),
        "Extensions": _EXTENSIONS
        + _table(("parameter", "type and range", "default", "behaviour"), _extensions()),
        "Messages": _table(("role", "fields"), _roles()),
        "Limits": _table(("of", "at most"), _limits()),
        "Headers": _HEADERS,
        "Other differences and additions": _DIFFERENCES,
    }
    return _INTRODUCTION + "".join(f"\n## {title}\n\n{text}" for title, text in sections.items())


def _routes() -> Iterable[tuple[str, ...]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"`{method.upper()} {path}`", operation["summary"]


def _parameters() -> Iterable[tuple[str, ...]]:
    yield "`model`", "string", "required", "a name from `GET /v1/models`", ""
    for parameter in PARAMETERS:
        yield *_described(parameter), parameter.difference


def _extensions() -> Iterable[tuple[str, ...]]:
    return map(_described, EXTENSIONS)


def _described(parameter: Parameter) -> tuple[str, ...]:
    rule = str(parameter.rule)
    return f"`{parameter.name}`", rule, parameter.default, parameter.behaviour


def _roles() -> Iterable[tuple[str, ...]]:
    for role, rule in MESSAGE.kinds.items():
        assert isinstance(rule, Object)
        fields = [
            f"`{name}`" if prop.required else f"`{name}` (optional)"
            for name, prop in rule.properties.items()
            if name != "role"
        ]
        yield f"`{role}`", ", ".join(fields)


def _limits() -> Iterable[tuple[str, ...]]:
    defaults = ServerSettings(models=())
    settings = {
        "bytes of a body": "max_body_bytes",
        "requests in flight": "max_queued",
        "choices of a request, `n`": "max_choices",
        "tokens of an answer, if the request says nothing": "default_max_tokens",
    }
    for what, setting in settings.items():
        yield what, f"{getattr(defaults, setting):,} (`{setting}`)"
    yield "wrong keys from one address in a minute; right ones are let in even so", f"{MAX_WRONG}"
    yield "messages", f"{MAX_MESSAGES:,}"
    yield "content parts of a message", f"{MAX_PARTS:,}"
    yield "tools, and tool calls of a message", f"{MAX_TOOLS:,}"
    yield "characters of a stop text", f"{MAX_STOP_CHARS:,}"
    yield "entries of `logit_bias`", f"{LogitBias().max_properties:,}"
    yield "levels of JSON in a schema", f"{MAX_DEPTH:,}"
    yield "stored completions; the oldest go first", f"{MAX_STORED:,}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(compatibility(), end="")
