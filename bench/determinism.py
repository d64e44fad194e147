"""Do seeded answers repeat? Each request runs alone on a cold cache, then in changing company.

The engine runs in this process. Company, prompt chunks, guesses, memory and the prefix cache change
from trial to trial; answers and log probabilities have to be equal in all digits.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from minikin.config import EngineSettings
from minikin.constrain.grammar import grammar_of
from minikin.constrain.masks import Masks
from minikin.constrain.plan import Plan, SchemaPart
from minikin.constrain.schema.subject import Subject
from minikin.engine.block_pool import BlockPool
from minikin.engine.engine import Engine
from minikin.engine.loader import load_engine
from minikin.engine.messages import Event, GenerationRequest, SamplingParams
from minikin.engine.native.build import load_library
from minikin.engine.scheduler import Scheduler
from minikin.engine.states import States

WORDS = (
    "the", "sea", "river", "cloud", "stone", "bread", "light", "old", "small", "green", "runs",
    "sings", "under", "over", "and", "of", "a",
)  # fmt: skip
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["name", "count"],
    "additionalProperties": False,
}
Answers = dict[int, list[Any]]
"""Choice -> its text, log probabilities and end."""


@dataclass
class Requests:
    """Requests of every kind, the same for the same chance."""

    engine: Engine
    chance: random.Random
    made: int = 0
    grammar: str = field(init=False)

    def __post_init__(self) -> None:
        part = SchemaPart(Subject("response_format 'x'", "response_format"), SCHEMA, strict=True)
        self.grammar = grammar_of(Plan(answer=part))

    def one(self, prompt: list[int] | None = None, **more: Any) -> GenerationRequest:
        """A random request; it has a seed, or temperature 0, unless `more` says otherwise."""
        chance = self.chance
        self.made += 1
        temperature = chance.choice([0.0, 0.7, 1.0])
        params: dict[str, Any] = {
            "max_tokens": chance.choice([5, 20, 40]),
            "temperature": temperature,
            "seed": chance.randrange(1 << 30) if temperature or chance.random() < 0.5 else None,
            "top_logprobs": chance.choice([None, None, 0, 5]),
            "top_p": chance.choice([1.0, 1.0, 0.9]),
            "frequency_penalty": chance.choice([0.0, 0.0, 0.5]),
            "grammar": chance.choice([None, None, self.grammar]),
            **more,
        }
        return GenerationRequest(
            id=f"r{self.made}",
            prompt=prompt or self.prompt(),
            params=SamplingParams(**params),
            n=chance.choice([1, 1, 1, 3]),
        )

    def prompt(self) -> list[int]:
        """Token ids of some words, few or many."""
        count = self.chance.choice([3, 10, 40, 100, 300])
        text = " ".join(self.chance.choices(WORDS, k=count))
        return self.engine.tokenizer.encode(text)


def reset(engine: Engine, chunk: int, blocks: int) -> None:
    """A cold cache of `blocks` blocks, and prompts in chunks of `chunk`."""
    engine.scheduler = Scheduler(
        BlockPool(blocks),
        States(engine.cache.rooms),
        context_length=engine.context_length,
        max_running=engine.scheduler.max_running,
        prefill_chunk=chunk,
        apart=engine.scheduler.apart,
    )


def take(answers: dict[str, Answers], events: list[Event]) -> None:
    """Add what the events bring."""
    for event in events:
        choice = answers.setdefault(event.id, {}).setdefault(event.index, ["", [], None])
        choice[0] += event.text
        choice[1] += event.logprobs
        choice[2] = event.error or event.finish_reason or choice[2]


def alone(engine: Engine, request: GenerationRequest) -> Answers:
    """The request's answers on a cold cache, with nothing beside it."""
    reset(engine, 512, engine.cache.blocks)
    answers: dict[str, Answers] = {}
    engine.add(request)
    while engine.busy:
        take(answers, engine.step())
    return answers[request.id]


def in_company(
    engine: Engine, wanted: list[GenerationRequest], others: Iterator[GenerationRequest], size: int
) -> dict[str, Answers]:
    """The answers of `wanted`, which join one by one a company of about `size` others."""
    answers: dict[str, Answers] = {}
    waiting = list(wanted)
    running = 0
    while waiting or engine.busy:
        if not engine.busy:
            engine.renew()
        while running < size and waiting:
            engine.add(next(others))
            running += 1
        if waiting:
            engine.add(waiting.pop())
        for _ in range(3):
            events = engine.step()
            take(answers, events)
            running -= sum(event.ends for event in events)
    return {request.id: answers[request.id] for request in wanted}


def trial(engine: Engine, chance: random.Random) -> Iterator[tuple[str, bool]]:
    """Eight requests, alone and in company: what each was, and whether it repeated."""
    requests = Requests(engine, chance)
    wanted = [requests.one() for _ in range(7)]
    expected = {request.id: alone(engine, request) for request in wanted}
    # A conversation goes on: its prompt begins with a prompt and an answer that are in the cache.
    first = wanted[-1]
    said = engine.tokenizer.encode(expected[first.id][0][0])
    wanted.insert(0, requests.one(prompt=first.prompt + said + requests.prompt()))
    expected[wanted[0].id] = alone(engine, wanted[0])
    size, chunk = chance.choice([0, 1, 3, 12, 31]), chance.choice([64, 512])
    reset(engine, chunk, chance.choice([engine.cache.blocks, 120]))

    def others() -> Iterator[GenerationRequest]:
        while True:
            own = chance.choice(wanted).prompt if chance.random() < 0.5 else None
            cut = own[: chance.randrange(1, len(own) + 1)] if own else None
            yield requests.one(prompt=cut, seed=chance.choice([None, 1]), temperature=1.0)

    found = in_company(engine, wanted, others(), size)
    for request in wanted:
        kind = f"company of {size}, chunks of {chunk}"
        yield kind, found[request.id] == expected[request.id]


def run(
    model: Path, trials: int, seed: int, *, pytorch: bool = False
) -> tuple[Counter[str], Counter[str]]:
    """How many answers there were of each kind, and how many of them differed.

    With `pytorch`, its products replace the native kernels.
    """
    settings = EngineSettings(model=model, context_length=2048)
    engine, _ = load_engine(settings, Masks, (lambda: None) if pytorch else load_library)
    asked: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    for number in track(range(-(-trials // 8)), "Asking twice"):
        for kind, same in trial(engine, random.Random(seed + number)):
            asked[kind] += 1
            differing[kind] += not same
    return asked, differing


def main() -> None:
    """Ask, print, and fail if an answer differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file or a folder")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pytorch", action="store_true", help="without native kernels")
    options = parser.parse_args()
    asked, differing = run(options.model, options.trials, options.seed, pytorch=options.pytorch)
    for kind in sorted(asked):
        print(f"{kind}: {differing[kind]} of {asked[kind]} differ")
    print(json.dumps({"asked": asked.total(), "differing": differing.total()}))
    sys.exit(1 if differing.total() else 0)


if __name__ == "__main__":
    main()
