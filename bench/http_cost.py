"""Measure the HTTP side's CPU time for a streamed token, without an engine: `make bench-http`.

An engine process that computes nothing sends one token of each answer in each step, as a real one
does. CPU time hardly depends on other work of the machine, so this needs no idle one.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import socket
import sys
import time

from bench.client import ask
from bench.server import Server, cpu_seconds, serving
from minikin.engine.host import supervisor
from minikin.engine.host.channel import (
    BlockingReader,
    Cancel,
    Events,
    Load,
    Loaded,
    Submit,
    frame,
)
from minikin.engine.messages import ChoiceUsage, EngineStats, Event, GenerationRequest, ModelInfo

STEP_SECONDS = 0.06
INFO = ModelInfo(context_length=8192, vocab_size=49_152, fingerprint="fp_0123456789")


class Steps:
    """The answers that run, each with the number of its tokens so far."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[GenerationRequest, int]] = {}

    def take(self, command: Submit | Cancel) -> None:
        """Begin or end an answer."""
        if isinstance(command, Submit):
            self._running[command.request.id] = (command.request, 0)
        else:
            self._running.pop(command.request_id, None)

    def step(self) -> Events:
        """The next token of each answer."""
        events = []
        for name, (request, count) in list(self._running.items()):
            most = request.params.max_tokens
            ends = count + 1 == most
            events.append(
                Event(
                    id=name,
                    index=0,
                    text=" word",
                    token_ends=(5,),
                    tokens=(2000 + count,),
                    finish_reason="length" if ends else None,
                    usage=ChoiceUsage(completion_tokens=most) if ends else None,
                )
            )
            self._running[name] = (request, count + 1)
            if ends:
                del self._running[name]
        return Events(events, EngineStats(running=len(self._running)))


def engine(descriptor: int) -> None:
    """The program of the engine process."""
    with socket.socket(fileno=descriptor) as connection:
        reader, steps, ready = BlockingReader(connection), Steps(), selectors.DefaultSelector()
        assert isinstance(reader.read(), Load)
        connection.sendall(frame(Loaded(INFO)))
        ready.register(connection, selectors.EVENT_READ)
        while True:
            until = time.monotonic() + STEP_SECONDS
            while (left := until - time.monotonic()) > 0:
                if ready.select(left):
                    command = reader.read()
                    if not isinstance(command, Submit | Cancel):
                        return
                    steps.take(command)
            connection.sendall(frame(steps.step()))


def serve() -> None:
    """`minikin serve` with that engine. The options are those of the command."""
    supervisor.PROGRAM = "bench.http_cost"
    from minikin.cli import main as command

    command()


async def measure(server: Server, streams: int, tokens: int) -> float:
    """Microseconds of CPU for a token."""
    before = cpu_seconds(server.process.pid)
    async with asyncio.TaskGroup() as group:
        for number in range(streams):
            group.create_task(ask(server.url, f"Say {number}.", tokens))
    return (cpu_seconds(server.process.pid) - before) / (streams * tokens) * 1e6


def main() -> None:
    """Print the cost at each number of streams."""
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first.isdigit():
        engine(int(first))
        return
    if first == "serve":
        serve()
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=500, help="of each answer")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    args = parser.parse_args()
    with serving(args.model, program="bench.http_cost") as server:
        asyncio.run(measure(server, 4, 50))
        for streams in args.streams:
            cost = asyncio.run(measure(server, streams, args.tokens))
            print(f"{streams:3} streams: {cost:5.0f} us of CPU a token", flush=True)


if __name__ == "__main__":
    main()
