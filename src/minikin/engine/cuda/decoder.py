"""One forward pass of a decoder on a GPU."""

from __future__ import annotations

from collections.abc import Sequence as Run
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from minikin.engine.cuda.cache import PagedCache
from minikin.engine.cuda.choose import CudaChooser, Limits, pick
from minikin.engine.cuda.graphs import SIZES, Capture, Graphs
from minikin.engine.cuda.latent import latent_heads
from minikin.engine.cuda.launched import CudaLaunched
from minikin.engine.cuda.mixture import mix
from minikin.engine.cuda.operations import HeadForm, Operations
from minikin.engine.cuda.rows import Inputs, Rows, split
from minikin.engine.cuda.weights import DeviceLayer, DeviceWeights
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.batch import Batch
from minikin.engine.model.block import BLOCK
from minikin.engine.model.decoder import Fed
from minikin.engine.model.rope import Table, rotary_tables
from minikin.engine.native.draw import Draw
from minikin.engine.pytorch.attention import AttentionForm
from minikin.engine.pytorch.upload import upload


class CudaDecoder:
    """Embedding, layers of attention and feed-forward, norm, head. See `Decoder`.

    Rows of answers and rows of prompts are passes of their own. The residual stream is float32.
    All layers must be attention: `TorchDecoder` computes the others.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: DeviceWeights,
        operations: Operations,
        *,
        device: torch.device,
        capture: Capture | None = None,
    ) -> None:
        """With `capture`, steps of answers are recorded, and their kernels start together.

        Such a decoder always gets the same cache.
        """
        self.architecture = a = architecture
        self.device = device
        self.native = operations.independent
        self.chooser = CudaChooser()
        self._operations = operations
        self._capture = capture
        self._graphs: Graphs | None = None
        self._weights = weights
        dims = [heads.dim for heads in a.layer_heads]
        tables = _on_device(rotary_tables(a.ropes, a.context_length, dims), device)
        self._heads = [
            HeadForm(
                heads=a.heads,
                kv_heads=a.kv_heads,
                dim=a.head_dim,
                query_norm=layer.query_norm,
                key_norm=layer.key_norm,
                late_norms=a.late_norms,
                epsilon=a.norm_epsilon,
                rotations=rotations,
                attention=AttentionForm(
                    a.attention_scale, window, a.attention_softcap, layer.sinks
                ),
            )
            for window, layer, rotations in zip(a.windows, weights.layers, tables, strict=True)
        ]

    @torch.no_grad()
    def hidden(self, batch: Batch, cache: PagedCache) -> torch.Tensor:
        """See `Decoder`."""
        answers, prompts = split(batch)
        computed: list[tuple[Rows, torch.Tensor]] = []
        if answers is not None:
            computed.append((answers, self._answers(answers, cache)))
        if prompts is not None:
            computed.append((prompts, self.run(prompts.inputs(self.device), cache)))
        if len(computed) == 1:
            return computed[0][1]
        together = torch.cat([x for _, x in computed])
        places = upload(self.device, *(rows.places for rows, _ in computed))
        return torch.empty_like(together).index_copy_(0, torch.cat(places), together)

    @property
    def launcher(self) -> CudaDecoder:
        """See `Decoder`."""
        return self

    @torch.no_grad()
    def launch(
        self, batch: Batch, draws: Run[Draw], cache: PagedCache, fed: Fed | None = None
    ) -> CudaLaunched:
        """See `Launcher`."""
        rows, _ = split(batch)
        assert rows is not None, "rows of answers"
        tokens = None
        if fed is not None:
            (places,) = upload(self.device, np.array(fed.rows, np.int64))
            # A token of -1 ends the sequence, whose next row is then of no use.
            tokens = fed.step.chosen.index_select(0, places).clamp(min=0)
        return CudaLaunched(self._answers(rows, cache, Limits.of(draws), tokens))

    def _answers(
        self,
        rows: Rows,
        cache: PagedCache,
        limits: Limits[np.ndarray] | None = None,
        tokens: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """A step of answers, see `_step`: a graph if there is one for so many.

        With `tokens` [R], these take the place of the rows' own.
        """
        if self._capture is not None and self._graphs is None:
            blocks = SIZES[-1] * -(-self.architecture.context_length // BLOCK) + 1
            step = partial(self._step, cache=cache)
            self._graphs = Graphs.of(step, self._capture, cache.spare, blocks, self.device)
        found = self._graphs.replay(rows, limits, tokens) if self._graphs else None
        if found is not None:
            return found
        inputs = rows.inputs(self.device)
        if tokens is not None:
            inputs = replace(inputs, tokens=tokens.int())
        return self._step(inputs, limits and limits.on(self.device), cache=cache)

    def _step(
        self, inputs: Inputs, limits: Limits[torch.Tensor] | None, *, cache: PagedCache
    ) -> torch.Tensor:
        """The output of the last layer or, with limits, the token after each row [R] int64."""
        hidden = self.run(inputs, cache)
        return hidden if limits is None else pick(self.logits(hidden, len(hidden)), limits)

    @torch.no_grad()
    def logits(self, hidden: torch.Tensor, few: int) -> torch.Tensor:
        """See `Decoder`. All rows are computed in the same way."""
        a = self.architecture
        x = self._operations.add(hidden, None, None, self._weights.norm, a.norm_epsilon)
        logits = self._operations.product(x, self._weights.head)
        cap = a.logit_softcap
        return cap * torch.tanh(logits / cap) if cap else logits

    def run(self, inputs: Inputs, cache: PagedCache) -> torch.Tensor:
        """The output of the last layer for these rows. It launches kernels, and waits for none."""
        a, ops, many = self.architecture, self._operations, {"prompts": inputs.prompts}
        x = self._weights.embedding.rows(inputs.tokens)
        if a.embedding_scale != 1:
            x = x * a.embedding_scale
        layers = self._weights.layers
        y = ops.add(x, None, None, layers[0].attention_norm, a.norm_epsilon)
        following = [layer.attention_norm for layer in layers[1:]] + [None]
        for i, (layer, form) in enumerate(zip(layers, self._heads, strict=True)):
            keys, values = cache.keys[i], cache.values[i]
            made = ops.product(y, layer.qkv, **many)
            if layer.latent is not None:
                made = latent_heads(a, layer.latent, made, ops, **many)
            q = ops.turn(made, form, inputs, keys, values)
            attended = ops.attend(q, form, inputs, keys, values)
            if a.latent is not None and a.latent.value_dim < a.head_dim:
                attended = attended.view(len(x), a.heads, -1)[..., : a.latent.value_dim].flatten(1)
            added = ops.product(attended, layer.output, **many)
            y = ops.add(
                x, added, layer.attention_post_norm, layer.feed_forward_norm, a.norm_epsilon
            )
            added = self._feed_forward(layer, y, inputs)
            y = ops.add(x, added, layer.feed_forward_post_norm, following[i], a.norm_epsilon)
        return x

    def _feed_forward(self, layer: DeviceLayer, y: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        ops, activation = self._operations, self.architecture.activation
        if layer.mixture is not None:
            return mix(layer.mixture, y, ops, activation, prompts=inputs.prompts)
        assert layer.gate_up is not None
        assert layer.down is not None
        many = {"prompts": inputs.prompts}
        inside = ops.activate(ops.product(y, layer.gate_up, **many), activation)
        return ops.product(inside, layer.down, **many)


_Tables = tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def _on_device(tables: Run[tuple[Table, Table]], device: torch.device) -> list[_Tables]:
    """The tables of queries and keys of each layer. Equal ones share memory."""
    moved: dict[int, torch.Tensor] = {}

    def tensor(part: np.ndarray) -> torch.Tensor:
        if id(part) not in moved:
            moved[id(part)] = torch.from_numpy(part).to(device)
        return moved[id(part)]

    return [
        ((tensor(queries[0]), tensor(queries[1])), (tensor(keys[0]), tensor(keys[1])))
        for queries, keys in tables
    ]
