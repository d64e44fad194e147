"""Each family's tool calls over HTTP, streamed and not."""

from __future__ import annotations

import json

import httpx
import pytest

from minikin.constrain.checker import GrammarChecker
from tests.chat.families import FAMILIES
from tests.fakes import ScriptedEngine, live_server

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
NAMED = {"type": "function", "function": {"name": "f"}}
ASK = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "tools": TOOLS}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def server(family):
    with live_server(ScriptedEngine(), family.template) as server:
        yield server


@pytest.fixture(autouse=True)
def no_grammars(monkeypatch):
    """A grammar without an effect, because making one takes a process and seconds."""

    async def grammar(checker, plan):
        return "none"

    monkeypatch.setattr(GrammarChecker, "grammar", grammar)


@pytest.fixture
def ask(server):
    def answer(text, **options):
        server.engine.tokens = [text[at : at + 3] for at in range(0, len(text), 3)]
        url = f"{server.url}/v1/chat/completions"
        (choice,) = httpx.post(url, json=ASK | options).json()["choices"]
        events = httpx.post(url, json=ASK | options | {"stream": True}).text.split("\n\n")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert folded(chunks) == told(choice)
        return told(choice)

    return answer


def told(choice):
    """Reason, words, and name and arguments of each call."""
    message = choice["message"]
    calls = [call["function"] for call in message.get("tool_calls", ())]
    named = [(call["name"], call["arguments"]) for call in calls]
    return choice["finish_reason"], message["content"] or "", named


def folded(chunks):
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    text = "".join(delta.get("content") or "" for delta in deltas)
    calls: list[list[str]] = []
    for delta in deltas:
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                calls.append([call["function"]["name"], ""])
            calls[call["index"]][1] += call["function"]["arguments"]
    return chunks[-1]["choices"][0]["finish_reason"], text, [(name, json) for name, json in calls]


def test_calls_chosen_required_and_named(ask, family):
    both = [("f", '{"a": 1}'), ("g", "{}")]
    assert ask(f"Wait. {family.two}") == ("tool_calls", "Wait. ", both)
    assert ask(family.two, tool_choice="required") == ("tool_calls", "", both)
    assert ask(family.one, tool_choice=NAMED) == ("stop", "", both[:1])
    assert ask("Just words.") == ("stop", "Just words.", [])


def test_text_that_is_not_a_call_is_content(ask, family):
    begun = family.one[: family.one.index(family.begun)]
    for text in (f"{family.form.begin}!", begun, family.form.begin[:-1]):
        assert ask(f"So {text}") == ("stop", f"So {text}", [])


def test_a_call_that_is_cut_off(ask, family):
    text = family.one[: family.one.index(family.before) + len(family.before)]
    limit = -(-len(text) // 3)
    assert ask(text, max_tokens=limit) == ("length", "", [("f", '{"a": ')])


@pytest.mark.parametrize("parts", [2, pytest.param(8, marks=pytest.mark.thorough)])
def test_no_stop_text_cuts_a_call_or_is_found_in_its_frame(ask, family, parts):
    opened = "<|python_tag|>" if family.form.opener else ""
    for text in (f"{opened}{family.one}", f"Wait. {family.two}"):
        whole = ask(text)
        shown = text.removeprefix("Wait. ")
        places = range(0, len(shown) - 1, max(1, len(shown) // parts))
        for stop in {"1", "f", "\n", '"', *(shown[at : at + 2] for at in places)} - {". "}:
            assert ask(text, stop=[stop]) == whole
    assert ask(family.one, stop=["f", '"'], tool_choice="required")[2] == [("f", '{"a": 1}')]
    assert ask(f"Wait. {family.two}", stop=["it"]) == ("stop", "Wa", [])
