"""One forward pass of a decoder over a batch of spans, in PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.batch import Batch
from minikin.engine.model.recurrence import DeltaNet, Mamba
from minikin.engine.model.rope import rotary_tables
from minikin.engine.model.weights import Weights
from minikin.engine.pytorch.activation import ACTIVATIONS
from minikin.engine.pytorch.attention import AttentionForm, Seen, attend
from minikin.engine.pytorch.choose import TorchChooser
from minikin.engine.pytorch.convolution import convolve
from minikin.engine.pytorch.delta_net import run_delta_net
from minikin.engine.pytorch.kv_cache import TorchKVCache
from minikin.engine.pytorch.latent import latent_heads
from minikin.engine.pytorch.linear import Linear
from minikin.engine.pytorch.mamba import run_mamba
from minikin.engine.pytorch.memory import RecurrentTensors
from minikin.engine.pytorch.rope import rotate
from minikin.engine.pytorch.tensors import tensor
from minikin.engine.pytorch.weights import AttentionTensors, LayerInputTensors, LayerTensors


class TorchDecoder:
    """Embedding, layers of attention and feed-forward, norm, head. See `Decoder`.

    The residual stream is float32. The inputs of a matrix have the type of its weights.
    """

    native = False
    launcher = None

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """`dtype` is that of dense matrices and of attention. Matrices can also be packed."""
        self.architecture = a = architecture
        self.device = device
        self.dtype = dtype
        self.chooser = TorchChooser()
        self._embedding = Linear.of(weights.embedding, dtype, device)
        self._layers = [LayerTensors.of(layer, dtype, device) for layer in weights.layers]
        inputs = weights.layer_inputs
        self._layer_inputs = inputs and LayerInputTensors.of(inputs, dtype, device)
        self._final_norm = tensor(weights.norm, device)
        tied = weights.head is weights.embedding
        self._head = self._embedding if tied else Linear.of(weights.head, dtype, device)
        dims = [heads.dim for heads in a.layer_heads]
        tables = rotary_tables(a.ropes, a.context_length, dims)
        self._rotations = [
            tuple(tuple(tensor(part, device) for part in table) for table in both)
            for both in tables
        ]
        self._forms = [
            AttentionForm(
                a.attention_scale,
                window,
                a.attention_softcap,
                layer.attention and layer.attention.sinks,
            )
            for window, layer in zip(a.windows, self._layers, strict=True)
        ]
        self._activation = ACTIVATIONS[architecture.activation]

    @torch.no_grad()
    def hidden(self, batch: Batch, cache: TorchKVCache) -> torch.Tensor:
        """See `Decoder`."""
        a, tokens = self.architecture, tensor(batch.tokens, self.device)
        x = self._embedding.rows(tokens)
        if a.embedding_scale != 1:
            x = x * a.embedding_scale
        own = self._layer_inputs(x, tokens, a.plain_epsilon) if self._layer_inputs else None
        seen = Seen(batch, self.dtype, self.device)
        positions, slots = (tensor(part, self.device) for part in (batch.positions, batch.slots))
        for i, layer in enumerate(self._layers):
            y = self._norm(x, layer.attention_norm)
            if (attention := layer.attention) is not None:
                added = self._attention(i, attention, y, positions, slots, seen, cache)
                x += self._norm(added, layer.attention_post_norm)
            if (recurrence := layer.recurrence) is not None:
                added = self._recurrence(i, recurrence, y, batch, cache)
                x += self._norm(added, layer.attention_post_norm)
            if layer.mixture or layer.down:
                x += self._norm(self._feed_forward(layer, x), layer.feed_forward_post_norm)
            if layer.own_input is not None and own is not None:
                gates = layer.own_input.gate(x).float()
                added = self._activation(torch.cat([gates, own[:, i]], dim=-1))
                x += self._norm(layer.own_input.output(added), layer.own_input.norm)
            if layer.scale != 1:
                x *= layer.scale
        return x

    @torch.no_grad()
    def logits(self, hidden: torch.Tensor, few: int) -> torch.Tensor:
        """See `Decoder`. PyTorch has no kernels for few rows."""
        logits = self._head(self._norm(hidden, self._final_norm)).float()
        cap = self.architecture.logit_softcap
        return cap * torch.tanh(logits / cap) if cap else logits

    def _norm(self, x: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """The RMS norm over the last dimension. With a weight of None, x itself."""
        if weight is None:
            return x
        return F.rms_norm(x.float(), weight.shape, weight, self.architecture.norm_epsilon)

    def _feed_forward(self, layer: LayerTensors, x: torch.Tensor) -> torch.Tensor:
        y = self._norm(x, layer.feed_forward_norm)
        if layer.mixture is not None and layer.beside is None:
            return layer.mixture(y, self._activation)
        assert layer.gate_up is not None
        assert layer.down is not None
        dense = layer.down(self._activation(layer.gate_up(y)))
        if layer.mixture is None or layer.beside is None:
            return dense
        routed = self._norm(x, layer.mixture.router_norm)
        read = self._norm(x, layer.beside.before)
        mixed = layer.mixture(read, self._activation, routed)
        return self._norm(dense, layer.beside.dense) + self._norm(mixed, layer.beside.mixed)

    def _attention(
        self,
        i: int,
        layer: AttentionTensors,
        x: torch.Tensor,
        positions: torch.Tensor,
        slots: torch.Tensor,
        seen: Seen,
        cache: TorchKVCache,
    ) -> torch.Tensor:
        a = self.architecture
        q, k, v, gate = self._heads(i, layer, x)
        of_queries, of_keys = self._rotations[i]
        place = a.key_places[i]
        if a.has_keys[i]:
            keys = self._turn(k, layer.key_norm, of_keys, positions)
            cache.write(place, slots, keys, self._norm(v, layer.value_norm))
        q = self._turn(q, layer.query_norm, of_queries, positions).to(self.dtype)
        attended = attend(q, cache, place, seen, self._forms[i])
        if a.gated_attention:
            attended = attended * gate.sigmoid()
        if a.latent is not None:
            attended = attended[..., : a.latent.value_dim]
        return layer.output(attended.flatten(1))

    def _turn(
        self,
        part: torch.Tensor,
        norm: torch.Tensor | None,
        table: tuple[torch.Tensor, ...],
        positions: torch.Tensor,
    ) -> torch.Tensor:
        """Queries or keys [T, heads, head_dim] by their norm and rotation, in the model's order."""
        cosine, sine = table
        rotation = cosine[positions], sine[positions]
        if self.architecture.late_norms:
            return self._head_norm(rotate(part, rotation), norm)
        return rotate(self._head_norm(part, norm), rotation)

    def _heads(self, i: int, layer: AttentionTensors, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys, values and gates, each [T, heads, head_dim]."""
        a, made = self.architecture, layer.qkv(x)
        if layer.latent is not None:
            return *latent_heads(a, layer.latent, made), made[:0]
        gates = a.heads if a.gated_attention else 0
        keys, dim = a.layer_heads[i]
        own = keys if a.has_keys[i] else 0
        return made.view(len(x), -1, dim).split([a.heads, own, own, gates], dim=1)

    def _recurrence(
        self, i: int, layer: RecurrentTensors, x: torch.Tensor, batch: Batch, cache: TorchKVCache
    ) -> torch.Tensor:
        a, taps = self.architecture, layer.convolution
        states, inputs = cache.states[a.state_places[i]], layer.inputs(x).float()
        if layer.memory is not None:
            rates = layer.memory.rates(x).float()
            rest = inputs, rates, batch, states, a.plain_epsilon
            if isinstance(a.recurrence, Mamba):
                bias = layer.convolution_bias
                return layer.output(run_mamba(a.recurrence, layer.memory, taps, bias, *rest))
            assert isinstance(a.recurrence, DeltaNet)
            return layer.output(run_delta_net(a.recurrence, layer.memory, taps, *rest))
        before, after, values = inputs.chunk(3, dim=1)
        mixed = convolve(before * values, taps, batch, states)
        return layer.output(after * mixed)

    def _head_norm(self, x: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """The norm of each head of x [T, heads, head_dim], or of all heads together."""
        if weight is None or len(weight) == x.shape[-1]:
            return self._norm(x, weight)
        return self._norm(x.flatten(1), weight).view(x.shape)
