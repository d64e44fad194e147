"""Of several faults in a request the original tells one; which one is a matter of rules too."""

import itertools
import json

import pytest

from minikin.api.request.translate import Limits, translate
from minikin.errors import InvalidRequest

LIMITS = Limits(models=frozenset({"gpt-4.1-mini"}))
ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "f"}}


def fault(**changes):
    with pytest.raises(InvalidRequest) as raised:
        translate({**ASK, **changes}, LIMITS)
    return raised.value


def shown(error):
    return (error.message, error.param, error.code)


RECORDED_ORDER = [
    ({"stop": 123}, "stop"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"logprobs": "foo"}, "logprobs"),
    ({"top_logprobs": 1}, "top_logprobs"),
    ({"stream_options": {}}, "stream_options"),
    ({"reasoning_effort": "low"}, None),
    ({"response_format": {"type": "json_object"}}, "messages"),
    ({"parallel_tool_calls": True}, "parallel_tool_calls"),
    ({"metadata": {}}, "metadata"),
    ({"logit_bias": {"1": 1000}}, "logit_bias"),
]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(RECORDED_ORDER, 2)))
def test_two_errors_are_reported_in_the_recorded_order(first, second):
    both = fault(**{**second[0], **first[0]})
    assert both.param == first[1]
    assert shown(both) == shown(fault(**first[0]))


@pytest.mark.parametrize(
    "later", [{"top_logprobs": 1}, {"metadata": {}}, {"logit_bias": {"1": 999}}]
)
def test_the_type_of_a_stream_option_comes_before_the_rules(later):
    wrong = {"stream_options": {"include_usage": "foo"}}
    assert fault(**later, **wrong).param == "stream_options.include_usage"
    assert fault(**wrong, logprobs="foo").param == "logprobs"


SHAPE_FAULTS = [
    {"n": -1},
    {"n": 129},
    {"n": "2"},
    {"temperature": 2.1},
    {"top_p": "1"},
    {"frequency_penalty": -3},
    {"presence_penalty": None, "seed": 1.5},
    {"max_tokens": 0},
    {"max_completion_tokens": "9"},
    {"user": 123},
    {"store": "yes"},
    {"stream": 1},
    {"metadata": "a"},
    {"metadata": {"k" * 65: "v"}},
    {"service_tier": "gold"},
    {"audio": {"format": "midi", "voice": "alloy"}},
    {"logit_bias": [1]},
    {"top_logprobs": 21},
    {"top_logprobs": -1},
    {"parallel_tool_calls": None},
    {"response_format": "json_object"},
    {"messages": []},
    {"messages": [{"role": "user", "content": [{"type": "unknown"}]}]},
    {"messages": [{"role": "assistant", "content": [{"type": "refusal"}]}]},
]
RULE_FAULTS = [
    {"top_logprobs": 1},
    {"stream_options": {"include_usage": True}},
    {"reasoning_effort": "low"},
    {"response_format": {"type": "json_object"}},
    {"parallel_tool_calls": False},
    {"tool_choice": "none"},
    {"metadata": {"a": "b"}},
    {"logit_bias": {"1": -101}},
    {"prediction": {"type": "content", "content": "x"}, "logprobs": True},
    {"max_tokens": 1, "max_completion_tokens": 1},
    {"web_search_options": {}},
]
SHAPE_AND_RULE = [
    pair for pair in itertools.product(SHAPE_FAULTS, RULE_FAULTS) if not set(pair[0]) & set(pair[1])
]


@pytest.mark.parametrize(("shape", "rule"), SHAPE_AND_RULE, ids=json.dumps)
def test_the_type_of_each_value_comes_before_the_combination_of_values(shape, rule):
    for both in (shape | rule, rule | shape):
        assert shown(fault(**both)) == shown(fault(**shape))


@pytest.mark.parametrize("other", [*SHAPE_FAULTS, *RULE_FAULTS], ids=json.dumps)
def test_missing_messages_come_before_all_but_the_model(other):
    body = {**ASK, **other}
    del body["messages"]
    with pytest.raises(InvalidRequest) as raised:
        translate(body, LIMITS)
    expected = ("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    assert shown(raised.value) == expected


CURES = [
    ({"top_logprobs": 1}, {"logprobs": True}),
    ({"stream_options": {}}, {"stream": True}),
    ({"metadata": {"a": "b"}}, {"store": True}),
    ({"parallel_tool_calls": False}, {"tools": [TOOL]}),
    ({"tool_choice": "auto"}, {"tools": [TOOL]}),
]


@pytest.mark.parametrize(("rule", "cure"), CURES, ids=json.dumps)
def test_a_rule_kept_leaves_the_next_fault_to_tell(rule, cure):
    translate({**ASK, **rule, **cure}, LIMITS)
    for later in ({"logit_bias": {"1": 1000}}, {"nonsense": 1}, {"n": 0}):
        assert shown(fault(**rule, **cure, **later)) == shown(fault(**later))


def test_every_pair_of_values_gets_one_of_its_two_faults_or_passes():
    fine = [
        {"stop": [".", "!"]},
        {"stop": []},
        {"seed": -1},
        {"user": ""},
        {"n": 1},
        {"stream": None},
        {"modalities": ["text"]},
        {"service_tier": "default"},
        {"top_p": 0},
        {"temperature": 2},
        {"messages": [{"role": "assistant", "content": "Hello"}]},
        {"messages": [{"role": "system", "content": "", "name": "x"}]},
    ]
    faulty = [case for case, _ in RECORDED_ORDER] + SHAPE_FAULTS + RULE_FAULTS
    for one, other in itertools.combinations(faulty + fine, 2):
        if set(one) & set(other):
            continue
        alone = [shown(fault(**change)) for change in (one, other) if change in faulty]
        if alone:
            both = shown(fault(**one, **other))
            assert both in alone or both[1:] == ("max_tokens", "invalid_parameter_combination")
        else:
            translate({**ASK, **one, **other}, LIMITS)
