"""A decoder on the native kernels."""

from __future__ import annotations

from collections.abc import Sequence as Run

import numpy as np

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.batch import Batch
from minikin.engine.model.decoder import Seen
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.native_layers import NativeLayers
from minikin.engine.model.weights import Weights
from minikin.engine.native.kernels import Kernels


class NativeDecoder:
    """Embedding, layers of attention and feed-forward, norm, head. See `Decoder`."""

    native = True
    launcher = None

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

    def restrict(self, logits: np.ndarray, allowed: Run[np.ndarray | None]) -> None:
        """See `Chooser`."""
        for row, mask in zip(logits, allowed, strict=False):
            if mask is not None:
                row[: len(mask)][~mask] = -np.inf
                row[len(mask) :] = -np.inf

    def penalise(self, logits: np.ndarray, seen: Run[Seen]) -> None:
        """See `Chooser`."""
        for row, tokens, penalty in seen:
            own, by = logits[row, tokens], np.float32(penalty)
            logits[row, tokens] = np.where(own > 0, own / by, own * by)

    def join(self, parts: Run[np.ndarray]) -> np.ndarray:
        """See `Chooser`."""
        return np.concatenate(parts)
