"""All that a real NVIDIA GPU must show, in less than ten minutes: `make bench-gpu`.

Each part has its own result, written to the report as it ends. A part that fails says why, and the
others go on. Shapes are those of Llama 3.1 8B, with random weights that the GPU makes. The last
part says which aims are reached.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minikin.engine.cuda.cache import PagedCache
from minikin.engine.cuda.choose import CudaChooser, Limits, pick
from minikin.engine.cuda.decoder import CudaDecoder
from minikin.engine.cuda.graphs import CudaCapture
from minikin.engine.cuda.matrix import DeviceMatrix
from minikin.engine.cuda.operations import HeadForm, Operations, PlainOperations
from minikin.engine.cuda.rows import TILE, Inputs
from minikin.engine.cuda.weights import DeviceLayer, DeviceWeights
from minikin.engine.engine import Engine
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.rope import Rope
from minikin.engine.native.draw import Draw
from minikin.engine.pytorch.attention import AttentionForm

SECONDS = 560
"""No part begins later than this."""
LAYERS, HIDDEN, INSIDE, HEADS, KV_HEADS, DIM, VOCABULARY = 32, 4096, 14_336, 32, 8, 128, 128_256
LENGTH = 1000
"""Tokens of the prompts of several streams."""
AGREED = 2e-2
"""The change of the logits of a family that is allowed."""
STEPS = 48
"""Tokens of their answers, of which the first 8 steps do not count."""
COPIED, SQUARE = 1 << 30, 8192
"""Bytes and rows of what shows the ceilings."""
PROMPT_ROWS = 2048
CUDA = torch.device("cuda")
BF16 = torch.bfloat16
Result = dict[str, Any]


class Tokens:
    """A tokenizer whose tokens have no text."""

    vocab_size = VOCABULARY
    eos_ids = frozenset[int]()

    def token_bytes(self, token: int) -> bytes:
        """See `Tokenizer`."""
        return b"x"


def operations() -> Operations:
    """The kernels. Triton is there where a GPU is."""
    from minikin.engine.cuda.triton_operations import TritonOperations

    return TritonOperations(BF16)


def seconds(work: Callable[[], object], times: int = 20) -> float:
    """Of one call, after a first one. The calls of `times` follow each other on the device."""
    work()
    wait()
    started = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return (time.perf_counter() - started) / times


def wait() -> None:
    """Until the device has done all."""
    if CUDA.type == "cuda":
        torch.cuda.synchronize()


def ceilings() -> Result:
    """What the GPU can do at best: bytes copied and operations of a large product, a second."""
    source = torch.zeros(COPIED, dtype=torch.uint8, device=CUDA)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / seconds(lambda: target.copy_(source))
    a, b = torch.randn(2, SQUARE, SQUARE, device=CUDA, dtype=BF16)
    return {"copy_bytes": copied, "product_flops": 2 * SQUARE**3 / seconds(lambda: a @ b)}


def matrix(bits: int | None, outputs: int, width: int, dtype: torch.dtype = BF16) -> DeviceMatrix:
    """Random weights, made on the GPU."""
    if bits is None:
        weight = torch.randn(1, outputs, width, device=CUDA, dtype=dtype) / width**0.5
        return DeviceMatrix(weight=weight, width=width)
    shape = 1, width // 32, outputs
    levels = torch.randint(0, 256, (*shape, 4 * bits), device=CUDA, dtype=torch.uint8)
    scale = torch.full(shape, 4 / 2**bits / width**0.5, device=CUDA, dtype=torch.float16)
    minimum = -scale * 2 ** (bits - 1)
    return DeviceMatrix(weight=levels, scale=scale, minimum=minimum, width=width, bits=bits)


def size(one: DeviceMatrix) -> int:
    """Bytes."""
    parts = one.weight, one.scale, one.minimum
    return sum(part.nbytes for part in parts if part is not None)


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The norm of the difference, relative to that of the expected numbers."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def head_form(**attention: Any) -> HeadForm:
    """The heads of the 8B shape."""
    angle = torch.rand(8192, DIM // 2, device=CUDA)
    table = angle.cos(), angle.sin()
    return HeadForm(
        heads=HEADS, kv_heads=KV_HEADS, dim=DIM, query_norm=None, key_norm=None, late_norms=False,
        epsilon=1e-5, rotations=(table, table), attention=AttentionForm(DIM**-0.5, **attention),
    )  # fmt: skip


def context(rows: int, length: int, *, prompt: bool = False) -> Inputs:
    """Rows with `length` tokens each, or the last `rows` tokens of one prompt."""

    def numbers(values: object) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int32, device=CUDA)

    blocks = -(-length // BLOCK)
    positions = [*range(length - rows, length)] if prompt else [length - 1] * rows
    starts = [0] * rows if prompt else [row * blocks for row in range(rows)]
    tiles = [(at, min(TILE, rows - at)) for at in range(0, rows, TILE)] if prompt else []
    count = blocks if prompt else rows * blocks
    order = torch.randperm(count, device=CUDA, dtype=torch.int32)
    slots = [int(start) * BLOCK for start in starts]
    return Inputs(
        numbers([0] * rows), numbers(positions), numbers(slots), numbers(starts), order,
        numbers(tiles).view(-1, 2), length,
    )  # fmt: skip


def kernels() -> Result:
    """Each kernel against float64, and the bits of a row alone and among others."""
    ours, exact = operations(), PlainOperations(torch.float64)
    found: Result = {}
    for bits in (None, 4, 8):
        w = matrix(bits, HIDDEN, HIDDEN)
        for rows, prompts in ((1, False), (17, False), (300, True)):
            x = torch.randn(rows, HIDDEN, device=CUDA, dtype=BF16)
            y = ours.product(x, w, prompts=prompts)
            name = f"product {bits or 16} bits, {rows} rows"
            alone = ours.product(x[-1:].contiguous(), w, prompts=prompts)
            found[name] = {"error": error(y, exact.product(x.double(), w))}
            if ours.independent:
                found[name]["same bits alone"] = torch.equal(alone, y[-1:])
    for change in (
        {},
        {"window": 300, "softcap": 30.0},
        {"sinks": torch.randn(HEADS, device=CUDA)},
    ):
        form = head_form(**change)
        for rows, prompt in ((5, False), (150, True)):
            inputs = context(rows, 1000, prompt=prompt)
            q = torch.randn(rows, HEADS, DIM, device=CUDA, dtype=BF16)
            cache = torch.randn(2, len(inputs.blocks) * BLOCK, KV_HEADS, DIM, device=CUDA).to(BF16)
            y = ours.attend(q, form, inputs, *cache)
            plain = exact.attend(q.double(), form, inputs, *cache.double())
            found[f"attention {sorted(change)}, {rows} rows"] = {"error": error(y, plain)}
    (x, added), norm = torch.randn(2, 64, HIDDEN, device=CUDA), torch.rand(HIDDEN, device=CUDA)
    plain = exact.add(x.double(), added.double(), None, norm.double(), 1e-5)
    found["norm"] = {"error": error(ours.add(x.clone(), added, None, norm, 1e-5), plain)}
    bad = [name for name, one in found.items() if not one["error"] < 1e-2]
    found["wrong"] = bad + [n for n, one in found.items() if one.get("same bits alone") is False]
    return found


def bandwidths() -> Result:
    """Bytes a second of the products of one row, over matrices that do not fit the cache."""
    ours = operations()
    found: Result = {}
    qkv, heads = (HEADS + 2 * KV_HEADS) * DIM, HEADS * DIM
    shapes = (qkv, HIDDEN), (HIDDEN, heads), (2 * INSIDE, HIDDEN), (HIDDEN, INSIDE)
    for outputs, width in shapes:
        for bits in (None, 4, 8):
            many = [matrix(bits, outputs, width) for _ in range(8)]
            x = torch.randn(1, width, device=CUDA, dtype=BF16)
            taken = seconds(lambda w=many, x=x: [ours.product(x, one) for one in w], 5)
            found[f"{outputs} x {width}, {bits or 16} bits"] = sum(map(size, many)) / taken
    form, inputs = head_form(), context(64, LENGTH)
    cache = torch.randn(2, len(inputs.blocks) * BLOCK, KV_HEADS, DIM, device=CUDA).to(BF16)
    q = torch.randn(64, HEADS, DIM, device=CUDA, dtype=BF16)
    taken = seconds(lambda: ours.attend(q, form, inputs, *cache))
    found["attention of 64 rows"] = cache.nbytes / taken
    x = torch.randn(PROMPT_ROWS, HIDDEN, device=CUDA, dtype=BF16)
    for bits in (None, 4):
        w = matrix(bits, 2 * INSIDE, HIDDEN)
        taken = seconds(lambda w=w: ours.product(x, w, prompts=True))
        name = f"prompt's product, {bits or 16} bits, flops"
        found[name] = 2 * PROMPT_ROWS * 2 * INSIDE * HIDDEN / taken
    return found


def sampling() -> Result:
    """Seconds of choosing a token for 1 and 64 rows, and rows that differ from the CPU's choice."""
    points = np.random.default_rng(1).random(64)
    kinds = {"greedy": Draw(), "free": Draw(1.0), "limited": Draw(1.0, 0.9, 0.01, 100)}
    found: Result = {}
    for rows in (1, 64):
        logits = torch.randn(rows, VOCABULARY, device=CUDA) * 3
        for name, kind in kinds.items():
            draws = [kind._replace(point=point) for point in points[:rows]]
            chosen = CudaChooser().choose(logits, draws)
            other = int((chosen != CudaChooser().choose(logits.cpu(), draws)).sum())
            limits = Limits.of(draws)
            own = Limits(limits.kind, torch.from_numpy(limits.numbers).to(CUDA))
            taken = seconds(lambda logits=logits, own=own: pick(logits, own))
            found[f"{name}, {rows} rows"] = {"seconds": taken, "other than the CPU": other}
    return found


def families() -> Result:
    """Tiny models of all families on the GPU, against the CPU.

    The change of their logits, and the rows with another best token where the CPU's is clear: where
    the second best logit is lower by more than the change that is allowed.
    """
    import tempfile

    from tests.engine.cuda import tiny as device
    from tests.engine.model.test_families import PROMPTS, load, logits
    from tests.engine.tiny_gguf import write_gguf
    from tests.engine.tiny_models import FAMILIES

    found: Result = {}
    for name, tiny in FAMILIES.items():
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            write_gguf(tiny, tiny.make(), path := Path(folder) / "model.gguf")
            ours = device.load(path, operations(), dtype=BF16, device=str(CUDA))
            changes: list[float] = []
            wrong = 0
            for length in (len(PROMPTS[0]), 1):
                expected = logits(load(path), PROMPTS[0], length)
                own = logits(ours, PROMPTS[0], length).cpu()
                changes.append(error(own, expected))
                best = expected.topk(2).values
                clear = best[:, 0] - best[:, 1] > AGREED * expected.abs().amax(1)
                wrong += int((clear & (own.argmax(1) != expected.argmax(1))).sum())
            found[name] = {"errors": changes, "wrong tokens": wrong}
    return found


def weights(bits: int | None) -> DeviceWeights:
    """Random ones of the 8B shape."""
    norm = torch.ones(HIDDEN, device=CUDA)

    def layer() -> DeviceLayer:
        return DeviceLayer(
            attention_norm=norm, qkv=matrix(bits, (HEADS + 2 * KV_HEADS) * DIM, HIDDEN),
            query_norm=None, key_norm=None, sinks=None, output=matrix(bits, HIDDEN, HEADS * DIM),
            attention_post_norm=None, feed_forward_norm=norm,
            gate_up=matrix(bits, 2 * INSIDE, HIDDEN), down=matrix(bits, HIDDEN, INSIDE),
            mixture=None, feed_forward_post_norm=None,
        )  # fmt: skip

    head = matrix(8 if bits else None, VOCABULARY, HIDDEN)
    embedding = matrix(None, VOCABULARY, HIDDEN)
    layers = tuple(layer() for _ in range(LAYERS))
    return DeviceWeights(embedding=embedding, layers=layers, norm=norm, head=head)


def engine(model: DeviceWeights, *, graphs: bool) -> Engine:
    """One that serves them."""
    architecture = Architecture(
        layers=LAYERS, hidden=HIDDEN, heads=HEADS, kv_heads=KV_HEADS, head_dim=DIM,
        feed_forward=INSIDE, vocab_size=VOCABULARY, context_length=8192, norm_epsilon=1e-5,
        plain_epsilon=1e-5, attention_scale=DIM**-0.5, windows=(None,) * LAYERS,
        attends=(True,) * LAYERS, recurs=(False,) * LAYERS, feeds=(True,) * LAYERS,
        ropes=(Rope(tuple(0.8**i for i in range(DIM // 2))),) * LAYERS,
    )  # fmt: skip
    capture = CudaCapture() if graphs else None
    decoder = CudaDecoder(architecture, model, operations(), device=CUDA, capture=capture)
    cache = PagedCache(architecture, 64 * 1280, dtype=BF16, device=CUDA)
    limits = {"context_length": 8192, "max_running": 64, "prefill_chunk": 2048}
    return Engine(decoder, cache, Tokens(), **limits)  # type: ignore[arg-type]


def steps(one: Engine, streams: int, prompt: int, answer: int) -> Iterator[float]:
    """The seconds of each step while `streams` answers run."""
    for number in range(streams):
        tokens = [(31 * number + 7 * i) % VOCABULARY for i in range(prompt)]
        params = SamplingParams(max_tokens=answer, temperature=1.0, seed=number)
        one.add(GenerationRequest(id=str(number), prompt=tokens, params=params))
    while one.busy:
        started = time.perf_counter()
        one.step()
        yield time.perf_counter() - started


def model(bits: int | None, ceiling: float) -> Result:
    """Tokens a second of 1, 8 and 64 streams, against the bound of the copied bytes."""
    own = weights(bits)
    read = sum(size(m) for layer in own.layers for m in _matrices(layer)) + size(own.head)
    found: Result = {"bytes of a step": read}
    for graphs in (True, False):
        one = engine(own, graphs=graphs)
        for streams, prompt in ((1, 16), (8, LENGTH), (64, LENGTH)):
            if not graphs and streams == 8:
                continue
            list(steps(one, streams, 16, 8))  # records the graph
            taken = sorted(list(steps(one, streams, prompt, STEPS))[8 - STEPS :])
            middle = taken[len(taken) // 2]
            keys = 2 * LAYERS * KV_HEADS * DIM * 2 * streams * prompt
            found[f"{streams} streams, {'graph' if graphs else 'no graph'}"] = {
                "tokens a second": streams / middle,
                "share of the bound": (read + keys) / ceiling / middle,
            }
        del one
    return found


def _matrices(layer: DeviceLayer) -> list[DeviceMatrix]:
    found = [layer.qkv, layer.output, layer.gate_up, layer.down]
    return [one for one in found if one is not None]


def transformers() -> Result:
    """Tokens a second of transformers' own generation, with 64 streams in 16 bits."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=INSIDE, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=DIM,
        vocab_size=VOCABULARY, max_position_embeddings=8192,
    )  # fmt: skip
    with torch.device(CUDA):
        other = AutoModelForCausalLM.from_config(config, dtype=BF16).eval()
    prompts = torch.randint(VOCABULARY, (64, LENGTH), device=CUDA)

    def answer(count: int) -> float:
        started = time.perf_counter()
        other.generate(
            prompts, attention_mask=torch.ones_like(prompts), min_new_tokens=count,
            max_new_tokens=count, do_sample=False, pad_token_id=0, eos_token_id=None,
        )  # fmt: skip
        wait()
        return time.perf_counter() - started

    answer(2)
    short, long = answer(8), answer(STEPS)
    return {"tokens a second": 64 * (STEPS - 8) / (long - short)}


def profile() -> str:
    """Where the time of a step goes."""
    from torch.profiler import ProfilerActivity, profile

    one = engine(weights(4), graphs=False)
    list(steps(one, 8, LENGTH // 2, 8))
    on_gpu = CUDA.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as result:
        list(steps(one, 8, LENGTH // 2, 8))
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    return result.key_averages().table(sort_by=order, row_limit=12)


def aims(report: Result) -> Result:
    """What each aim was, and what was found. Parts that failed have no figures."""
    dense, packed = report["8B, 16 bits"], report["8B, 4 bits"]
    many = dense["64 streams, graph"]
    product = report["bandwidths"]["prompt's product, 16 bits, flops"]
    found = {
        "1 stream, 16 bits, share of the bound": (
            0.65, dense["1 streams, graph"]["share of the bound"]
        ),
        "1 stream, 4 bits, share of the bound": (
            0.6, packed["1 streams, graph"]["share of the bound"]
        ),
        "64 streams, 16 bits, share of the bound": (0.6, many["share of the bound"]),
        "64 streams, times transformers": (
            3.0, many["tokens a second"] / report["transformers"]["tokens a second"]
        ),
        "prompts, share of a large product": (0.6, product / report["ceilings"]["product_flops"]),
    }  # fmt: skip
    agreed = [
        name for name, one in report["families"].items()
        if max(one["errors"]) < AGREED and not one["wrong tokens"]
    ]  # fmt: skip
    found["families that agree"] = len(report["families"]), len(agreed)
    return {
        name: {"aim": aim, "found": value, "reached": value >= aim}
        for name, (aim, value) in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all parts, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results/gpu.json"))
    out = parser.parse_args(arguments).out
    torch.cuda.init()
    report: Result = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    began = time.monotonic()

    def part(name: str, work: Callable[[], object]) -> None:
        started = time.monotonic()
        if started - began > SECONDS:
            report[name] = "not run: no time left"
        else:
            try:
                report[name] = work()
            except Exception:
                report[name] = traceback.format_exc()[-3000:]
        report[f"{name}, seconds"] = round(time.monotonic() - started, 1)
        torch.cuda.empty_cache()
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1, default=str) + "\n")
        print(name, json.dumps(report[name], indent=1, default=str), flush=True)

    part("ceilings", ceilings)
    part("kernels", kernels)
    part("bandwidths", bandwidths)
    part("sampling", sampling)
    part("families", families)
    found = report["kernels"]
    if isinstance(found, dict) and not found["wrong"]:
        part("8B, 16 bits", lambda: model(None, report["ceilings"]["copy_bytes"]))
        part("8B, 4 bits", lambda: model(4, report["ceilings"]["copy_bytes"]))
        part("transformers", transformers)
        part("profile", profile)
    else:
        report["8B"] = "not run: a kernel is wrong"
    part("aims", lambda: aims(report))


if __name__ == "__main__":
    main()
