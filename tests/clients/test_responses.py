"""Clients that use the Responses API: a job of two turns with a tool, streamed."""

from __future__ import annotations

import json

import httpx
import openai
import pytest

from tests.clients.jobs import MODEL, REVIEW, WEATHER_QUESTION, Review, weather

pytestmark = pytest.mark.model
TOOL = {
    "type": "function",
    "name": "weather",
    "description": weather.__doc__,
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Paris", "Rome", "Oslo"]},
            "days": {"type": "integer"},
        },
        "required": ["city"],
    },
}


@pytest.fixture
def client(base_url):
    with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as made:
        yield made


def streamed(client, **asked):
    """The final response of a stream, after its events were accumulated by the client."""
    with client.responses.stream(model=MODEL, temperature=0, max_output_tokens=400, **asked) as got:
        for _ in got:
            pass
        return got.get_final_response()


@pytest.mark.parametrize("stored", [True, False])
def test_openai_python(client, stored):
    question = [{"role": "user", "content": WEATHER_QUESTION}]
    first = streamed(client, input=question, tools=[TOOL], tool_choice="required", store=stored)
    (call,) = [item for item in first.output if item.type == "function_call"]
    outcome = weather(**json.loads(call.arguments))
    assert outcome.startswith("Sunny in ")
    output = {"type": "function_call_output", "call_id": call.call_id, "output": outcome}
    if stored:
        second = streamed(client, input=[output], previous_response_id=first.id)
    else:
        second = streamed(client, input=[*question, *first.output, output], store=False)
    assert second.status == "completed"
    assert second.output_text


def test_openai_python_parses_an_object(client):
    made = client.responses.parse(
        model=MODEL, input=REVIEW, text_format=Review, temperature=0, max_output_tokens=400
    )
    assert isinstance(made.output_parsed, Review)
    counted = client.responses.input_tokens.count(
        model=MODEL, input="Hi", instructions="Answer in one word."
    )
    plain = client.responses.create(model=MODEL, input="Hi", instructions="Answer in one word.")
    assert counted.input_tokens == plain.usage.input_tokens


async def test_openai_agents(base_url):
    agents = pytest.importorskip("agents")
    async with openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as made:
        agent = agents.Agent(
            name="Guide",
            instructions="You answer questions about the weather.",
            model=agents.OpenAIResponsesModel(model=MODEL, openai_client=made),
            model_settings=agents.ModelSettings(
                temperature=0, max_tokens=400, tool_choice="required"
            ),
            tools=[agents.function_tool(weather)],
        )
        quiet = agents.RunConfig(tracing_disabled=True)
        result = agents.Runner.run_streamed(agent, WEATHER_QUESTION, run_config=quiet)
        async for _ in result.stream_events():
            pass
    kinds = [item.type for item in result.new_items]
    assert kinds[:2] == ["tool_call_item", "tool_call_output_item"]
    assert result.final_output


def test_langchain(base_url, monkeypatch):
    langchain = pytest.importorskip("langchain_openai")
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool

    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    forecast = tool(weather)
    with httpx.Client() as connection:
        chat = langchain.ChatOpenAI(
            model=MODEL,
            base_url=base_url,
            api_key="any",
            http_client=connection,
            use_responses_api=True,
            temperature=0,
            max_tokens=400,
            max_retries=0,
        )

        def whole(model, messages):
            pieces = list(model.stream(messages))
            joined = pieces[0]
            for piece in pieces[1:]:
                joined += piece
            return joined

        messages = [HumanMessage(WEATHER_QUESTION)]
        messages.append(whole(chat.bind_tools([forecast], tool_choice="required"), messages))
        for call in messages[1].tool_calls:
            outcome = forecast.invoke(call["args"])
            assert outcome.startswith("Sunny in ")
            messages.append(ToolMessage(outcome, tool_call_id=call["id"]))
        assert len(messages) > 2
        assert whole(chat, messages).text
        assert isinstance(chat.with_structured_output(Review).invoke(REVIEW), Review)


async def test_pydantic_ai(base_url):
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    called = []

    def forecast(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return weather("Paris", 1)

    async with openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as made:
        model = OpenAIResponsesModel(MODEL, provider=OpenAIProvider(openai_client=made))
        settings = {"temperature": 0, "max_tokens": 400}
        review = pydantic_ai.Agent(
            model,
            output_type=pydantic_ai.ToolOutput(Review),
            tools=[forecast],
            model_settings=settings,
        )
        async with review.run_stream(f"{WEATHER_QUESTION} {REVIEW}") as result:
            assert isinstance(await result.get_output(), Review)
        plain = pydantic_ai.Agent(model, output_type=[forecast], model_settings=settings)
        assert (await plain.run(WEATHER_QUESTION)).output.startswith("Sunny")
    assert called
