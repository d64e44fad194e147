"""How many tokens of prompt and answer a model takes, without loading it."""

from __future__ import annotations

from functools import lru_cache

from minikin.config import MOST_TOKENS, EngineSettings
from minikin.errors import ModelFileError
from minikin.model_file.model_file import open_model_file


@lru_cache(maxsize=1024)
def stated_context_length(settings: EngineSettings) -> int | None:
    """What the model's file states, as far as the settings allow. None if it cannot be read.

    Once it is loaded, the engine knows exactly: memory can be too short for so many tokens.
    """
    try:
        metadata = open_model_file(settings.model).metadata
    except ModelFileError:
        return None
    stated = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if not isinstance(stated, int):
        return None
    return min(stated, settings.context_length or stated, settings.kv_cache_tokens or MOST_TOKENS)
