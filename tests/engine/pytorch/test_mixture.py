from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import Qwen3MoeConfig
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

from minikin.engine.pytorch.activation import clamped_silu, silu
from minikin.engine.pytorch.linear import Linear
from minikin.engine.pytorch.mixture import Mixture

EXPERTS, HIDDEN, INSIDE = 6, 16, 24


def experts(count: int) -> tuple[tuple[Linear, Linear], ...]:
    torch.manual_seed(3)
    shapes = (2 * INSIDE, HIDDEN), (HIDDEN, INSIDE)
    return tuple(
        tuple(Linear(torch.randn(shape) / shape[1] ** 0.5) for shape in shapes)
        for _ in range(count)
    )


@pytest.mark.parametrize("normalized", [True, False])
@torch.inference_mode()
def test_it_is_what_transformers_computes(normalized: bool) -> None:
    config = Qwen3MoeConfig(
        hidden_size=HIDDEN, moe_intermediate_size=INSIDE, num_experts=EXPERTS,
        num_experts_per_tok=2, norm_topk_prob=normalized,
    )  # fmt: skip
    reference = Qwen3MoeSparseMoeBlock(config)
    for parameter in reference.parameters():
        parameter.normal_(0, 0.3)
    both = zip(reference.experts.gate_up_proj, reference.experts.down_proj, strict=True)
    mixture = Mixture(
        router=Linear(reference.gate.weight),
        experts=tuple((Linear(gate_up), Linear(down)) for gate_up, down in both),
        used=2,
        normalized=normalized,
    )
    x = torch.randn(20, HIDDEN)

    assert (mixture(x, silu) - reference(x[None])[0]).abs().max() < 1e-5


@torch.inference_mode()
def test_a_row_is_the_same_alone_and_among_others() -> None:
    mixture = Mixture(router=Linear(torch.randn(EXPERTS, HIDDEN)), experts=experts(EXPERTS), used=3)
    x = torch.randn(9, HIDDEN)

    alone = torch.cat([mixture(row[None], silu) for row in x])

    assert torch.allclose(mixture(x, silu), alone, atol=1e-6)


@torch.inference_mode()
def test_experts_that_no_row_has_chosen_are_not_touched() -> None:
    scores = torch.tensor([0.0, 9, 0, 0, 8, 0])
    untouchable = Linear(), Linear()  # has nothing to multiply with
    mixture = Mixture(
        router=Linear(torch.zeros(EXPERTS, HIDDEN), scores),
        experts=tuple(
            expert if at in (1, 4) else untouchable for at, expert in enumerate(experts(EXPERTS))
        ),
        used=2,
    )

    assert mixture(torch.randn(5, HIDDEN), silu).shape == (5, HIDDEN)


def test_the_clamped_gate_is_that_of_gpt_oss() -> None:
    gate, up = torch.randn(2, 50, 8) * 12
    interleaved = torch.stack([gate, up], dim=-1).flatten(1)
    reference = GptOssExperts._apply_gate(SimpleNamespace(alpha=1.702, limit=7.0), interleaved)

    assert torch.allclose(clamped_silu(torch.cat([gate, up], dim=1)), reference)
