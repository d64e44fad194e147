from minikin.chat.call_formats import GEMMA, HARMONY, LFM2, PHI, TAGGED
from minikin.chat.messages import alternating, for_template

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def rewrite(message, source=""):
    return for_template([message], source, lambda value: value, TAGGED)[0]


def test_parts_are_one_text_with_nothing_between_and_refusals_are_said():
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]
    assert rewrite({"role": "assistant", "content": parts})["content"] == "ano"
    assert rewrite({"role": "assistant", "content": None, "refusal": "no"})["content"] == "no"


def test_calls_go_to_templates_that_know_them_as_objects():
    message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert rewrite(message, "message.tool_calls") == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"type": "function", "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}
        ],
    }


def test_calls_are_written_out_for_templates_that_do_not():
    written = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    message = {"role": "assistant", "content": "Hm.", "tool_calls": [CALL]}
    assert rewrite(message)["content"] == f"Hm.\n{written}"
    legacy = {"role": "assistant", "content": None, "function_call": CALL["function"]}
    assert rewrite(legacy)["content"] == written


ODD = (
    "not json", "[1]", "null", '{"city": "Ro', '{"text": "He said "hi" twice"}', "[" * 100_000,
    '{"a":' * 65 + "1" + "}" * 65, '{"a": "\\ud800"}', '{"a": ' + "9" * 5000 + "}",
)  # fmt: skip


def test_arguments_that_are_not_an_object_stay_text():
    for arguments in ODD:
        call = {**CALL, "function": {"name": "f", "arguments": arguments}}
        message = {"role": "assistant", "tool_calls": [call]}
        rewritten = rewrite(message, "tool_calls")
        assert rewritten["tool_calls"][0]["function"]["arguments"] == arguments


def test_a_call_without_parameters_has_no_arguments():
    for arguments in ("", " \n", "{}"):
        call = {**CALL, "function": {"name": "f", "arguments": arguments}}
        rewritten = rewrite({"role": "assistant", "tool_calls": [call]}, "tool_calls")
        assert rewritten["tool_calls"][0]["function"]["arguments"] == {}
        written = rewrite({"role": "assistant", "tool_calls": [call]})
        assert '"arguments": {}' in written["content"]


def test_a_result_stands_without_the_name_of_its_function():
    named = {"content": "42", "name": "f"}
    for role in ({"role": "tool", "tool_call_id": "c"}, {"role": "function"}):
        assert rewrite(named | role, "{% if role == 'tool' %}")["content"] == "42"
        assert rewrite(named | role)["content"].startswith("The function returned: 42\n")


def test_the_names_of_speakers_are_written_but_not_the_models_own():
    for role in ("user", "system", "assistant"):
        said = {"role": role, "name": "ann", "content": "Hi"}
        assert rewrite(said)["content"] == ("Hi" if role == "assistant" else "ann: Hi")
        assert rewrite(said, "message.name")["content"] == "Hi"


def test_a_legacy_call_and_its_result_have_the_same_id():
    call = {"role": "assistant", "content": None, "function_call": CALL["function"]}
    source = "tool_calls 'tool' {% if id | length != 9 %}"
    id_of_call = rewrite(call, source)["tool_calls"][0]["id"]
    result = rewrite({"role": "function", "name": "f", "content": "42"}, source)
    assert (result["role"], result["tool_call_id"]) == ("tool", id_of_call)


def test_results_reach_the_model_either_way():
    message = {"role": "tool", "tool_call_id": "c", "content": "42"}
    known = rewrite(message, "{% if role == 'tool' %}")
    assert known == {"role": "tool", "tool_call_id": "c", "content": "42"}
    assert rewrite(message) == {
        "role": "user",
        "content": "The function returned: 42\n\nNow answer my question.",
    }


def test_a_result_has_a_turn_of_its_role_where_the_template_writes_every_role():
    result = [{"role": "tool", "tool_call_id": "c", "content": "42"}]
    source = "{{ '<|im_start|>' + message['role'] }}"
    [message] = for_template(result, source, str, LFM2)
    assert (message["role"], message["content"]) == ("tool", "42")
    # Without tools in its training, a model reads the result better in the user's words. In a
    # template of Phi-4-mini, the role would be the mark of the tools.
    for other, form in ((source, TAGGED), (source + "<|tool|>", PHI), ("{{ content }}", LFM2)):
        assert for_template(result, other, str, form)[0]["role"] == "user"


def test_results_stay_messages_where_a_token_has_the_name_of_gemmas_field():
    call = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    said = [call, {"role": "tool", "tool_call_id": "c", "content": "42"}]
    theirs = "{% set end = '</tool_responses>' %}{{ message.tool_calls }}{% if role == 'tool' %}"
    assert len(for_template(said, theirs, lambda value: value, TAGGED)) == 2
    for read in (".tool_responses", "['tool_responses']", ".get('tool_responses')"):
        source = f"{{{{ message.tool_calls }}}}{{% if role == 'tool' %}}{{{{ message{read} }}}}"
        [message] = for_template(said, source, lambda value: value, GEMMA)
        assert message["tool_responses"] == [{"name": "f", "response": "42"}]


def test_only_after_the_last_of_several_results_the_question_is_due():
    results = [{"role": "tool", "tool_call_id": name, "content": name} for name in "abc"]
    said = {"role": "assistant", "content": "d"}
    for_model = for_template([*results[:2], said, results[2]], "", str, TAGGED)
    due = [message["content"].endswith("Now answer my question.") for message in for_model]
    assert due == [False, True, False, True]


def test_turns_alternate_from_the_user_on():
    said = [("assistant", "a"), ("user", "b"), ("system", "c"), ("assistant", "")]
    turns = alternating([{"role": role, "content": text} for role, text in said], TAGGED)
    assert [(turn["role"], turn["content"]) for turn in turns] == [
        ("user", ""),
        ("assistant", "a"),
        ("user", "b\n\nc"),
        ("assistant", ""),
    ]


def test_a_template_that_counts_the_letters_of_ids_gets_nine():
    source = "message.tool_calls 'tool' {% if id | length != 9 %}"
    calls = [CALL | {"id": "call_0123456789"}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    assert rewrite(message, source)["tool_calls"][0]["id"] == "123456789"
    result = {"role": "tool", "tool_call_id": "c", "content": "1"}
    assert rewrite(result, source)["tool_call_id"] == "00000000c"
    assert rewrite(result, "'tool'")["tool_call_id"] == "c"


def test_gpt_oss_reads_one_call_of_a_message():
    other = CALL | {"id": "d"}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [CALL, other]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
        {"role": "tool", "tool_call_id": "d", "content": "2"},
    ]
    source = "message.tool_calls[0] message.role == 'tool'"
    found = for_template(messages, source, lambda value: value, HARMONY)
    assert [message["role"] for message in found] == ["assistant", "tool", "assistant", "tool"]
    assert [message["tool_calls"][0]["id"] for message in found[::2]] == ["c", "d"]
