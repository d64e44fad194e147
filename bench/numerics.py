"""Compare the engine's logits with a float32 reference: `make numerics`.

Every path that can compute a token is compared: a prompt at once, in chunks and on a reused prefix;
and, with the kernels for answers, a token at a time, in short spans, and few or many at once.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.reference import reference_logits, reference_model
from minikin.config import EngineSettings
from minikin.engine.batch import make_batch
from minikin.engine.engine import Engine
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.model.block import BLOCK
from minikin.engine.native.build import load_library
from minikin.engine.native.variants import SETS
from minikin.engine.sequence import Sequence
from minikin.engine.span import Role, Span
from minikin.model_file.gguf import GGUFFile

TEXTS = (
    "The ship left the harbour at dawn, and nobody on the quay knew that it would not return.",
    "def binary_search(items, target):\n    low, high = 0, len(items) - 1\n    while low < high:\n",
    "Question: What is the capital of France?\nAnswer: The capital of France is Paris, a city",
    "1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584,",
    "Dear Dr. Alvarez,\n\nThank you for your letter of 12 March. I regret to inform you that",
    '{"name": "Ada", "born": 1815, "fields": ["mathematics", "computing"], "alive": false}',
    "Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung",
    "Photosynthesis converts carbon dioxide and water into glucose and oxygen, using light that",
    "SELECT customer_id, SUM(amount) FROM orders WHERE placed_at > '2024-01-01' GROUP BY",
    "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer",
    '<html>\n  <head><title>Test</title></head>\n  <body>\n    <p class="x">Hello</p>\n',
    "Ingredients: 2 cups flour, 1 cup sugar, 3 eggs, a pinch of salt. First, preheat the oven to",
    "In 1905 Albert Einstein published four papers that changed physics. The first explained the",
    "今日はとても良い天気です。散歩に行きましょう。",
    "The derivative of x^2 is 2x, and the integral of 2x is x^2 + C. Therefore, by the chain rule,",
    "Customer: My order has not arrived.\nAgent: I am sorry to hear that. Could you give me your",
    "🎉🎉 We won!!! 😀 Can't believe it... see u at 8pm @ the usual place, ok? 🍕🍕",
    "import numpy as np\n\nx = np.linspace(0, 1, 100)\ny = np.sin(2 * np.pi * x)\nplt.plot(x, y)\n",
    "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in",
    "The patient presented with fever, cough and fatigue. A chest X-ray showed that the left lung",
)
CLEAR_MARGIN = 0.3
"""Where the reference's two best logits are this far apart, the best token must be the same."""


@dataclass
class Agreement:
    """How one path compares with the reference over all positions of all texts."""

    divergence: float = 0.0
    positions: int = 0
    clear: int = 0
    wrong: int = 0

    def add(self, ours: torch.Tensor, reference: torch.Tensor) -> None:
        """Take two [T, vocabulary] logits of the same tokens into account."""
        p, q = reference.log_softmax(-1), ours.log_softmax(-1)
        self.divergence += (p.exp() * (p - q)).sum().item()
        self.positions += len(reference)
        best = reference.topk(2, dim=-1)
        clear = best.values[:, 0] - best.values[:, 1] > CLEAR_MARGIN
        self.clear += int(clear.sum())
        self.wrong += int((clear & (ours.argmax(-1) != best.indices[:, 0])).sum())

    @property
    def mean_divergence(self) -> float:
        """Mean Kullback-Leibler divergence from the reference, in nats a position."""
        return self.divergence / self.positions


class Paths:
    """The ways an engine can compute the logits of some texts, each [T, vocabulary]."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.all: dict[str, Callable[[list[Sequence]], list[torch.Tensor]]] = {
            "at once": lambda texts: [self._run(text, size=len(text.tokens)) for text in texts],
            "chunks of 7": lambda texts: [self._run(text, size=7) for text in texts],
            "on a reused prefix": lambda texts: [self._on_prefix(text) for text in texts],
            "answers one by one": lambda texts: [self._run(t, size=1, role="exact") for t in texts],
            "forced spans of 3": lambda texts: [self._run(t, size=3, role="exact") for t in texts],
            "few answers": partial(self._side_by_side, role="exact"),
            "many answers": partial(self._side_by_side, role="other"),
        }

    def _side_by_side(self, texts: list[Sequence], *, role: Role) -> list[torch.Tensor]:
        """One token of every text a step; short texts leave the batch earlier."""
        rows: list[list[torch.Tensor]] = [[] for _ in texts]
        for at in range(max(len(text.tokens) for text in texts)):
            here = [i for i, text in enumerate(texts) if at < len(text.tokens)]
            logits = self._forward([Span(texts[i], at, 1, role=role) for i in here])
            for i, row in zip(here, logits, strict=True):
                rows[i].append(row)
        return [torch.stack(found) for found in rows]

    def _on_prefix(self, text: Sequence) -> torch.Tensor:
        """The second half on keys and values that another run has computed."""
        half = len(text.tokens) // 2
        first = self._run(text, size=len(text.tokens))
        return torch.cat([first[:half], self._run(text, size=len(text.tokens), start=half)])

    def _run(
        self, text: Sequence, *, size: int, start: int = 0, role: Role = "prompt"
    ) -> torch.Tensor:
        """`size` tokens a step."""
        end = len(text.tokens)
        steps = range(start, end, size)
        spans = [Span(text, at, min(size, end - at), role=role) for at in steps]
        return torch.cat([self._forward([span]) for span in spans])

    def _forward(self, spans: list[Span]) -> torch.Tensor:
        decoder = self.engine.decoder
        batch = make_batch(spans, every_row=True)
        hidden = decoder.hidden(batch, self.engine.cache)
        return torch.as_tensor(decoder.logits(hidden, batch.few_sampled)).clone()


def placed(engine: Engine, text: str) -> Sequence:
    """A sequence of the text's tokens, with blocks for all of them."""
    tokens = engine.tokenizer.encode(text)
    request = GenerationRequest(id="numerics", prompt=tokens, params=SamplingParams(max_tokens=1))
    sequence = Sequence.begin(request, 0, engine.tokenizer)
    sequence.blocks = engine.scheduler.pool.allocate(-(-len(tokens) // BLOCK)) or []
    return sequence


FindKernels = Callable[[], ctypes.CDLL | None]
Kind = tuple[str, FindKernels, int]
"""A name, how to find the kernels, and how many texts are computed."""


def kinds() -> Iterator[Kind]:
    """What this machine can compute with, the fastest first.

    PyTorch computes fewer texts: it is ten times slower.
    """
    if best := load_library():
        found = best.instructions().decode()
        yield f"native, {found}", load_library, len(TEXTS)
        for fewer in reversed(SETS[: SETS.index(found)]):
            yield f"native, {fewer}", partial(load_library, fewer), len(TEXTS)
    yield "PyTorch", lambda: None, 5


def compare(
    model: Path, chosen: list[Kind], threads: int | None = None
) -> dict[tuple[str, str], Agreement]:
    """Compare every path of these kinds on every text; (kernels, path) -> agreement."""
    reference = reference_model(GGUFFile.open(model))
    expected: list[torch.Tensor] = []
    result: dict[tuple[str, str], Agreement] = {}
    for kernels, find, count in track(chosen, "Comparing", transient=True):
        engine, _ = load_engine(EngineSettings(model=model, threads=threads), find_kernels=find)
        texts = [placed(engine, text) for text in TEXTS[:count]]
        expected = expected or [reference_logits(reference, text.tokens) for text in texts]
        for name, path in Paths(engine).all.items():
            agreement = result[kernels, name] = Agreement()
            for ours, reference_row in zip(path(texts), expected, strict=False):
                agreement.add(ours, reference_row)
    return result


def main() -> None:
    """Print the comparison of one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file")
    table = Table(title="The engine against transformers in float32")
    for column in ("kernels", "path"):
        table.add_column(column)
    for column in ("positions", "mean KL (nats)", "clear positions", "other best token"):
        table.add_column(column, justify="right")
    for names, found in compare(parser.parse_args().model, list(kinds())).items():
        cells = (found.positions, f"{found.mean_divergence:.2e}", found.clear, found.wrong)
        table.add_row(*names, *map(str, cells))
    Console().print(table)


if __name__ == "__main__":
    main()
