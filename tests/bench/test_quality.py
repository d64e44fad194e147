"""The jobs of `make quality` tell right answers from wrong ones."""

import json

import pytest

from bench.quality.jobs import all_jobs

JOBS = all_jobs()


def answer(content=None, calls=(), finish_reason="stop"):
    made = [{"function": {"name": n, "arguments": json.dumps(a)}} for n, a in calls]
    message = {"content": content, "tool_calls": made}
    return {"message": message, "finish_reason": finish_reason}


def jobs(kind):
    return [job for job in JOBS if job.kind == kind]


def test_there_are_about_a_hundred_jobs_and_an_empty_answer_fails_each():
    assert 90 <= len(JOBS) <= 120
    assert not any(job.judge(answer("{}")) for job in JOBS)


@pytest.mark.parametrize(
    ("age", "right"), [(34, True), (35, False), ("34", False)], ids=["right", "wrong", "text"]
)
def test_an_extraction_is_right_if_its_value_is(age, right):
    job = jobs("extraction into a schema")[1]
    assert job.judge(answer(json.dumps({"name": "x", "age": age, "city": "y"}))) is right


def test_a_choice_of_a_tool_is_right_with_one_call_of_it():
    job = jobs("choice of a tool")[0]
    call = ("get_weather", {"city": "Rome"})
    assert job.judge(answer(calls=[call]))
    assert not job.judge(answer(calls=[call, call]))
    assert not job.judge(answer(calls=[("add", {"a": 1, "b": 2})]))


def test_an_edit_is_right_if_the_whole_object_is():
    job = jobs("edits of JSON")[0]
    assert job.judge(answer('{"name": "Ann", "age": 31}'))
    assert not job.judge(answer('{"name": "ann", "age": 31}'))


def test_json_within_a_limit_is_right_if_it_ended():
    job = jobs("JSON within a limit")[0]
    assert job.judge(answer('{"title": "", "story": "", "words": []}'))
    assert not job.judge(answer('{"title": ""}', finish_reason="length"))


def test_a_stop_sequence_ends_the_answer_and_is_not_in_it():
    job = jobs("stop texts")[0]
    assert job.judge(answer("1, 2, 3, 4, "))
    assert not job.judge(answer("1, 2, 3, 4, 5"))
    assert not job.judge(answer("1, 2", finish_reason="length"))
