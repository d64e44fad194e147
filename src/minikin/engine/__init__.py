"""The engine: token ids in, token events out. It does not depend on chat or HTTP."""
