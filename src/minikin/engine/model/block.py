"""The unit in which the KV cache is handed out."""

BLOCK = 32
"""Tokens in a block."""
