"""The activation functions of feed-forward layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from minikin.model_file.family import ActivationName

Activation = Callable[[torch.Tensor], torch.Tensor]
"""[rows, gate and up] -> [rows, half as many], or [rows, up] -> the same shape."""


def silu(gate_up: torch.Tensor) -> torch.Tensor:
    """SwiGLU (Shazeer 2020)."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def gelu(gate_up: torch.Tensor) -> torch.Tensor:
    """GeGLU (Shazeer 2020), approximated with tanh."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.gelu(gate, approximate="tanh") * up


def clamped_silu(gate_up: torch.Tensor) -> torch.Tensor:
    """gpt-oss's SwiGLU: both parts are clamped at 7, the gate is steeper, and 1 is added to `up`.

    The numbers are those of OpenAI's release. GGUF files do not contain them.
    """
    gate, up = gate_up.chunk(2, dim=-1)
    gate, up = gate.clamp(max=7), up.clamp(-7, 7)
    return gate * torch.sigmoid(1.702 * gate) * (up + 1)


def squared_relu(up: torch.Tensor) -> torch.Tensor:
    """Without a gate (So et al. 2021, Primer)."""
    return F.relu(up).square()


ACTIVATIONS: dict[ActivationName, Activation] = {
    "silu": silu,
    "gelu": gelu,
    "clamped silu": clamped_silu,
    "squared relu": squared_relu,
}
