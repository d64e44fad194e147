"""Section C: bombs of schemas, patterns and grammars."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

from tests.attacks.case import ANY, ASK, Case, Target, ask, faults_of

OPTIONS = ()
PLACE = "response_format.json_schema.schema"
TEXT = {"type": "string"}
FOUR = [{"type": "string", "minLength": at} for at in range(4)]
JSON_ASK = {"messages": [{"role": "user", "content": "Answer in JSON."}], "max_tokens": 12}


def schema(value: Any, **more: Any) -> dict[str, Any]:
    wanted = {"name": "x", "schema": value, **more}
    return JSON_ASK | {"response_format": {"type": "json_schema", "json_schema": wanted}}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "boolean"}
    for _ in range(levels):
        value = {"type": "array", "items": value}
    return value


def deep(levels: int) -> bytes:
    """The same by hand: Python's own encoder refuses to write it."""
    value = '{"type": "array", "items": ' * levels + "{}" + "}" * levels
    return json.dumps(ASK | schema("HERE")).replace('"HERE"', value).encode()


def names(count: int) -> dict[str, Any]:
    return {f"p{at}": TEXT for at in range(count)}


def pattern(value: str) -> dict[str, Any]:
    return schema(TEXT | {"pattern": value})


def refused(row: int, name: str, change: Any, param: str | None = PLACE, **options: Any) -> Case:
    return ask(row, name, change, 400, param=param, **options)


def followed(row: int, name: str, value: Any, *reasons: str, **options: Any) -> Case:
    """A schema that an answer follows; it ends for one of the reasons."""

    async def check(target: Target) -> list[str]:
        answer = await target.post(ASK | schema(value))
        faults = faults_of(answer, 200)
        if not faults:
            choice = answer.json()["choices"][0]
            if choice["finish_reason"] not in (reasons or ("stop", "length")):
                faults.append(f"finish_reason {choice['finish_reason']}")
            if choice["finish_reason"] == "stop":
                json.loads(choice["message"]["content"])
        return faults

    return Case(row, name, check, **options)


async def new_schemas(target: Target) -> list[str]:
    """Row 62, in little: many small schemas leave the memory as it is."""
    places = asyncio.Semaphore(4)

    async def one(at: int) -> list[str]:
        async with places:
            return faults_of(await target.post(ASK | schema({"const": at})), 200)

    found = await asyncio.gather(*map(one, range(200)))
    return [fault for faults in found for fault in faults]


_numbers = itertools.count()


async def bombs_at_once(target: Target) -> list[str]:
    """Row 63: the queue of new schemas is bounded, and plain requests do not wait for it."""
    many = names(1_000)
    fresh = (f"q{next(_numbers)}" for _ in range(200))  # also if the case runs again
    bodies = [schema({"properties": many, "required": [*many, name]}) for name in fresh]
    asked = [asyncio.create_task(target.post(ASK | body)) for body in bodies]
    await asyncio.sleep(1)
    faults = faults_of(await target.post(ASK | {"max_tokens": 1}), 200)
    if all(task.done() for task in asked):
        faults.append("a plain request waited for the bombs")
    answers = await asyncio.gather(*asked)
    busy = [answer for answer in answers if answer.status_code in (429, 503)]
    if len(busy) < 100 or not all(int(each.headers["retry-after"]) >= 1 for each in busy):
        faults.append(f"only {len(busy)} of 200 were sent away")
    return faults + [fault for each in answers for fault in faults_of(each, (200, 400, 429, 503))]


TUPLES = {"allOf": [{"anyOf": FOUR}] * 12}
CIRCLE = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
DOUBLED = "".join(f"T{at}: T{at + 1} T{at + 1}\n" for at in range(20))
CASES: list[Case] = [
    refused(44, "unknown type", schema({"type": "stringg"}), quick=True),
    refused(44, "a text for a schema", schema({"properties": {"foo": "bar"}}), param=ANY,
            quick=True),
    *(refused(45, value, pattern(value), quick=True)
      for value in ("((((", "foo**", "(?<=a)b", "(a)\\1", "a++", "a*+", "a?+", "a{2}+", "a+*",
                    "[z-a]", "a{3,2}", "\\", "(?P<a>b)(?P=a)", "(?R)")),
    followed(46, "a good one after these", {"type": "object", "properties": {"a": TEXT}},
             quick=True),
    refused(47, "130 levels", schema(nested(130)), param=ANY, quick=True),
    ask(47, "5,000 levels", lambda: deep(5_000), quick=True),
    ask(47, "100,000 levels", lambda: deep(100_000), quick=True),
    refused(48, "300 groups", pattern("(" * 300 + "a" + ")" * 300), quick=True),
    refused(48, "100,000 groups", lambda: pattern("(" * 100_000 + "a" + ")" * 100_000)),
    ask(49, "60,000 groups", {"grammar": "start: " + "(" * 60_000 + '"a"' + ")" * 60_000},
        quick=True),
    refused(50, "itself", schema({"$ref": "#"}), quick=True),
    refused(50, "a circle", schema({"$defs": CIRCLE, "$ref": "#/$defs/a"}), quick=True),
    refused(50, "no end", schema({
        "type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]
    }), quick=True),
    followed(51, "stars", TEXT | {"pattern": "((a*)*)*"}, quick=True),
    followed(51, "empty", TEXT | {"pattern": "^(|a|)*$"}),
    *(refused(52, f"multiple of {value}", schema({"type": kind, "multipleOf": value}))
      for kind in ("integer", "number")
      for value in (1_000_003, 1_000_000_007, 300_007, 2**31 - 1, 1_000_000)),
    ask(52, "multiple of 100,000", schema({"type": "integer", "multipleOf": 100_000}), (200, 400),
        quick=True),
    ask(52, "tiny multiple", schema({"type": "number", "multipleOf": 1e-6}), (200, 400)),
    *(followed(52, f"multiple of {value}", {"type": "integer", "multipleOf": value})
      for value in (1, 3, 1_000, 65_536)),
    refused(53, "10,000 properties", lambda: schema({"properties": names(10_000)}), quick=True),
    followed(53, "2,000 properties", {"properties": names(2_000)}),
    refused(54, "nested repeats", pattern("^((((a{50}){50}){50}){50})$"), quick=True),
    *(ask(54, value[:30], pattern(value), (200, 400))
      for value in ("^([a-z]{1,200}[0-9]{1,200}){1,200}$", "^(\\p{L}{1,100}\\p{N}{1,100}){100}$",
                    "^[\\w\\s]{0,3000}[\\d\\W]{0,3000}$", "(.*a){20}", "^(a?){500}a{500}$",
                    "^(\\p{L}|\\p{Lu}|\\p{Ll}){1,4000}$", ".*" * 50)),
    refused(55, "products", schema(TUPLES), quick=True),
    ask(55, "oneOf", schema({"oneOf": FOUR}), (200, 400)),
    ask(56, "doubled terminals", {"guided_grammar": "start: T0\n" + DOUBLED}, quick=True),
    followed(57, "endless list", {"minItems": 2_000_000_000, "items": TEXT}, "length", quick=True),
    followed(57, "endless text", TEXT | {"minLength": 2_000_000_000}, "length", quick=True),
    followed(57, "up to an endless list", {"maxItems": 2_000_000_000, "type": "array"}),
    followed(58, "long text", TEXT | {"minLength": 10_000}, "length", quick=True),
    *(refused(59, value, schema({"$ref": value}), quick=True)
      for value in ("http://127.0.0.1:9/x.json", "file://passwd", "//host/x", "#/nowhere")),
    refused(60, "10,000 values", lambda: schema({"enum": list(range(10_000))}), quick=True),
    refused(60, "value of 200 KB", lambda: schema({"enum": ["x" * 200_000]}), param=ANY),
    *(ask(60, f"constant of {size}", lambda size=size: schema({"const": "x" * size}), (200, 400))
      for size in (1_000, 10_000, 30_000, 60_000, 100_000)),
    ask(60, "value of 100 KB", lambda: schema({"enum": ["x" * 100_000, "b"]}), (200, 400)),
    ask(60, "name of 100 KB", lambda: schema({
        "type": "object", "properties": {"x" * 100_000: TEXT}, "required": ["x" * 100_000]
    }), (200, 400)),
    ask(60, "pattern of 100 KB", lambda: pattern("x" * 100_000), (200, 400)),
    followed(60, "control token", {"enum": ["<|im_end|>"]}, quick=True),
    refused(61, "no number", schema({"type": "number", "maximum": 10**400}), param=ANY, quick=True),
    refused(61, "tiny to huge", schema({
        "type": "number", "minimum": -1.79e308, "maximum": 1.79e308
    }), quick=True),
    Case(62, "200 new schemas", new_schemas),
    Case(63, "200 at once", bombs_at_once),
    *(ask(64, name, change, quick=True)
      for name, change in (
          ("internal form", {"response_format": {"type": "guidance", "guidance": {}}}),
          ("import", {"response_format": {"type": "grammar", "grammar": "%import common.WORD"}}),
          ("options", {"response_format": schema(TEXT)["response_format"] | {"lark": "%json {}"}}),
      )),
    refused(64, "in a schema", schema({"%llguidance": {}, "type": "stringg"}), quick=True),
    refused(65, "nothing between", schema({"type": "integer", "minimum": 5, "maximum": 1}),
            quick=True),
    *(refused(65, repr(value), schema(value), param=ANY, quick=True)
      for value in ({"not": {}}, False, "", None, [], 1)),
    followed(65, "anything", {}, quick=True),
    ask(65, "json_object false", {"response_format": {"json_object": False}}, quick=True),
]  # fmt: skip
