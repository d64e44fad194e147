"""From engine events to OpenAI's objects."""
