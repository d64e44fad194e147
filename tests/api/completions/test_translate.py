import inspect
from collections import Counter

import pytest

from minikin.api.completions.parameters import MAX_ECHOED, PARAMETERS, TABLE
from minikin.api.completions.translate import CompletionRequest, translate
from minikin.api.request.answer_request import AnswerRequest
from minikin.api.request.destinations import NoEffect, Rejected, Request, Sampling
from minikin.api.request.translate import Limits
from minikin.engine.messages import SamplingParams
from minikin.errors import InvalidRequest, NotFound

LIMITS = Limits(models=frozenset({"tiny"}), max_choices=8, extensions=True)
ASK = {"model": "tiny", "prompt": "Once"}
EXAMPLES = {
    "prompt": {"prompt": [1, 2]},
    "max_tokens": {"max_tokens": 5},
    "n": {"n": 2},
    "best_of": {"best_of": 3},
    "echo": {"echo": True},
    "logprobs": {"logprobs": 2},
    "stream": {"stream": True},
    "stream_options": {"stream": True, "stream_options": {"include_usage": True}},
    "stop": {"stop": "x"},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "frequency_penalty": {"frequency_penalty": 1},
    "presence_penalty": {"presence_penalty": 1},
    "seed": {"seed": 1},
    "logit_bias": {"logit_bias": {"1": 2}},
    "top_k": {"top_k": 3},
    "min_p": {"min_p": 0.1},
    "repetition_penalty": {"repetition_penalty": 1.1},
    "user": {"user": "x"},
    "suffix": {"suffix": "end"},
}


def fault(**body):
    with pytest.raises(InvalidRequest) as raised:
        translate(ASK | body, LIMITS)
    return raised.value


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_value_is_honoured_or_rejected(parameter):
    body = ASK | EXAMPLES[parameter.name]
    if isinstance(parameter.goes_to[0], Rejected):
        assert fault(**body).param == parameter.name
        return
    without = ASK | {name: value for name, value in body.items() if name != parameter.name}
    changed = translate(body, LIMITS) != translate(without, LIMITS)
    assert changed != isinstance(parameter.goes_to[0], NoEffect)


def test_every_field_of_a_request_and_of_sampling_has_one_source():
    def fed(kind):
        return Counter(to.field for _, to in TABLE.going_to(kind))

    inherited = set(AnswerRequest.__struct_fields__) - {"n", "max_tokens"}
    own = set(CompletionRequest.__struct_fields__) - inherited - {"at"}
    assert fed(Request) == Counter(own)
    computed = set(inspect.signature(CompletionRequest.sampling_params).parameters)
    fields = fed(Sampling) + Counter(computed - {"self", "defaults"} | {"prompt_logprobs"})
    assert fields == Counter(SamplingParams.__struct_fields__)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("", ("",)),
        ("Once", ("Once",)),
        (["a", ""], ("a", "")),
        ([1, 2], ([1, 2],)),
        ([[1], [2, 3]], ([1], [2, 3])),
    ],
)
def test_a_prompt_has_four_forms(prompt, prompts):
    assert translate(ASK | {"prompt": prompt}, LIMITS).prompts == prompts


@pytest.mark.parametrize(
    ("prompt", "param", "code"),
    [
        (None, "prompt", "invalid_type"),
        (7, "prompt", "invalid_type"),
        (True, "prompt", "invalid_type"),
        ({}, "prompt", "invalid_type"),
        ([], "prompt", "empty_array"),
        ([[]], "prompt[0]", "empty_array"),
        ([[1], []], "prompt[1]", "empty_array"),
        (["a", 1], "prompt[1]", "invalid_type"),
        ([1, "a"], "prompt[1]", "invalid_type"),
        ([1, True], "prompt[1]", "invalid_type"),
        ([1, 2.5], "prompt[1]", "invalid_type"),
        ([None], "prompt[0]", "invalid_type"),
        ([[1], "a"], "prompt[1]", "invalid_type"),
        ([[1], [[1]]], "prompt[1][0]", "invalid_type"),
        (["a"] * 129, "prompt", "array_above_max_length"),
        (["a"] * 9, "prompt", "invalid_value"),
    ],
)
def test_other_prompts_are_errors(prompt, param, code):
    assert (fault(prompt=prompt).param, fault(prompt=prompt).code) == (param, code)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"best_of": 100_000}, "best_of"),
        ({"best_of": 9}, "best_of"),
        ({"best_of": 2, "n": 3}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"n": 5, "prompt": ["a", "b"]}, "n"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"suffix": ""}, "suffix"),
        ({"messages": []}, None),
        ({"tools": []}, None),
    ],
)
def test_what_cannot_be_had_is_an_error(body, param):
    assert fault(**body).param == param


def test_model_and_prompt_are_required_in_this_order():
    with pytest.raises(InvalidRequest, match="model parameter"):
        translate({"prompt": "a"}, LIMITS)
    with pytest.raises(NotFound):
        translate({"model": "other"}, LIMITS)
    with pytest.raises(InvalidRequest, match="'prompt'"):
        translate({"model": "tiny", "zzz": 1}, LIMITS)


def test_an_answer_has_a_bounded_number_of_log_probabilities_of_prompts():
    asked = translate(ASK | {"echo": True, "logprobs": 3, "n": 2}, LIMITS)
    asked.check_echoed(MAX_ECHOED // 8)
    with pytest.raises(InvalidRequest, match="fewer prompts") as caught:
        asked.check_echoed(MAX_ECHOED // 8 + 1)
    assert caught.value.param == "logprobs"
    translate(ASK | {"echo": True}, LIMITS).check_echoed(10**9)
