from minikin.api.responses.messages import to_messages, turns


def message(role, content):
    return {"type": "message", "role": role, "content": content}


def call(call_id):
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def output(call_id):
    return {"type": "function_call_output", "call_id": call_id, "output": f"of {call_id}"}


def shape(items):
    """The roles, and the calls of each message."""
    return [
        (m["role"], [c["id"] for c in m.get("tool_calls", ())] or m.get("tool_call_id"))
        for m in to_messages(items, None)
    ]


def test_parts_become_those_of_chat():
    items = [
        message("user", [{"type": "input_text", "text": "Hi"}]),
        message(
            "assistant",
            [{"type": "output_text", "text": "Ha"}, {"type": "refusal", "refusal": "No"}],
        ),
    ]
    first, second = to_messages(items, "Be brief.")[1:]
    assert first["content"] == [{"type": "text", "text": "Hi"}]
    assert [part["type"] for part in second["content"]] == ["text", "refusal"]


def test_instructions_come_first():
    assert to_messages([], "Be brief.") == [{"role": "developer", "content": "Be brief."}]
    assert to_messages([], "") == []


def test_text_and_calls_next_to_each_other_are_one_message():
    items = [message("assistant", "Let me see"), call("a"), call("b"), output("b"), output("a")]
    assert shape(items) == [("assistant", ["a", "b"]), ("tool", "a"), ("tool", "b")]


def test_calls_after_an_output_are_a_new_message():
    items = [call("a"), output("a"), call("b"), output("b")]
    assert shape(items) == [
        ("assistant", ["a"]), ("tool", "a"), ("assistant", ["b"]), ("tool", "b"),
    ]  # fmt: skip


def test_outputs_follow_their_call_wherever_they_are():
    items = [output("a"), call("a"), message("user", "And?")]
    assert shape(items) == [("assistant", ["a"]), ("tool", "a"), ("user", None)]


def test_reasoning_of_this_server_belongs_to_the_next_message():
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}
    foreign = {"type": "reasoning", "encrypted_content": "x", "content": 7}
    messages = to_messages([thought, message("assistant", "Yes"), foreign, call("a")], None)
    assert [m.get("reasoning_content") for m in messages] == ["Hm.", None]


def test_a_turn_has_the_outputs_of_its_calls():
    messages = to_messages([message("user", "x"), call("a"), output("a")], None)
    assert [[m["role"] for m in turn] for turn in turns(messages)] == [
        ["user"], ["assistant", "tool"],
    ]  # fmt: skip
