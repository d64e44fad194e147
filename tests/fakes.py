"""What stands in for a model: a byte tokenizer and an engine that follows a script."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import msgspec
import uvicorn

from minikin.api.app import MoreRoutes, create_app
from minikin.api.http.protocol import BoundedProtocol
from minikin.api.serving.model_pool import ModelPool
from minikin.api.serving.served_model import ServedModel
from minikin.chat.template import ChatTemplate
from minikin.chat.template_process import Source, TemplateProcess
from minikin.config import ORIGINAL, SNAPSHOT, EngineSettings, ModelSettings, ServerSettings
from minikin.constrain.checker import GrammarChecker
from minikin.constrain.plan import Plan
from minikin.constrain.worker import Verdict, Vocabulary, begin
from minikin.engine.messages import (
    ChoiceUsage,
    EngineStats,
    Event,
    GenerationRequest,
    ModelInfo,
    TokenEntry,
    TokenLogprob,
)
from minikin.engine.stop_matcher import StopMatcher
from minikin.errors import Cancelled, Overloaded, SetupError
from minikin.tokenizer.tokenizer import Tokenizer

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTROL_TOKENS = {"<|im_start|>": 256, "<|im_end|>": 257}


class ByteTokenizer:
    """Every byte is a token; the control tokens come after, then ids that no text encodes to."""

    vocab_size = 16_384
    control_tokens = CONTROL_TOKENS
    eos_ids = frozenset({257})
    frame_marks: ClassVar[dict[str, int]] = {
        mark: 300 + i
        for i, mark in enumerate(
            ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>")
        )
    }

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def encode_pieces(self, pieces: Iterable[tuple[str, bool]]) -> list[int]:
        ids: list[int] = []
        for text, is_control in pieces:
            ids += [CONTROL_TOKENS[text]] if is_control else self.encode(text)
        return ids

    encode_prompt = encode_pieces

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode(errors="replace")

    starts = Tokenizer.starts
    _space_prefix = False

    _bytes: ClassVar[list[bytes]] = [
        *(bytes([token]) for token in range(256)),
        *[b"<control>"] * (vocab_size - 256),
    ]
    token_bytes = Tokenizer.token_bytes
    free_bytes = Tokenizer.free_bytes


class TemplateInside(TemplateProcess):
    """Renders in this process."""

    def __init__(self, template: str) -> None:
        super().__init__(Source(template, list(CONTROL_TOKENS)))
        self._inside = ChatTemplate(template, CONTROL_TOKENS)

    async def render(self, messages, **options):
        return self._inside.render(messages, **options)


class GrammarsInside(GrammarChecker):
    """Makes grammars in this process. Each server has workers of its own, which start slowly."""

    async def _ask(self, plan: Plan) -> Verdict:
        return _verdicts(self._vocabulary_bytes())(plan)


@functools.cache
def _verdicts(vocabulary: bytes) -> Callable[[Plan], Verdict]:
    return begin(msgspec.json.decode(vocabulary, type=Vocabulary))


@dataclass
class ScriptedEngine:
    """Answers every request with `tokens`, as far as its limit and stop texts let it."""

    tokens: list[str] = field(default_factory=lambda: ["Hel", "lo", " there", "!"])
    pause: float = 0.0
    """Seconds before each token."""
    fail_after: int | None = None
    """Raise `failure` in place of the token of this number."""
    failure: Exception | None = None
    is_ready: bool = True
    cached: int = 0
    restored: int = 0
    """Prompt tokens that the engine finds in its cache."""
    window: int = 4096
    requests: list[GenerationRequest] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    stats: EngineStats = field(default_factory=EngineStats)
    restarts: int = 0
    stopped: int = 0
    pid: int | None = None
    told_to_cancel: set[str] = field(default_factory=set)

    def cancel(self, identifier: str) -> bool:
        self.told_to_cancel.add(identifier)
        return True

    async def wait_ready(self) -> None:
        while not self.is_ready:
            await asyncio.sleep(0.01)

    async def given_up(self) -> SetupError:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def stop(self) -> None:
        self.stopped += 1

    @property
    def info(self) -> ModelInfo:
        if not self.is_ready:
            raise Overloaded("The model is still loading. Try again in a moment.")
        return ModelInfo(
            context_length=self.window,
            vocab_size=ByteTokenizer.vocab_size,
            fingerprint="fp_0123456789",
        )

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        done = False
        try:
            for event in self._events(request):
                await asyncio.sleep(self.pause)
                if request.id in self.told_to_cancel:
                    raise Cancelled
                yield event
            done = True
        finally:
            (self.finished if done else self.cancelled).append(request.id)

    def _events(self, request: GenerationRequest) -> Iterator[Event]:
        top = request.params.prompt_logprobs
        for token in request.prompt[1:] if top is not None else ():
            entry = _entry(chr(token) if token < 128 else "?", top)
            yield Event(id=request.id, index=0, prompt_logprobs=(entry,))
        tokens, reason = self._answer(request)
        entries = [_entry(token, request.params.top_logprobs or 0) for token in tokens]
        wants = request.params.top_logprobs is not None
        for at, token in enumerate(tokens):
            if at == self.fail_after and self.failure:
                raise self.failure
            for index in range(request.n):
                logprobs = (entries[at],) if wants else ()
                ends = (len(token),)
                yield Event(
                    id=request.id, index=index, text=token, token_ends=ends, logprobs=logprobs
                )
        usage = ChoiceUsage(
            completion_tokens=len(tokens) + (reason == "stop"),
            cached_tokens=self.cached,
            restored_tokens=self.restored,
        )
        for index in range(request.n):
            yield Event(id=request.id, index=index, finish_reason=reason, usage=usage)

    def _answer(self, request: GenerationRequest):
        tokens = self.tokens[: request.params.max_tokens]
        matcher, shown = StopMatcher(request.params.stop, request.params.unsearched), 0
        for token in tokens:
            released, stopped = matcher.feed(token)
            shown += len(released)
            if stopped:
                return list(_beginning(tokens, shown)), "stop"
        return tokens, "length" if len(tokens) == request.params.max_tokens else "stop"


def _beginning(tokens: list[str], size: int) -> Iterator[str]:
    """The first `size` characters, a token at a time."""
    for token in tokens:
        if size > 0:
            yield token[:size]
        size -= len(token)


def _entry(token: str, alternatives: int) -> TokenEntry:
    top = [TokenLogprob(token.encode(), -0.1), *(TokenLogprob(b"x", -9.0) for _ in range(20))]
    return TokenEntry(token.encode(), -0.1, tuple(top[:alternatives]))


def settings(**overrides) -> ServerSettings:
    engine = EngineSettings(model=Path("no-such-model.gguf"))
    model = ModelSettings(id="tiny", aliases=(ORIGINAL, SNAPSHOT), engine=engine)
    return ServerSettings(**{"models": (model,), **overrides})


def served(
    engine: ScriptedEngine, template: str = CHATML, model: ModelSettings | None = None
) -> ServedModel:
    model = model or settings().models[0]
    made = ServedModel(
        engine,
        ByteTokenizer(),
        TemplateInside(template),
        model.known_sampling,
        hide_format=model.hide_format,
    )
    made.grammars = GrammarsInside(made.grammars._make_vocabulary)
    return made


def app_over(engine, chosen: ServerSettings, template: str = CHATML, more=lambda _: MoreRoutes()):
    async def load(model: ModelSettings) -> ServedModel:
        return served(engine, template, model)

    return create_app(chosen, ModelPool(chosen, load), more(chosen))


@dataclass
class LiveServer:
    """A server on a loopback socket, and what is behind it."""

    url: str
    engine: ScriptedEngine
    app: object
    stop: Callable[[], None]

    @property
    def service(self):
        return self.app.state.service


@contextlib.contextmanager
def live_server(
    engine: ScriptedEngine,
    template: str = CHATML,
    keep_alive: int = 5,
    more=lambda _: MoreRoutes(),
    **overrides,
) -> Iterator[LiveServer]:
    """Serve the application over `engine` with uvicorn in a thread of its own."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings(**{"database": str(Path(folder) / "kept.sqlite3"), **overrides})
        app = app_over(engine, chosen, template, more)
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            ws="none",
            http=BoundedProtocol,
            timeout_keep_alive=keep_alive,
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
            thread.start()

            def stop() -> None:
                server.should_exit = True
                thread.join(timeout=60)

            try:
                yield LiveServer(f"http://127.0.0.1:{listener.getsockname()[1]}", engine, app, stop)
            finally:
                stop()
