"""Templates in the process that bounds them: what a hostile model file can't do."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from minikin.chat.answer_format import AnswerFormat
from minikin.chat.template_process import Source, TemplateProcess
from minikin.errors import InvalidRequest, ModelFileError, TemplateError

ASK = [{"role": "user", "content": "a"}]
GREETING = [{"role": "user", "content": "Hello there"}]
FORGIVING = "{{ messages[0].content }}{% if messages[0].content != 'Hello there' %}X{% endif %}"
ENDLESS = "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}"


@asynccontextmanager
async def template(source, **tokens):
    process = TemplateProcess(Source(source, ["<s>"], **tokens), seconds=0.2)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def test_it_renders_as_the_template_does():
    source = "{{ bos_token }}{{ messages[0].content }}{{ tools }}{{ enable_thinking }}"
    async with template(source, bos="<s>") as process:
        pieces = await process.render([{"role": "user", "content": "<s>é"}])
        assert pieces == [("<s>", True), ("<s>éNone", False)]
        (_, (text, _)) = await process.render(ASK, variables={"enable_thinking": False})
        assert text == "aNoneFalse"


async def test_the_format_of_the_answer_is_described():
    async with template("{{ messages[0].content }}|{{ messages[-1].content }}") as process:
        asked = AnswerFormat({"properties": {"a": {"description": "<s>"}}}, "x")
        (text, control) = (await process.render(ASK, answer=asked))[0]
        assert text.startswith("Read the user's message")
        assert text.endswith("- a: <s>|a")
        assert not control


async def test_a_refusal_is_the_clients_fault():
    async with template(FORGIVING.replace("X", "{{ raise_exception('never') }}")) as process:
        with pytest.raises(InvalidRequest, match="never") as raised:
            await process.render(ASK)
        assert raised.value.param == "messages"


@pytest.mark.parametrize(
    "attack",
    [
        ENDLESS,
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
        "{{ f(90) }}",
        "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}"
        "{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}"
        "{% endfor %}{{ n.x | string | length }}",
        "{{ ('a' * 99999).replace('a', 'a' * 99999) | length }}",
        "{{ '%5000000000d' % 1 }}",
        "{{ 'x' | center(9000000000) }}",
        "{{ 'a' * 9000000000 }}",
        "{{ (messages | length + 8) ** (9 ** 9) }}",
        "{{ messages | tojson(indent=9000000000) }}",
        "{% for i in range(9999) %}{{ 'aaaaaaaaaa' * 6000 }}{% endfor %}",
    ],
)
async def test_a_template_that_exceeds_a_limit_is_stopped_and_works_again(attack):
    async with template(FORGIVING.replace("X", attack)) as process:
        with pytest.raises(TemplateError) as raised:
            await process.render(ASK)
        assert (raised.value.status, raised.value.code) == (500, "template_error")
        assert await process.render(GREETING) == [("Hello there", False)]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (ENDLESS, "ran over 0.2 s"),
        ("{{ 9 ** (9 ** 9) }}", "ran over 0.2 s"),
        ("{{ 'a' * 9000000000 }}", "template failed"),
        ("{% for %}", "not valid Jinja"),
        ("{% break %}", "not valid Jinja: 'break' outside loop"),
        ("always the same", "ignores"),
    ],
)
async def test_a_template_that_fails_at_a_greeting_is_a_broken_model_file(source, reason):
    process = TemplateProcess(Source(source, []), seconds=0.2)
    with pytest.raises(ModelFileError, match=reason):
        await process.start()
    await process.stop()
