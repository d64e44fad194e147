"""Model files, read in Python and treated as untrusted: GGUF, or a folder as the hub has it."""
