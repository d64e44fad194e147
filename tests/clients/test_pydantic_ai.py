"""pydantic-ai: an agent with an output type, and with a tool."""

from __future__ import annotations

import openai
import pytest

from tests.clients.jobs import MODEL, REVIEW, WEATHER_QUESTION, Review, weather

pytestmark = pytest.mark.model
SETTINGS = {"temperature": 0, "max_tokens": 400}


@pytest.fixture(scope="module")
def pydantic_ai():
    """Not imported by the processes that run other tests: it takes seconds."""
    return pytest.importorskip("pydantic_ai")


@pytest.fixture
async def model(pydantic_ai, base_url):
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        yield OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))


@pytest.mark.parametrize("way", ["ToolOutput", "NativeOutput"])
async def test_an_object_is_filled_in(pydantic_ai, model, way):
    output = getattr(pydantic_ai, way)(Review)
    agent = pydantic_ai.Agent(model, output_type=output, model_settings=SETTINGS)
    result = await agent.run(REVIEW)
    assert isinstance(result.output, Review)


async def test_an_object_arrives_in_pieces(pydantic_ai, model):
    output = pydantic_ai.NativeOutput(Review)
    agent = pydantic_ai.Agent(model, output_type=output, model_settings=SETTINGS)
    async with agent.run_stream(REVIEW) as result:
        assert isinstance(await result.get_output(), Review)


async def test_a_required_tool_is_called(pydantic_ai, model):
    called = []

    def forecast(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return weather("Paris", 1)

    agent = pydantic_ai.Agent(model, output_type=[forecast], model_settings=SETTINGS)
    result = await agent.run(WEATHER_QUESTION)
    assert called
    assert result.output.startswith("Sunny")
