from __future__ import annotations

import pytest
import torch

from minikin.engine.architecture import Architecture
from minikin.engine.batch import make_batch
from minikin.engine.block_pool import BLOCK
from minikin.engine.decoder import Decoder
from minikin.engine.engine import Engine
from minikin.engine.gguf import GGUFFile
from minikin.engine.kv_cache import KVCache
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.scheduler import Span
from minikin.engine.sequence import Sequence
from minikin.engine.weights import load_weights
from tests.engine.tiny_models import FAMILIES, VOCABULARY, write_gguf

CPU = torch.device("cpu")
CONTEXT, NEW = 192, 64
PROMPTS = [[(7 * i * i + 3 * i + k) % VOCABULARY for i in range(50 + 9 * k)] for k in range(3)]


class CharacterTokenizer:
    """Each token is a character of its own, so that a text tells its tokens."""

    vocab_size = VOCABULARY
    eos_ids = frozenset({VOCABULARY})

    def token_bytes(self, token):
        return chr(0x4E00 + token).encode()


@pytest.fixture(scope="module", params=FAMILIES)
def case(request, tmp_path_factory):
    tiny = FAMILIES[request.param]
    return tiny, tiny.make(), tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def engine(case):
    tiny, model, folder = case
    path = folder / "model.gguf"
    write_gguf(tiny, model, path)
    file = GGUFFile.open(path)
    architecture = Architecture.read(file, CONTEXT)
    weights = load_weights(file, architecture, dtype=torch.float32, device=CPU)
    cache = KVCache(architecture, 1024, dtype=torch.float32, device=CPU)
    decoder = Decoder(architecture, weights, CPU)
    return Engine(
        decoder,
        cache,
        CharacterTokenizer(),
        context_length=CONTEXT,
        max_running=8,
        prefill_chunk=16,
    )


@torch.inference_mode()
def test_logits_and_text_are_those_of_transformers(case, engine):
    _, model, _ = case
    expected = [greedy(model, prompt) for prompt in PROMPTS]
    for tokens in expected:
        reference = model(torch.tensor([tokens])).logits[0]
        for size in (len(tokens), 13, 1):
            assert (logits(engine, tokens, size) - reference).abs().max() < 1e-3, size
    together = answers(engine, PROMPTS)
    again = answers(engine, [tokens[:-10] for tokens in expected])
    for prompt, tokens, text, rest in zip(PROMPTS, expected, together, again, strict=True):
        assert prompt + text == tokens
        assert rest[:10] == tokens[-10:]


def greedy(model, prompt):
    out = model.generate(torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False)
    return out[0].tolist()


def logits(engine, tokens, size):
    """Of every token, computed `size` tokens a step, as a sequence of its own."""
    request = GenerationRequest(id="x", prompt=tokens, params=SamplingParams(max_tokens=1))
    sequence = Sequence.begin(request, 0, engine.tokenizer)
    blocks = engine.scheduler.pool.allocate(-(-len(tokens) // BLOCK))
    sequence.blocks = blocks
    rows = []
    for at in range(0, len(tokens), size):
        span = Span(sequence, at, min(size, len(tokens) - at))
        batch = make_batch([span], device=CPU, every_row=True)
        rows.append(engine.decoder.forward(batch, engine.cache))
    engine.scheduler.pool.release(blocks)
    return torch.cat(rows)


def answers(engine, prompts):
    """Greedy answers, all computed side by side."""
    params = SamplingParams(max_tokens=NEW, temperature=0.0)
    for i, prompt in enumerate(prompts):
        engine.add(GenerationRequest(id=str(i), prompt=prompt, params=params))
    texts = [""] * len(prompts)
    while engine.busy:
        for event in engine.step():
            texts[int(event.id)] += event.text
    return [[ord(character) - 0x4E00 for character in text] for text in texts]
