"""docs/compatibility.md, generated from the rules that check requests.

`python -m minikin.api.reference` prints it. A test compares it with the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log10
from textwrap import TextWrapper

from minikin.api.access.keys import MAX_WRONG
from minikin.api.answer.chunks import CACHED_STEP, LEAST_CACHED
from minikin.api.answer.identifiers import REQUEST_ID_DIGITS
from minikin.api.batches.runner import MAX_RUNNING
from minikin.api.completions import parameters as completions
from minikin.api.http.headers import COMMON
from minikin.api.http.protocol import KEEP_ALIVE_SECONDS, MAX_CONNECTIONS
from minikin.api.request.batch_rules import BATCH, LINE, MAX_LINES
from minikin.api.request.file_rules import MAX_BATCH_BYTES, MAX_FILE_BYTES, UPLOAD
from minikin.api.request.message_rules import MAX_MESSAGES, MAX_PARTS, MAX_TOOLS, MESSAGE
from minikin.api.request.parameter import Parameter
from minikin.api.request.parameter_rules import LogitBias
from minikin.api.request.parameters import EXTENSIONS, MAX_STOP_CHARS, PARAMETERS
from minikin.api.request.rules import MAX_DEPTH, Object, Rule
from minikin.api.responses import item_rules
from minikin.api.responses import parameters as responses
from minikin.api.responses.conversation_rules import ADD, CREATE, MAX_NEW_ITEMS, UPDATE
from minikin.api.routes.background import KEPT_SECONDS, MAX_KEPT
from minikin.api.routes.openapi import document
from minikin.api.serving.served_model import DESCRIPTION_SHARE, LEAST_ROOM, MAX_DESCRIPTION
from minikin.config import ServerSettings
from minikin.constrain.grammar import MAX_CALLS
from minikin.constrain.schema.document import MAX_ENUM_VALUES, MAX_MULTIPLE
from minikin.constrain.schema.narrow import ANY_DEPTH, MAX_LEVEL, MOST, STEP
from minikin.constrain.schema.objects import MAX_FREE
from minikin.engine.host.quarantine import FORGET_SECONDS
from minikin.engine.model.block import BLOCK
from minikin.store.batches import MAX_UNENDED
from minikin.store.completions import MAX_STORED
from minikin.store.conversations import MAX_CONVERSATIONS, MAX_ITEMS
from minikin.store.files import MAX_FILES, MAX_TOTAL_BYTES
from minikin.store.responses import MAX_RESPONSES

_INTRODUCTION = """\
# Compatibility with OpenAI's API

This page lists what Minikin does with each part of OpenAI's chat completions API and Responses
API, compared with OpenAI's `gpt-4.1-mini`. `python -m minikin.api.reference` generates it from the
rules that the server checks requests with. To change this page, change those rules.

Every field is honoured or rejected with an error. No field is silently ignored. An invalid request
gets OpenAI's status, wording, `param` and `code`. If a request has several errors, Minikin reports
one, as OpenAI does. For chat completions, the order is: the model, the type and range of each
parameter in the order of its table, then the rules that combine parameters. For a response, it is:
missing `model` or `input`, unknown parameters, each parameter in the order of its table, the name
of the model, the stored context, then what the model can do.
"""
_EXTENSIONS = """\
OpenAI rejects these parameters as unrecognised. Minikin does the same, unless it is started with
`minikin serve --extensions`, or a chat completion request has the header
`X-Minikin-Extensions: true`. A token must pass each of `top_k`, `min_p` and `top_p`. Each is
applied to the distribution at the request's temperature. `repetition_penalty` is applied before the
other penalties and `logit_bias`.

"""
_COMPLETIONS = """\
Only with `minikin serve --extensions`, or with the header `X-Minikin-Extensions: true`. Base models
need this route. Errors come in the order of chat completions. The choices of several prompts are
numbered in the order of the prompts. `text_offset` counts the characters of the prompt too, as at
OpenAI. A prompt that does not fit the window is an error.

"""
_RESPONSES = f"""\
- Text, messages, function calls and their outputs become the same prompt as in chat completions,
  and the same rules apply to the answer. The differences and additions below hold for both.
- Every call needs its output in the context, in any order, and every output needs its call.
- A function without `strict` gets a strict schema, as at OpenAI: objects are closed, and every
  property is required. If the schema has a part that cannot be strict, such as a free map, the
  function has `strict: false`. Such a schema is followed as far as the grammar can, and not
  rejected.
- The object shows the `temperature` and `top_p` of the request, or OpenAI's default 1. If the
  request has none, the model's own defaults apply.
- The events have gapless sequence numbers. A delta and its padding together have a multiple of 16
  characters. A failure after the first event sends an `error` event, then `response.failed`.
- A stored response has its whole context, so a response can be deleted while others continue it.
  The list of its input items has this context, without instructions. Nothing is stored if the
  client disconnects, except of a background response.
- A background response that is stored runs again after a restart of the server, from its beginning.
  Its events, and all of it without `store`, are kept in memory for {KEPT_SECONDS / 60:.0f} minutes
  after its end, for the {MAX_KEPT} latest ones.
- One response at a time uses a conversation, among all servers of a database. Others get a 400 with
  code `conversation_locked`.
- White space before or after a call is not a message.
- The reasoning of a model is an item of type `reasoning` with `reasoning_text` parts, before the
  message. gpt-4.1-mini has no such items. Items can be sent back. Those of other servers are
  skipped.
- A custom tool is a function with one text for the model. Its grammar can be a regular expression
  or a Lark grammar. llguidance reads both, in its own dialect. A Lark grammar cannot refer to
  tokens, schemas or other grammars. A call of a tool with a Lark grammar is the last call of its
  answer. A grammar that cannot be followed gets 400 with the code `invalid_grammar`.
- Hosted tools, stored prompts, `POST /v1/responses/compact` and the WebSocket mode
  are not supported.
"""
_BODIES = """\
An item of a conversation is an item of an `input`, see above. The body of a line is that of its
route, which checks it when the line runs.

"""
_RESPONSE_EXTENSIONS = """\
With `minikin serve --extensions`, `POST /v1/responses` also accepts these parameters. It accepts
what Codex sends: `reasoning.encrypted_content` in `include`, a summary of the reasoning, and hosted
tools. They have no effect. A `warning` header names the tools that were left out.

"""
_HEADERS = f"""\
| header | value |
|---|---|
| `x-request-id` | `req_` and {REQUEST_ID_DIGITS} hex digits, on every answer. If a request fails, \
the log contains it |
| `openai-processing-ms` | time to the first byte. As with OpenAI, a 404 does not have it |
| `openai-version` | `{COMMON["openai-version"]}` |
| `openai-organization` | `{COMMON["openai-organization"]}` |
| `x-ratelimit-limit-requests`, `-remaining-requests`, `-reset-requests` | of the API key, if it \
has a limit of requests. Otherwise the first two are the requests in flight |
| `x-ratelimit-limit-tokens`, `-remaining-tokens`, `-reset-tokens` | of the API key, if it has a \
limit of tokens. An answer counts with its `max_tokens` until it ends, then with its length |
| `retry-after`, `retry-after-ms` | the time to wait, with every 503 and 429, except for a request \
that has more tokens than its key can use in a minute |
| `x-session-id` | the same for all turns of a conversation, and for requests with the same \
`prompt_cache_key`. A proxy before several servers can choose by it (`scale-out.md`) |
| `x-accel-buffering` | `no` on a stream, so that nginx passes each event on at once |
"""
_TRANSPORT = f"""\
- The server speaks HTTP/1.1 and HTTP/1.0 without TLS. If a request offers an upgrade (`h2c`,
  `websocket`), the server ignores the offer. HTTP/1.0 clients get a stream without chunks.
- If a client disconnects, its request is cancelled. A client that only closes its sending side gets
  its answer.
- A connection can be idle for {KEEP_ALIVE_SECONDS} seconds. If there are more than
  {MAX_CONNECTIONS:,} connections, or more than half of the files that the process can open, a new
  one closes the one idle longest.
- Compressed request bodies get 415.
"""
_DECIMALS = round(-log10(STEP))
_DIFFERENCES = f"""\
- Images, audio and files in messages are rejected, because the models accept only text.
- `POST /v1/completions` gets OpenAI's 404 for a chat model. With `--extensions`, or with the header
  `X-Minikin-Extensions: true`, it continues prompts as they are, see above. Text in a prompt never
  becomes a control token. Token ids can be any tokens.
- The 404 for a path whose `/v1` is missing or doubled also names the right path.
- The first model answers to `gpt-4.1-mini` and to `gpt-4.1-mini-2025-04-14`. As with OpenAI,
  answers to `gpt-4.1-mini` report the dated name. Answers to another name report that name.
- `GET /v1/models` also gives the `context_length` and `max_output_tokens` of each model, in tokens.
- If the chat template does not support a message's `name`, the name is written before the content,
  as `name: content`, except that of an assistant message. If the template supports only `system`
  messages, a `developer` message becomes one.
- `cached_tokens` counts a reused prefix of {LEAST_CACHED:,} or more tokens, in steps of
  {CACHED_STEP}, as OpenAI does. Shorter prefixes are also reused, in blocks of {BLOCK} tokens, but
  not counted.
- The reasoning of a model is in `reasoning_content` of a message or a delta, never in `content`.
  `reasoning_tokens` counts the tokens between its marks, and log probabilities do not include them.
  Assistant messages can be sent back with it. If the request fixes the format of the answer
  (`json_object`, `json_schema`, a required tool call), the model answers without reasoning. A tool
  call inside reasoning is part of the reasoning.
- Without `temperature` or `top_p` in the request, the model's own defaults apply. The first of
  these that has a value sets it: the request, the model's files (`generation_config.json` of a
  folder, `general.sampling` keys of a GGUF file), Minikin's record of a known model, OpenAI's
  default. Each value is set separately: a request with only `temperature` gets the model's `top_p`.
  The `top_k`, `min_p` and `repetition_penalty` of the model also apply. The record of the default
  model has temperature 0.2 and `top_p` 0.9. A stored completion shows the `temperature` and `top_p`
  that were used. `minikin serve --sampling openai` turns all model defaults off.
- A server can have several models. A request for a model that is not in memory waits until it is
  loaded. It gets 503 after the server's `load_seconds`, or 500 with code `model_load_failed`.
- A request that crashed the engine twice gets 500 with code `request_quarantined` for
  {FORGET_SECONDS / 60:.0f} minutes.
- A prefix is reused only for the API key that sent it.
- Arguments of earlier tool calls do not have to be JSON: they can be cut off or empty. The chat
  template gets the `name` of a `tool` message if it supports one.
- Stop texts are found only in the content: not in tool calls, not in reasoning, and not in what the
  model writes around them.
- One answer does not have the same tool call, name and arguments, twice. If the chat template does
  not support tools, an answer has at most one call, unless `parallel_tool_calls` is true.
- If the chat template does not support tools, the system message describes them, and the result of
  a call becomes a user message: `The function returned: ...`. Small models then rarely call a
  function on their own. Minikin's record of the default model makes the start of a call more
  likely, if the answer can be a call or not and the last message is not the result of one.
  `minikin serve --sampling openai` turns this off.
- `cache_control` of text parts and `provider_specific_fields` of assistant messages, which
  libraries for several providers send, have no effect. Every prompt is cached.
- The format in `response_format` is described to the model at the end of the system message, in the
  wording that its family was trained on: as JSON, or as a list of fields for models without tools.
  The description counts as prompt tokens, and the prompt cache reuses it. It has at most
  {DESCRIPTION_SHARE} characters for each token of the context. A schema that is too long is
  shortened in steps: first to structure, values and descriptions, then with shorter descriptions
  and enumerations, then without them, then to the names of the top level. A description that leaves
  too few tokens for the answer is removed. `minikin serve --hide-format` turns it off.
- A structured answer uses a subset of what its schema allows, so that small models reach the end:
  numbers with up to {len(str(MOST))} digits and {_DECIMALS} after the point, at most {MAX_FREE}
  elements without `maxItems`, {MAX_LEVEL} levels of a recursive schema, values of any type
  {ANY_DEPTH} levels deep, no properties that the schema does not name. With `uniqueItems`, if the
  schema does not list the values, the array has at most one element.
- A tool without `strict` is not rejected because of a keyword. If the server cannot enforce a
  keyword, it ignores the keyword in that place and enforces the rest: lookbehind, word boundaries,
  back references, and lookahead in the middle of a `pattern`; `uniqueItems` with two or more
  elements; a `$ref` to another document; more than {MAX_ENUM_VALUES:,} values of `enum`;
  `multipleOf` above {MAX_MULTIPLE:,}. If no value can match the schema, or it takes too much time,
  the server ignores one more keyword (`not`, `if`, `oneOf`, `contains`, ...), then all of them,
  then the whole schema. A `strict` tool and a `response_format` are rejected instead, with
  the place and the reason.
- A tool has no parameters if its schema describes none: `{{"type": "object"}}` or empty
  `properties`.
- A JSON object in an answer does not have the same property name twice.
- A structured answer has one space after each colon and comma. OpenAI's is compact, like the
  arguments of a `strict` function here. Small models make fewer mistakes with spaces.
- A structured answer and a tool call end in a valid form when `max_tokens` is near, with
  `finish_reason` `stop` or `tool_calls`. OpenAI cuts them off. If there is no room for the shortest
  valid value, the answer is cut off with `length`. A string in such an answer is closed when its
  tokens only repeat themselves. `minikin serve --cut-at-limit` turns both off.
- A request with a `seed`, or with temperature 0, gets the same answer and the same log
  probabilities each time: alone or beside others, with a cold or a warm prompt cache, after a
  restart. This is true for one model file on one instruction set. Such a request does not reuse
  cached text that answers wrote. An idle engine computes that text again, so that the next turn of
  the conversation finds it. Where PyTorch computes the layers, such requests do not share steps
  with others: PyTorch's sums depend on the number of rows. `system_fingerprint`
  changes with the weights, the instruction set and the arithmetic: compare answers to seeds only
  where it is equal.
- `POST /tokenize` accepts `{{"text": "..."}}` and returns `{{"ids": [...], "tokens": [...]}}`.
  `POST /detokenize` accepts `{{"ids": [...]}}` and returns `{{"text": "..."}}`. If there are
  several models, both also accept `model`. OpenAI does not have these routes. They are for
  `logit_bias`, whose ids are those of the local model's tokenizer.
- If the server has no API keys, it accepts every request, with any key or without one.
- `Host` must be localhost, the address that the server listens on, an IP address, or an allowed
  name. Web pages of another origin need `--allowed-origin`.
- Stored completions, files and everything else that requests store are visible only to the key that
  stored them.
- Conversations and their items do not expire. Items of a deleted conversation are found by their
  ids for 30 days. An item that is in no conversation belongs to its response, and is deleted with
  it. Images and files in items are rejected, because the models read only text.
- The content of an upload is not looked at, as with OpenAI. A batch reports errors of its lines. An
  upload whose form is not complete leaves nothing. `/v1/uploads` does not exist.
- Lines of batches run only while no other request does. A new request waits only for the step that
  runs, and steps of batches are short while other requests come. Several batches take turns. A line
  with `stream` or `background` is rejected. A line that fails because of the server runs again, up
  to three times. An unknown `input_file_id` is a 404, where OpenAI creates a batch that fails. An
  unknown field of a line is an error.
- A server that was killed continues its batches after its next start. Finished lines do not run
  again, and every line is in one file, once. A line with `store` leaves one stored object. Of
  several servers with one database, one runs the batches.
"""


def compatibility() -> str:
    """The page, as Markdown."""
    sections = {
        "Routes": _table(("route", "what it does"), _routes()),
        "Parameters of POST /v1/chat/completions": _table(
            ("parameter", "type and range", "default", "behaviour", "difference"),
            _parameters(PARAMETERS),
        ),
        "Extensions": _EXTENSIONS
        + _table(
            ("parameter", "type and range", "default", "behaviour"), map(_described, EXTENSIONS)
        ),
        "Messages": _table(("role", "fields"), _roles()),
        "Parameters of POST /v1/responses": _table(
            ("parameter", "type and range", "default", "behaviour", "difference"),
            _parameters(responses.PARAMETERS),
        )
        + "\n"
        + _RESPONSE_EXTENSIONS
        + _table(
            ("parameter", "type and range", "default", "behaviour"),
            map(_described, responses.EXTENSIONS),
        ),
        "Parameters of POST /v1/completions": _COMPLETIONS
        + _table(
            ("parameter", "type and range", "default", "behaviour", "difference"),
            _parameters(completions.PARAMETERS),
        ),
        "Input items": _table(("type", "fields"), _items()),
        "Responses": _filled(_RESPONSES),
        "Other bodies": _BODIES + _table(("route", "field", "type and range"), _bodies()),
        "Limits": _table(("limit", "value"), _limits()),
        "Headers": _HEADERS,
        "Transport": _filled(_TRANSPORT),
        "Other differences and additions": _filled(_DIFFERENCES),
    }
    return _INTRODUCTION + "".join(f"\n## {title}\n\n{text}" for title, text in sections.items())


def _filled(bullets: str) -> str:
    """The list with its lines filled anew, since numbers have changed their lengths."""
    lines = TextWrapper(100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
    items = (" ".join(item.split()) for item in bullets.removeprefix("- ").split("\n- "))
    return "".join(f"{lines.fill(item)}\n" for item in items)


def _routes() -> Iterable[tuple[str, ...]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"`{method.upper()} {path}`", operation["summary"]


def _parameters(parameters: Iterable[Parameter]) -> Iterable[tuple[str, ...]]:
    yield "`model`", "string", "required", "a name from `GET /v1/models`", ""
    for parameter in parameters:
        yield *_described(parameter), parameter.difference


def _described(parameter: Parameter) -> tuple[str, ...]:
    rule = str(parameter.rule)
    return f"`{parameter.name}`", rule, parameter.default, parameter.behaviour


def _bodies() -> Iterable[tuple[str, ...]]:
    bodies = {
        "`POST /v1/files`, as a form with `file`": UPLOAD,
        "`POST /v1/batches`": BATCH,
        "a line of a batch": LINE,
        "`POST /v1/conversations`": CREATE,
        "`POST /v1/conversations/{id}`": UPDATE,
        "`POST /v1/conversations/{id}/items`": ADD,
    }
    for route, rule in bodies.items():
        for name, prop in rule.properties.items():
            needed = "" if prop.required else " (optional)"
            yield route, f"`{name}`{needed}", str(prop.rule)


def _roles() -> Iterable[tuple[str, ...]]:
    for role, rule in MESSAGE.kinds.items():
        yield f"`{role}`", _fields(rule, "role")


def _items() -> Iterable[tuple[str, ...]]:
    for role, rule in item_rules.MESSAGE.kinds.items():
        yield f"`message` of `{role}`", _fields(rule, "role")
    for kind, rule in item_rules.ITEM.kinds.items():
        if isinstance(rule, Object):
            yield f"`{kind}`", _fields(rule, "type")
    yield "`reasoning`", "any"


def _fields(rule: Rule, tag: str) -> str:
    """The fields of an object beside its tag."""
    assert isinstance(rule, Object)
    return ", ".join(
        f"`{name}`" if prop.required else f"`{name}` (optional)"
        for name, prop in rule.properties.items()
        if name != tag
    )


def _limits() -> Iterable[tuple[str, ...]]:
    defaults = ServerSettings(models=())
    settings = {
        "bytes of a request body": "max_body_bytes",
        "requests in flight": "max_queued",
        "choices of a request (`n`)": "max_choices",
        "tokens of an answer, if the request sets no limit": "default_max_tokens",
    }
    for what, setting in settings.items():
        yield what, f"{getattr(defaults, setting):,} (`{setting}`)"
    yield (
        "wrong keys from one address per minute (correct keys still work)",
        f"{MAX_WRONG}",
    )
    yield "messages", f"{MAX_MESSAGES:,}"
    yield "content parts of a message", f"{MAX_PARTS:,}"
    yield "items of an `input`", f"{item_rules.MAX_ITEMS:,}"
    yield "tool calls of an answer", f"{MAX_CALLS}"
    yield "tools of a request, and tool calls of a message", f"{MAX_TOOLS:,}"
    yield "characters of a stop sequence", f"{MAX_STOP_CHARS:,}"
    yield "entries of `logit_bias`", f"{LogitBias().max_properties:,}"
    yield "nesting levels of a schema", f"{MAX_DEPTH:,}"
    yield "characters of the description of a response format", f"{MAX_DESCRIPTION:,}"
    yield "tokens that this description leaves for the answer, at least", f"{LEAST_ROOM}"
    yield "bytes of a file", f"{MAX_FILE_BYTES:,}"
    yield "bytes of a file with the purpose `batch`", f"{MAX_BATCH_BYTES:,}"
    yield "stored responses (the oldest are deleted first)", f"{MAX_RESPONSES:,}"
    yield "conversations (the oldest are deleted first)", f"{MAX_CONVERSATIONS:,}"
    yield "items of a conversation", f"{MAX_ITEMS:,}"
    yield "new items of one request for a conversation", f"{MAX_NEW_ITEMS:,}"
    yield "lines of a batch", f"{MAX_LINES:,}"
    yield "bytes of a line of a batch", "as of a request body"
    yield "batches of an API key that have not ended", f"{MAX_UNENDED:,}"
    yield "lines of batches that run at the same time", f"{MAX_RUNNING:,}"
    yield "files of an API key", f"{MAX_FILES:,}"
    yield "bytes of all files of an API key", f"{MAX_TOTAL_BYTES:,}"
    yield "stored completions (the oldest are deleted first)", f"{MAX_STORED:,}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(compatibility(), end="")
