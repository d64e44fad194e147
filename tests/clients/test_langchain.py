"""langchain-openai: `with_structured_output` and `bind_tools`."""

from __future__ import annotations

import httpx
import pytest

from tests.clients.jobs import MODEL, REVIEW, WEATHER_QUESTION, Review, weather

pytestmark = pytest.mark.model


@pytest.fixture
def chat(base_url, monkeypatch):
    # Not imported by the processes that run other tests: it takes seconds.
    langchain = pytest.importorskip("langchain_openai")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    with httpx.Client() as connection:
        yield langchain.ChatOpenAI(
            model=MODEL,
            base_url=base_url,
            api_key="any",
            http_client=connection,
            temperature=0,
            max_tokens=400,
            max_retries=0,
        )


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("strict", [True, None])
def test_an_object_is_filled_in(chat, method, strict):
    review = chat.with_structured_output(Review, method=method, strict=strict).invoke(REVIEW)
    assert isinstance(review, Review)


def test_json_mode_gives_an_object(chat):
    asked = chat.with_structured_output(None, method="json_mode")
    assert isinstance(asked.invoke("Describe a small shop in Paris. Answer in JSON."), dict)


def test_a_bound_tool_is_called_and_its_result_read(chat):
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool

    forecast = tool(weather)
    messages = [HumanMessage(WEATHER_QUESTION)]
    answer = chat.bind_tools([forecast], tool_choice="required").invoke(messages)
    assert answer.tool_calls
    messages.append(answer)
    for call in answer.tool_calls:
        messages.append(ToolMessage(forecast.invoke(call["args"]), tool_call_id=call["id"]))
    assert messages[2].content.startswith("Sunny in ")
    assert chat.invoke(messages).content


def test_a_named_tool_arrives_in_pieces(chat):
    from langchain_core.tools import tool

    bound = chat.bind_tools([tool(weather)], tool_choice="weather")
    whole = None
    for piece in bound.stream(WEATHER_QUESTION):
        whole = piece if whole is None else whole + piece
    assert whole.tool_calls[0]["name"] == "weather"
    assert weather(**whole.tool_calls[0]["args"]).startswith("Sunny in ")
