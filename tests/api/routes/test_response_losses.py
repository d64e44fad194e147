"""What other servers of the Responses API lose, as their users report it, is kept here."""

from __future__ import annotations

import json

import pytest

from tests.api.batches.test_killed import start
from tests.api.routes.test_responses import THINKING, events
from tests.api.routes.test_stored_responses import Client
from tests.fakes import ScriptedEngine

TOOL = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
    "strict": False,
}
CUSTOM = {"type": "custom", "name": "c"}


def called(name, **arguments):
    call = json.dumps({"name": name, "arguments": arguments})
    return [f"<tool_call>\n{call[:20]}", call[20:], "\n</tool_call>"]


class Folded:
    """An output, from nothing but the events of a stream."""

    def __init__(self):
        self.items = {}
        self.parts = {}
        self.written = {}

    def add(self, event):
        kind, at = event["type"].removeprefix("response."), event.get("output_index")
        match kind:
            case "output_item.added":
                assert at == len(self.items), "items come in the order of their indexes"
                assert event["item"]["status"] == "in_progress"
                self.items[at] = event["item"]
            case "output_item.done":
                assert event["item"]["id"] == self.items[at]["id"]
                assert event["item"]["type"] == self.items[at]["type"]
                assert event["item"]["status"] != "in_progress"
                self.items[at] = event["item"]
            case _ if kind.endswith((".delta", ".done")) and "item_id" in event:
                assert event["item_id"] == self.items[at]["id"]
                if kind.endswith(".delta"):
                    key = (at, kind.removesuffix(".delta"))
                    self.written[key] = self.written.get(key, "") + event["delta"]
                for name in ("text", "arguments", "input"):
                    if name in event:
                        key = (at, kind.removesuffix(".done"))
                        assert event[name] == self.written.get(key, "")

    @property
    def output(self):
        return [self.items[at] for at in sorted(self.items)]


SCRIPTS = {
    "text": ["Hello", " there", "!"],
    "nothing": [],
    "a call": called("f", a='é\n"x"'),
    "text and two calls": ["Let me see.", *called("f", a="1"), "\n", *called("f", a="2")],
    "a custom call": called("c", input='SELECT "é";\n'),
    "reasoning and text": ["<think>", "Hm", "</think>", "Yes"],
    "a cut text": ["word "] * 40,
    "a cut call": ['<tool_call>\n{"name": "f", "arguments": {"a": "', *["word "] * 40],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_events_of_a_stream_are_the_whole_response(serve, script):
    thinks = {"template": THINKING} if "reasoning" in script else {}
    client = Client(serve(ScriptedEngine(tokens=SCRIPTS[script]), **thinks))
    asked = {"parallel_tool_calls": True} | ({} if thinks else {"tools": [TOOL, CUSTOM]})
    if "cut" in script:
        asked["max_output_tokens"] = 16
    with client.http:
        found = events(client.server, **asked)
        folded = Folded()
        for event in found:
            folded.add(event)
        last = found[-1]["response"]
        assert folded.output == last["output"]
        assert last["status"] == ("incomplete" if "cut" in script else "completed")
        assert last["usage"]["output_tokens_details"] == {
            "reasoning_tokens": 1 if "reasoning" in script else 0
        }
        for name in ("id", "created_at", "model", "tools"):
            assert {e["response"][name] == last[name] for e in found if "response" in e} == {True}
        kept = client.get(last["id"])
        assert {name: kept[name] for name in last} == last
        plain = client.create(**asked)["output"]
    assert [shape(item) for item in plain] == [shape(item) for item in last["output"]]


def shape(item):
    return {name: value for name, value in item.items() if name not in ("id", "call_id")}


def test_a_cut_call_keeps_its_arguments_and_is_incomplete(serve):
    client = Client(serve(ScriptedEngine(tokens=SCRIPTS["a cut call"])))
    with client.http:
        (call,) = client.create(tools=[TOOL], max_output_tokens=16)["output"]
    assert call["status"] == "incomplete"
    assert call["arguments"].startswith('{"a": "word ')


@pytest.mark.parametrize("streamed", [False, True])
def test_no_turn_of_a_chain_loses_calls_or_outputs(serve, streamed):
    engine = ScriptedEngine()
    client = Client(serve(engine))

    def turn(script, given, **fields):
        engine.tokens = script
        asked = {"tools": [TOOL], **fields}
        if streamed:
            return events(client.server, input=given, **asked)[-1]["response"]
        return client.create(given, **asked)

    with client.http:
        last, parent = None, {}
        for number in range(1, 4):
            last = turn(called("f", a=f"asked {number}"), f"Question {number}?", **parent)
            (call,) = last["output"]
            output = {
                "type": "function_call_output",
                "call_id": call["call_id"],
                "output": f"found {number}",
            }
            last = turn([f"Answer {number}."], [output], previous_response_id=last["id"])
            parent = {"previous_response_id": last["id"]}
        turn(["End"], "And?", **parent)
        prompt = client.prompt()
        listed = client.get(f"{last['id']}/input_items?order=asc")["data"]
    order = [
        f"{word} {number}"
        for number in range(1, 4)
        for word in ("Question", "asked", "found", "Answer")
    ]
    places = [prompt.index(text) for text in order]
    assert places == sorted(places)
    kinds = ["message", "function_call", "function_call_output", "message"] * 3
    assert [item["type"] for item in listed] == kinds[:-1]
    assert len({item["id"] for item in listed}) == len(listed)


def test_an_empty_text_object_is_accepted(serve):
    client = Client(serve())
    with client.http:
        body = {"model": "gpt-4.1-mini", "input": "Hi", "text": {}}
        made = client.http.post("/responses", json=body).json()
    assert made["text"] == {"format": {"type": "text"}, "verbosity": "medium"}


def test_a_killed_server_keeps_responses_items_and_conversations(location, tmp_path):
    process, client = start(location, tmp_path / "files")
    ask = {"model": "gpt-4.1-mini"}
    try:
        talk = client.conversations.create()
        first = client.responses.create(**ask, input="One?")
        second = client.responses.create(**ask, input="Two?", previous_response_id=first.id)
        client.responses.create(**ask, input="Three?", conversation=talk.id)
        process.kill()
        process.communicate()
        process, client = start(location, tmp_path / "files")
        assert client.responses.retrieve(second.id).output_text == "Hello there!"
        listed = client.responses.input_items.list(second.id, order="asc").data
        assert [item.content[0].text for item in listed] == ["One?", "Hello there!", "Two?"]
        items = client.conversations.items.list(talk.id, order="asc").data
        assert [item.content[0].text for item in items] == ["Three?", "Hello there!"]
        reference = {"type": "item_reference", "id": first.output[0].id}
        for context in (
            {"previous_response_id": second.id, "input": "More?"},
            {"conversation": talk.id, "input": "More?"},
            {"input": [reference, {"role": "user", "content": "More?"}]},
        ):
            with client.responses.stream(**ask, **context) as stream:
                assert stream.get_final_response().status == "completed"
    finally:
        process.kill()
        process.communicate()
