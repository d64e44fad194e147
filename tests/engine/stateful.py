"""A model that sees its context only by a state, in place of the cache's slots."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from minikin.engine.engine import Engine
from minikin.engine.model.batch import NO_ROOM, Batch
from minikin.engine.state_rooms import EMPTY
from tests.engine.fakes import ByteTokenizer, HashingModel


class StatefulModel(HashingModel):
    """It answers as `HashingModel`. A wrong room, or a state that is too old or new, changes it."""

    def hidden(self, batch: Batch, cache):
        self.rows.append(len(batch.tokens))
        found = {}
        for start, stop, source, target in batch.stretches.tolist():
            value = cache.states[source]
            assert value is not None, "the room was never written"
            for row in range(start, stop):
                value = (value * 31 + int(batch.tokens[row]) + 7) % 1_000_003
                found[row] = value
            if target != NO_ROOM:
                assert target not in (EMPTY, source)
                cache.states[target] = value
        if self.fail_on is not None and self.fail_on in batch.tokens:
            raise RuntimeError("a kernel failed")
        assert sorted(found) == [*range(len(batch.tokens))], "each row has one state"
        return torch.tensor([found[row] for row in range(len(batch.tokens))])

    def logits(self, hidden, few):
        logits = torch.zeros(len(hidden), ByteTokenizer.vocab_size)
        for row, value in enumerate(hidden.tolist()):
            logits[row, 97 + value % 26] = 20.0
        return logits


def make_engine(
    model=None, *, blocks=64, rooms=None, max_running=8, prefill_chunk=64, context=512
) -> Engine:
    rooms = rooms or 1 + 4 * max_running
    cache = SimpleNamespace(blocks=blocks, rooms=rooms, states=[0] + [None] * (rooms - 1))
    return Engine(
        model or StatefulModel(),
        cache,
        ByteTokenizer(),
        context_length=context,
        max_running=max_running,
        prefill_chunk=prefill_chunk,
    )
