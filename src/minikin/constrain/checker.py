"""Makes grammars in worker processes that can be killed, so that no schema harms the server."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from minikin.bounded.limits import Limits
from minikin.bounded.process import BoundedProcess, WorkerLost, WorkerNotReady
from minikin.constrain.loosening import any_object
from minikin.constrain.plan import Plan, SchemaPart
from minikin.constrain.schema.subject import TOO_COMPLEX
from minikin.constrain.worker import SIMPLE, Verdict, Vocabulary
from minikin.errors import EngineFailure, InvalidRequest, Overloaded

WORKER = "minikin.constrain.worker"
WORKERS = 2
MAX_WAITING = 32
LIMITS = Limits(seconds=5.0)
"""The limits for a plan. The server leaves out what exceeds them, or rejects the plan."""
DEATHS = 2
"""Maximum workers that one plan ends before the server leaves out its schemas untested."""
KNOWN_BYTES = 32 * 1024 * 1024
"""Maximum bytes of remembered verdicts."""
LOST_SECONDS = 600.0
"""How long the verdict on a plan that ended its worker counts. Something else can be the cause: a
machine without memory, or someone who ended the worker."""


class TooManySchemas(Overloaded):
    """Too many new schemas wait for their grammars."""

    status = 429
    type = "requests"

    def __init__(self) -> None:
        super().__init__("Rate limit reached for new schemas. Please try again in 5s.")
        self.code, self.retry_after = "rate_limit_exceeded", 5


class GrammarChecker:
    """Makes and checks grammars, and remembers its latest verdicts.

    `vocabulary` is called once, when the first worker starts.
    """

    def __init__(self, vocabulary: Callable[[], Vocabulary], limits: Limits = LIMITS) -> None:
        self._make_vocabulary = vocabulary
        self._limits = limits
        self._vocabulary: bytes | None = None
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()
        self._known_bytes = 0
        self._forgotten_at: dict[bytes, float] = {}
        """Plans that ended their worker -> when their verdicts are forgotten. Oldest first."""
        self._idle: asyncio.LifoQueue[BoundedProcess] = asyncio.LifoQueue()
        self._waiting = 0
        self._workers: list[BoundedProcess] = []

    async def grammar(self, plan: Plan) -> str:
        """The grammar of `plan`.

        Raises InvalidRequest if no usable grammar exists, TooManySchemas if too many wait.
        """
        verdict = await self._verdict(plan)
        if verdict.grammar is None:
            raise InvalidRequest(verdict.message, param=verdict.param, code=verdict.code)
        return verdict.grammar

    async def _verdict(self, plan: Plan) -> Verdict:
        digest = hashlib.sha256(msgspec.json.encode(plan)).digest()
        self._forget_old()
        if digest in self._verdicts:
            self._verdicts.move_to_end(digest)
            return self._verdicts[digest]
        if self._waiting >= MAX_WAITING:
            raise TooManySchemas
        self._waiting += 1
        try:
            verdict = await self._ask(plan)
        finally:
            self._waiting -= 1
        if verdict is None:
            verdict = await self._too_complex(plan)
            self._forgotten_at[digest] = time.monotonic() + LOST_SECONDS
        self._remember(digest, verdict)
        return verdict

    async def _too_complex(self, plan: Plan) -> Verdict:
        """The verdict on a plan that ended a worker.

        Schemas that can be loosened are left out if they are too complex. For others the verdict
        is an error that names the schema.
        """
        parts: list[SchemaPart] = []
        patience = DEATHS
        for part in plan.parts:
            alone = Plan(answer=part)
            tested = alone != plan and (patience > 0 or not part.loose)
            verdict = await self._ask(alone) if tested else None
            patience -= verdict is None
            if verdict and verdict.grammar is None:
                return verdict
            if verdict is None and not part.loose:
                return Verdict.against(part.subject.too_complex())
            parts.append(part if verdict else any_object(part))
        if parts == [*plan.parts]:
            parts = [any_object(part) if part.loose else part for part in parts]
        if parts == [*plan.parts]:
            refusal = InvalidRequest(f"Invalid 'tools': together, {TOO_COMPLEX}", param="tools")
            return Verdict.against(refusal)
        return await self._verdict(plan.with_parts(parts))

    def _forget_old(self) -> None:
        """Forget verdicts that a lost worker left, when their time is over."""
        now = time.monotonic()
        for digest in [each for each, end in self._forgotten_at.items() if end <= now]:
            del self._forgotten_at[digest]
            if verdict := self._verdicts.pop(digest, None):
                self._known_bytes -= _size(verdict)

    def _remember(self, digest: bytes, verdict: Verdict) -> None:
        self._verdicts[digest] = verdict
        self._known_bytes += _size(verdict)
        while self._known_bytes > KNOWN_BYTES:
            digest, oldest = self._verdicts.popitem(last=False)
            self._forgotten_at.pop(digest, None)
            self._known_bytes -= _size(oldest)

    async def warm(self) -> None:
        """Start a worker, so that the first schema does not wait for it."""
        await self.grammar(SIMPLE)

    async def stop(self) -> None:
        """Stop the workers."""
        for worker in self._workers:
            await worker.stop()

    async def _ask(self, plan: Plan) -> Verdict | None:
        """The verdict. None if it needed too much time or memory."""
        if self._idle.empty() and len(self._workers) < WORKERS:
            worker = BoundedProcess(WORKER, self._vocabulary_bytes, self._limits)
            self._workers.append(worker)
        else:
            worker = await self._idle.get()
        try:
            return await worker.ask(plan, Verdict)
        except WorkerLost:
            return None
        except WorkerNotReady as error:
            raise EngineFailure("The process that checks schemas could not be started.") from error
        finally:
            self._idle.put_nowait(worker)

    def _vocabulary_bytes(self) -> bytes:
        if self._vocabulary is None:
            self._vocabulary = msgspec.json.encode(self._make_vocabulary())
        return self._vocabulary


def _size(verdict: Verdict) -> int:
    return 1_000 + len(verdict.grammar or verdict.message)
