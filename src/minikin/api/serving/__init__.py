"""Loaded models, stored completions, and the places for requests."""
