"""32 answers at once without HTTP: `python library.py ENGINE MODEL`, in the engine's environment.

Prints tokens a second of each round, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS, STREAMS, TOKENS = 4, 32, 100
WORDS = (
    "river", "stone", "quiet", "lamp", "seven", "orchard", "paper", "winter", "signal", "garden",
    "copper", "thread",
)  # fmt: skip


def prompts() -> list[str]:
    """Short prompts that no cache has seen."""
    return [
        "Tell me a long story. "
        + " ".join(random.choice(WORDS) + str(random.randrange(10)) for _ in range(8))
        for _ in range(STREAMS)
    ]


def minikin(model: str) -> list[float]:
    """This checkout's engine, stepped from here."""
    from minikin.config import EngineSettings
    from minikin.engine.loader import load_engine
    from minikin.engine.messages import GenerationRequest, SamplingParams

    engine, _ = load_engine(EngineSettings(model=Path(model)))
    params = SamplingParams(max_tokens=TOKENS, temperature=0, logit_bias={0: -100.0, 2: -100.0})

    def run(texts: list[str]) -> int:
        for i, text in enumerate(texts):
            chat = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
            tokens = engine.tokenizer.encode(chat)
            engine.add(GenerationRequest(id=str(i), prompt=tokens, params=params))
        events = []
        while engine.busy:
            events += engine.step()
        return sum(event.usage.completion_tokens for event in events if event.usage)

    return _rounds(run)


def openvino(model: str) -> list[float]:
    """OpenVINO GenAI's continuous batching, which reads the same file."""
    import openvino_genai  # pyright: ignore[reportMissingImports]

    scheduling = openvino_genai.SchedulerConfig()
    scheduling.cache_size = 2
    pipeline = openvino_genai.ContinuousBatchingPipeline(model, scheduling, "CPU")
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos, config.do_sample = TOKENS, True, False

    def run(texts: list[str]) -> int:
        pipeline.generate(texts, [config] * len(texts))
        return TOKENS * len(texts)

    return _rounds(run)


def _rounds(run: Callable[[list[str]], int]) -> list[float]:
    run(prompts()[:2])
    found = []
    for _ in range(ROUNDS):
        texts = prompts()
        started = time.perf_counter()
        tokens = run(texts)
        found.append(tokens / (time.perf_counter() - started))
    return found


if __name__ == "__main__":
    print(json.dumps({"minikin": minikin, "openvino": openvino}[sys.argv[1]](sys.argv[2])))
