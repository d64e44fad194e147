"""openai-agents: an agent with an output type, and one that must call a tool."""

from __future__ import annotations

import openai
import pytest

from tests.clients.jobs import MODEL, REVIEW, WEATHER_QUESTION, Review, weather

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def agents():
    """Not imported by the processes that run other tests: it takes seconds."""
    return pytest.importorskip("agents")


@pytest.fixture
async def run(agents, base_url):
    async with openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        model = agents.OpenAIChatCompletionsModel(model=MODEL, openai_client=client)

        async def answer(question, *, tool_choice=None, **settings):
            how = agents.ModelSettings(temperature=0, max_tokens=400, tool_choice=tool_choice)
            agent = agents.Agent(name="Guide", model=model, model_settings=how, **settings)
            quiet = agents.RunConfig(tracing_disabled=True)
            result = await agents.Runner.run(agent, question, run_config=quiet)
            return result.final_output

        yield answer


async def test_an_object_is_filled_in(run):
    assert isinstance(await run(REVIEW, output_type=Review), Review)


@pytest.mark.parametrize("choice", ["required", "weather"])
async def test_a_tool_that_must_be_called_is(agents, run, choice):
    tool = agents.function_tool(weather)
    said = await run(
        WEATHER_QUESTION, tools=[tool], tool_choice=choice, tool_use_behavior="stop_on_first_tool"
    )
    assert said.startswith("Sunny in ")
