"""OpenAI's Responses API: the rules of its bodies, its items, and its events."""
