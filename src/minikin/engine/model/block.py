"""The unit in which the KV cache is handed out."""

from minikin.engine.native.contract import BLOCK

__all__ = ["BLOCK"]
