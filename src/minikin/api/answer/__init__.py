"""Turns engine events into OpenAI's objects."""
