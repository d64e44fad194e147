"""Minikin: a self-hosted drop-in for OpenAI's gpt-4.1-mini."""

__version__ = "0.1.0"
