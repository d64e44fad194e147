"""The lowest seam, scripted: a tokenizer of bytes and a model that hashes what it sees."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import torch

from minikin.engine.engine import Engine
from minikin.engine.messages import Event, GenerationRequest, SamplingParams
from minikin.engine.model.batch import Batch
from minikin.engine.model.block import BLOCK
from minikin.engine.pytorch.attention import rows_of
from minikin.engine.pytorch.choose import TorchChooser

EOS = 256
VOCABULARY = 257


class ByteTokenizer:
    """Token i is the byte i; 256 ends the answer."""

    vocab_size = VOCABULARY
    eos_ids = frozenset({EOS})

    def encode(self, text):
        return list(text.encode())

    def token_bytes(self, token):
        return bytes([token]) if token < 256 else b""


class HashingModel:
    """Its next token depends on every token of the context, as read back from the cache's slots.

    A wrong block table, a stale slot or a lost token changes the answer.
    """

    native = True
    launcher = None

    def __init__(self):
        self.rows = []
        self.contexts = []
        self.script = None
        """Tokens to answer with instead, by how many have been answered in the sequence."""
        self.fail_on = None

    chooser = TorchChooser()

    def hidden(self, batch: Batch, cache):
        """For each row, its place in `contexts`."""
        self.rows.append(len(batch.tokens))
        if self.fail_on is not None and self.fail_on in batch.tokens:
            raise RuntimeError("a kernel failed")
        cache.tokens[torch.from_numpy(batch.slots)] = torch.from_numpy(batch.tokens)
        contexts = []
        for rows in rows_of(batch, torch.device("cpu")):
            seen = cache.tokens.view(-1, BLOCK)[rows.blocks].flatten()[: rows.end].tolist()
            contexts += [seen[: rows.position + i + 1] for i in range(rows.stop - rows.start)]
        self.contexts = contexts
        return torch.arange(len(contexts))

    def logits(self, hidden, few):
        logits = torch.zeros(len(hidden), VOCABULARY)
        for row, place in enumerate(hidden.tolist()):
            logits[row, self.next(self.contexts[place])] = 20.0
        return logits

    def next(self, context):
        if self.script is not None:
            return self.script(context)
        value = 0
        for token in context:
            value = (value * 31 + token + 7) % 1_000_003
        return 97 + value % 26


def make_engine(
    model=None,
    *,
    blocks=64,
    max_running=8,
    prefill_chunk=64,
    context=512,
    masks=None,
    tokenizer=None,
    cut_at_limit=False,
):
    cache = SimpleNamespace(blocks=blocks, rooms=0, tokens=torch.full((blocks * BLOCK,), -1))
    return Engine(
        model or HashingModel(),
        cache,
        tokenizer or ByteTokenizer(),
        context_length=context,
        max_running=max_running,
        prefill_chunk=prefill_chunk,
        masks=masks,
        cut_at_limit=cut_at_limit,
    )


def request(prompt, *, id="r", n=1, max_tokens=8, temperature=0.0, **params):
    return GenerationRequest(
        id=id,
        prompt=list(prompt.encode()),
        n=n,
        params=SamplingParams(max_tokens=max_tokens, temperature=temperature, **params),
    )


def run(engine) -> list[Event]:
    events = []
    while engine.busy:
        events += engine.step()
    engine.check_integrity()
    return events


def texts(events):
    """(request id, index) -> text."""
    result = {}
    for event in events:
        key = (event.id, event.index)
        result[key] = result.get(key, "") + event.text
    return result


def answer(prompt, **params):
    """What one request gets from an engine of its own."""
    engine = make_engine()
    engine.add(request(prompt, **params))
    return texts(run(engine))["r", 0]


class Device:
    """A launcher for `HashingModel`. It notes the order of starts and reads."""

    def __init__(self, model):
        self.model = model
        self.log = []
        self.fail = False

    def launch(self, batch, draws, cache, fed=None):
        if self.fail:
            raise RuntimeError("the device is lost")
        if fed is not None:
            assert not batch.tokens.any(), "the host does not know the tokens"
            batch = replace(batch, tokens=fed.step.chosen[list(fed.rows)].clip(min=0))
        logits = self.model.logits(self.model.hidden(batch, cache)[batch.sampled_rows], 0)
        self.log.append(("start", len(batch.tokens)))
        return Started(self, self.model.chooser.choose(logits, draws))


class Started:
    """See `Launched`."""

    def __init__(self, device, chosen):
        self.device = device
        self.chosen = chosen

    def read(self):
        self.device.log.append(("read", len(self.chosen)))
        return self.chosen


class LaunchingModel(HashingModel):
    """The same model on a device that computes while the host goes on."""

    def __init__(self):
        super().__init__()
        self.launcher = Device(self)
