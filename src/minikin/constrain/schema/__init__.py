"""Rewrites a JSON Schema so that a grammar can follow it."""
