"""Turns JSON Schema and tools into grammars, and grammars into the tokens allowed next."""
