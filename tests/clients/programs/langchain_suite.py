"""langchain's public suite for chat models, through ChatOpenAI, against BASE_URL."""

import os

from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestChatOpenAI(ChatModelIntegrationTests):
    chat_model_class = ChatOpenAI
    supports_json_mode = True
    supports_anthropic_inputs = True
    supports_model_override = True
    model_override_value = "gpt-4.1-mini-2025-04-14"

    @property
    def chat_model_params(self):
        return {
            "model": "gpt-4.1-mini",
            "base_url": os.environ["BASE_URL"],
            "api_key": "any",
            "temperature": 0,
            "max_tokens": 256,
            "max_retries": 0,
            "use_responses_api": os.environ["API"] == "responses",
            "stream_usage": True,  # the default at OpenAI's own URL
        }
