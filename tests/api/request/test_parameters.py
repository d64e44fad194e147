"""A parameter is honoured or rejected: its entry says where the value goes, and it goes there."""

import inspect
from collections import Counter

import pytest

from minikin.api.request.destinations import (
    DefaultOf,
    Destination,
    NoEffect,
    Rejected,
    Request,
    Sampling,
    Setting,
)
from minikin.api.request.parameters import EXTENSIONS, PARAMETERS, TABLE
from minikin.api.request.translate import ChatRequest, Limits, translate
from minikin.engine.messages import SamplingParams
from minikin.errors import InvalidRequest

EVERY = {parameter.name: parameter for parameter in PARAMETERS + EXTENSIONS}
LIMITS = Limits(models=frozenset({"tiny"}), extensions=True)
ASK = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
EXAMPLES = {
    "messages": {"messages": [{"role": "user", "content": "Ho"}]},
    "stop": {"stop": "x"},
    "modalities": {"modalities": ["text"]},
    "logprobs": {"logprobs": True},
    "stream_options": {"stream": True, "stream_options": {"include_usage": True}},
    "stream": {"stream": True},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "frequency_penalty": {"frequency_penalty": 1},
    "presence_penalty": {"presence_penalty": 1},
    "max_completion_tokens": {"max_completion_tokens": 5},
    "max_tokens": {"max_tokens": 5},
    "n": {"n": 2},
    "seed": {"seed": 1},
    "logit_bias": {"logit_bias": {"1": 2}},
    "top_logprobs": {"logprobs": True, "top_logprobs": 2},
    "response_format": {"response_format": {"type": "text"}},
    "tools": {"tools": TOOLS},
    "tool_choice": {"tools": TOOLS, "tool_choice": "none"},
    "parallel_tool_calls": {"tools": TOOLS, "parallel_tool_calls": False},
    "functions": {"functions": [{"name": "f"}]},
    "function_call": {"functions": [{"name": "f"}], "function_call": "none"},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "store": {"store": True},
    "metadata": {"store": True, "metadata": {"a": "b"}},
    "user": {"user": "x"},
    "safety_identifier": {"safety_identifier": "x"},
    "prompt_cache_key": {"prompt_cache_key": "x"},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "prompt_cache_options": {"prompt_cache_options": {}},
    "service_tier": {"service_tier": "auto"},
    "audio": {"audio": {"format": "mp3", "voice": "alloy"}},
    "verbosity": {"verbosity": "medium"},
    "moderation": {"moderation": {}},
    "web_search_options": {"web_search_options": {}},
    "top_k": {"top_k": 3},
    "min_p": {"min_p": 0.1},
    "repetition_penalty": {"repetition_penalty": 1.1},
    "continue_final_message": {
        "messages": [*ASK["messages"], {"role": "assistant", "content": "One"}],
        "continue_final_message": True,
    },
    "reasoning_effort": {"reasoning_effort": "low"},
}
"""For each parameter a body that has it, with what else it needs."""


def fed(kind: type[Sampling] | type[Request]) -> Counter[str]:
    return Counter(to.field for _, to in TABLE.going_to(kind))


def test_every_field_of_sampling_has_one_source():
    taken = set(inspect.signature(ChatRequest.sampling_params).parameters) - {"self", "defaults"}
    computed = taken | {"prompt_logprobs"}
    assert fed(Sampling) + Counter(computed) == Counter(SamplingParams.__struct_fields__)


def test_every_field_of_a_request_has_one_source():
    made = {"model", "sampling", "settings"}
    assert fed(Request) + Counter(made) == Counter(ChatRequest.__struct_fields__)


@pytest.mark.parametrize("parameter", EVERY.values(), ids=EVERY)
def test_a_parameter_goes_somewhere(parameter):
    assert parameter.goes_to
    assert all(isinstance(to, Destination) for to in parameter.goes_to)
    for to in parameter.goes_to:
        assert not isinstance(to, DefaultOf) or EVERY[to.parameter].goes_to
        alone = isinstance(to, Rejected | NoEffect)
        assert not alone or len(parameter.goes_to) == 1


def test_settings_of_a_stored_completion_have_one_source_each():
    assert max(Counter(to.field for _, to in TABLE.going_to(Setting)).values()) == 1


def test_only_these_parameters_have_no_effect():
    assert {parameter.name for parameter, _ in TABLE.going_to(NoEffect)} == {
        "modalities", "safety_identifier", "prompt_cache_retention",
        "prompt_cache_options", "service_tier", "audio", "verbosity",
    }  # fmt: skip


@pytest.mark.parametrize("parameter", EVERY.values(), ids=EVERY)
def test_a_value_is_honoured_or_rejected(parameter):
    body = ASK | EXAMPLES[parameter.name]
    if isinstance(parameter.goes_to[0], Rejected):
        with pytest.raises(InvalidRequest) as raised:
            translate(body, LIMITS)
        assert raised.value.param == parameter.name
        return
    request = translate(body, LIMITS)
    without = ASK | {name: value for name, value in body.items() if name != parameter.name}
    changed = request != translate(without, LIMITS)
    assert changed != isinstance(parameter.goes_to[0], NoEffect)
