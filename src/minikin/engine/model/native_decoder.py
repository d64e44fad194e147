"""A decoder on the native kernels."""

from __future__ import annotations

from collections.abc import Sequence as Run

import numpy as np

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.batch import Batch
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.native_layers import NativeLayers
from minikin.engine.model.weights import Weights
from minikin.engine.native.kernels import Kernels


class NativeDecoder:
    """Embedding, layers of attention and feed-forward, norm, head. See `Decoder`."""

    native = True

    def __init__(self, architecture: Architecture, weights: Weights, kernels: Kernels) -> None:
        """The weights must fit: see `NativeLayers.fit`."""
        self.architecture = architecture
        self.embedding = weights.embedding.for_kernels
        self.chooser = NativeChooser(kernels)
        self._layers = NativeLayers(kernels, architecture, weights)

    def hidden(self, batch: Batch, cache: KVCache) -> np.ndarray:
        """See `Decoder`."""
        x = self.embedding.rows(batch.tokens)
        if self.architecture.embedding_scale != 1:
            x *= self.architecture.embedding_scale
        self._layers.forward(x, batch, cache)
        return x

    def logits(self, hidden: np.ndarray, few: int) -> np.ndarray:
        """See `Decoder`."""
        logits, cap = self._layers.logits(hidden, few), self.architecture.logit_softcap
        if cap:
            logits /= cap
            np.tanh(logits, out=logits)
            logits *= cap
        return logits


class NativeChooser:
    """See `Chooser`."""

    def __init__(self, kernels: Kernels) -> None:
        self.choose = kernels.choose
        self.rank = kernels.rank

    def at(self, logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """See `Chooser`."""
        return np.take_along_axis(logits, tokens, axis=1)

    def forbid(self, row: np.ndarray, forbidden: np.ndarray) -> None:
        """See `Chooser`."""
        row[: len(forbidden)][forbidden] = -np.inf

    def penalise(self, row: np.ndarray, tokens: np.ndarray, penalty: float) -> None:
        """See `Chooser`."""
        own = row[tokens]
        row[tokens] = np.where(own > 0, own / np.float32(penalty), own * np.float32(penalty))

    def join(self, parts: Run[np.ndarray]) -> np.ndarray:
        """See `Chooser`."""
        return np.concatenate(parts)
