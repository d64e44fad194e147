from __future__ import annotations

import asyncio

import pytest

from minikin.bounded.limits import Limits
from minikin.constrain import checker
from minikin.constrain.checker import GrammarChecker, TooManySchemas
from minikin.constrain.worker import Vocabulary
from minikin.errors import EngineFailure, InvalidRequest
from tests.constrain.walk import TOKENIZER, grammar_of, plan_of

MANY = {f"p{i}": {"type": "boolean"} for i in range(4_000)}
SLOW = {"properties": MANY, "required": list(MANY)}


def good(at=0):
    """Of its own for each `at`."""
    return {"const": at}


def vocabulary():
    tokens = TOKENIZER.free_bytes()
    return Vocabulary(tokens, sorted(TOKENIZER.eos_ids))


async def fault(grammars, schema):
    """Why `schema` is refused, or None."""
    try:
        assert await grammars.grammar(plan_of(schema)) == grammar_of(schema)
    except InvalidRequest as refusal:
        return refusal.message


@pytest.fixture
async def grammars():
    made = GrammarChecker(vocabulary)
    yield made
    await made.stop()


def properties(count):
    return {f"p{i}": {"type": "string"} for i in range(count)}


def deep(levels):
    schema = {"type": "boolean"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


BOMBS = {
    "itself": {"$ref": "#"},
    "a circle": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        "$ref": "#/$defs/a",
    },
    "address": {"$ref": "http://127.0.0.1:9/x.json"},
    "file": {"$ref": "file:///etc/passwd"},
    "nowhere": {"$ref": "#/$defs/x"},
    "look-behind": {"type": "string", "pattern": "(?<=a)b"},
    "back reference": {"type": "string", "pattern": "(a)\\1"},
    "parentheses": {"type": "string", "pattern": "(" * 300 + "a" + ")" * 300},
    "repeats": {"type": "string", "pattern": "^((((a{50}){50}){50}){50})$"},
    "products": {"allOf": [{"anyOf": [{"type": "string", "minLength": i} for i in range(4)]}] * 12},
    "no number": {"type": "integer", "minimum": 5, "maximum": 1},
    "no text": {"type": "string", "format": "date", "maxLength": 4},
    "unique": {"type": "array", "uniqueItems": True, "minItems": 2},
    "not": {"type": "string", "not": {"pattern": "a"}},
    "if": {"type": "string", "if": {"pattern": "a"}, "then": False},
    "contains": {"type": "array", "contains": {"const": 1}, "minContains": 1000},
    "property names": {
        "type": "object",
        "propertyNames": {"pattern": "^a", "maxLength": 9},
        "minProperties": 1,
    },
    "dynamic": {"$dynamicRef": "#x"},
    "for ever": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    "branches": {
        "$defs": {"a": {"anyOf": [{"properties": {c: {"$ref": "#/$defs/a"}}} for c in "abcdefgh"]}},
        "allOf": [{"not": {"$ref": "#/$defs/a"}}, {"$ref": "#/$defs/a"}] * 9,
    },
}
NAMED = {
    "unique": "uniqueItems",
    "not": "not",
    "if": "if",
    "contains": "contains",
    "property names": "propertyNames",
    "dynamic": "$dynamicRef",
}


async def test_schema_bombs_are_rejected_and_later_requests_work(grammars):
    for name, schema in BOMBS.items():
        reason = await fault(grammars, schema)
        assert reason, name
        assert NAMED.get(name, "") in reason
        assert await fault(grammars, good()) is None


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"const": {"a": [1, 2]}},
        {"minLength": 2_000_000_000},
        {"maxItems": 2_000_000_000, "minItems": 2_000_000_000},
        {"type": "string", "pattern": "((a*)*)*"},
        {"type": "object", "properties": properties(2000), "required": list(properties(2000))},
        deep(60),
    ],
    ids=[
        "anything",
        "nothing to choose",
        "long text",
        "long list",
        "stars",
        "many properties",
        "deep",
    ],
)
async def test_large_but_followable_schemas_pass(grammars, schema):
    assert await fault(grammars, schema) is None


async def test_a_grammar_that_takes_too_long_is_refused_once_and_remembered():
    made = GrammarChecker(vocabulary, Limits(seconds=0.05))
    assert checker.TOO_COMPLEX in await fault(made, SLOW)
    await made.stop()
    # With no worker left to ask.
    made._workers.clear()
    made._idle = None
    assert checker.TOO_COMPLEX in await fault(made, SLOW)


async def test_a_plan_that_lost_its_worker_gets_another_chance(monkeypatch):
    """Somebody can end workers. The plan is not the cause for ever."""
    grammars = GrammarChecker(vocabulary)
    ask = grammars._ask

    async def lose(plan):
        return None

    monkeypatch.setattr(grammars, "_ask", lose)
    assert "too much time or memory" in await fault(grammars, good())
    monkeypatch.setattr(grammars, "_ask", ask)
    assert await fault(grammars, good()) is not None, "it is remembered for a while"
    monkeypatch.setattr(checker.time, "monotonic", lambda now=checker.time.monotonic: now() + 601)
    assert await fault(grammars, good()) is None
    await grammars.stop()


async def test_too_many_schemas_get_a_retry_after(grammars, monkeypatch):
    monkeypatch.setattr(checker, "MAX_WAITING", 3)
    asked = [fault(grammars, good(i)) for i in range(6)]
    verdicts = await asyncio.gather(*asked, return_exceptions=True)
    assert verdicts.count(None) == 3
    assert sum(isinstance(verdict, TooManySchemas) for verdict in verdicts) == 3


async def test_verdicts_are_kept_up_to_a_bound(grammars, monkeypatch):
    monkeypatch.setattr(checker, "KNOWN_BYTES", 4_800)
    for i in range(8):
        assert await fault(grammars, good(i)) is None
    assert len(grammars._verdicts) == 4


async def test_a_disconnect_frees_the_worker(grammars):
    assert await fault(grammars, good()) is None
    worker = grammars._workers[0]
    task = asyncio.create_task(fault(grammars, SLOW))
    while not grammars._waiting:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert worker.pid is None
    assert await fault(grammars, good(1)) is None
    assert grammars._workers == [worker]


async def test_a_worker_that_cannot_start_is_the_servers_fault(grammars, monkeypatch):
    monkeypatch.setattr(checker, "WORKER", "minikin.no_such_module")
    with pytest.raises(EngineFailure, match="could not be started"):
        await fault(grammars, good())
