"""The engine: token ids in, token events out. It knows nothing of chat or HTTP."""
