"""The HTTP API: OpenAI's chat completions on top of the engine."""
