"""An engine's process over a scripted model; the cache is corrupt while the model's file exists."""

from __future__ import annotations

from minikin.engine.host import worker
from minikin.engine.messages import ModelInfo
from tests.engine.fakes import make_engine

INFO = ModelInfo(context_length=512, vocab_size=257, fingerprint="fp_0123456789")


def load(settings, make_masks):
    engine = make_engine()
    if settings.model.exists():
        settings.model.unlink()
        del engine.scheduler.pool._idle[3]
    return engine, INFO


if __name__ == "__main__":
    worker.IDLE_SECONDS = 0.01
    worker.STATS_SECONDS = 0.0
    worker.load_engine = load
    worker.serve(None)
