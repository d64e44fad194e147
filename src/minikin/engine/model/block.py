"""The unit of allocation of the KV cache."""

from minikin.engine.native.contract import BLOCK

__all__ = ["BLOCK"]
