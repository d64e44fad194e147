"""The tokens that a grammar allows next, computed in parallel with the model.

`engine.mask` defines the interface that the engine expects.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Protocol

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from minikin.constrain.closing import Closing
from minikin.constrain.distinct import DistinctNames
from minikin.constrain.matching import fault_of, matcher_tokenizer, new_matcher
from minikin.constrain.plan import Constraint, Watched
from minikin.constrain.steering import Steering
from minikin.constrain.watch import Watch

THREADS = 2
CACHED_GRAMMARS = 32
STEP_SECONDS = 0.5
"""If a mask needs more CPU time, its answer ends."""


class Tokenizer(Protocol):
    """The required interface of a tokenizer."""

    vocab_size: int

    @property
    def eos_ids(self) -> Collection[int]:
        """The tokens that end an answer."""
        ...

    def free_bytes(self) -> list[bytes]:
        """The bytes of each token. b"" for a token that a grammar allows only by its id."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of plain text."""
        ...


class MaskError(Exception):
    """The answer cannot continue in its grammar."""


class ThreadTime:
    """The CPU time of this thread from now on, also for other threads.

    The time in which a busy machine lets the thread wait does not count, where the system measures
    that.
    """

    def __init__(self) -> None:
        clock_of = getattr(time, "pthread_getcpuclockid", None)
        self._clock = clock_of(threading.get_ident()) if clock_of else time.CLOCK_MONOTONIC
        self._start = time.clock_gettime(self._clock)

    def seconds(self) -> float:
        """The time so far."""
        return time.clock_gettime(self._clock) - self._start


class Masks:
    """Makes the masks of one model, and caches recent grammars."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="mask")
        # Separate, so that a slow compilation does not delay answers.
        self._compiling = ThreadPoolExecutor(1, thread_name_prefix="grammar")
        self._tokenizer = self._compiling.submit(_prepared, tokenizer)
        self._vocabulary = self._compiling.submit(Vocabulary, tokenizer)
        self._ready: OrderedDict[str, Future[GrammarMask]] = OrderedDict()

    def begin(self, grammar: str) -> Future[GrammarMask]:
        """The mask at the start of `grammar`, when it is compiled.

        The future raises MaskError for a grammar that is not usable.
        """
        if (known := self._ready.pop(grammar, None)) is None:
            known = self._compiling.submit(self._compile, grammar)
        self._ready[grammar] = known
        while len(self._ready) > CACHED_GRAMMARS:
            self._ready.popitem(last=False)
        return known

    def _compile(self, grammar: str) -> GrammarMask:
        constraint = Constraint.read(grammar)
        matcher = new_matcher(self._tokenizer.result(), constraint.grammar)
        if fault := fault_of(matcher):
            raise MaskError(fault)
        return GrammarMask(matcher, constraint.watched, self._pool, self._vocabulary.result())


class Vocabulary:
    """What is known of one model's tokens, for all its masks."""

    def __init__(self, source: Tokenizer) -> None:
        self.tokens = source.free_bytes()
        self.closing = Closing(self.tokens, source.eos_ids)
        self.names = DistinctNames(self.tokens)


def _prepared(source: Tokenizer) -> LLTokenizer:
    return matcher_tokenizer(source.free_bytes(), sorted(source.eos_ids), source.encode)


class GrammarMask:
    """The state of one answer in its grammar."""

    def __init__(
        self,
        beginning: LLMatcher,
        watched: Watched,
        pool: ThreadPoolExecutor,
        vocabulary: Vocabulary,
    ) -> None:
        self._beginning = beginning
        self._watched = watched
        self._pool = pool
        self._vocabulary = vocabulary
        self._matcher = beginning.deep_copy()
        self._watch = Watch(watched)
        self._steering = Steering(vocabulary.closing, self._is_distinct)
        self._mask: Future[np.ndarray] | None = None
        self._spent: ThreadTime | None = None

    @property
    def finished(self) -> bool:
        """Whether only the end can follow, or only a repetition."""
        return self._matcher.is_stopped() or self._watch.repeated

    def fresh(self) -> GrammarMask:
        """A mask at the start of the same grammar, for another answer."""
        return GrammarMask(self._beginning, self._watched, self._pool, self._vocabulary)

    def prepare(self) -> None:
        """Start to compute the next mask in another thread."""
        if self._mask is None:
            self._spent = None
            self._mask = self._pool.submit(self._compute)

    def allowed(self, seconds: float) -> np.ndarray | None:
        """bool [vocab_size]: the tokens allowed next. None if not ready within `seconds`.

        Raises MaskError if no token is allowed, or if it takes too much time.
        """
        self.prepare()
        assert self._mask is not None
        try:
            return self._mask.result(timeout=seconds)
        except NotYet:
            if self._spent and self._spent.seconds() > STEP_SECONDS:
                raise MaskError("the grammar takes too long to follow") from None
            return None

    def steer(self, token: int, room: int) -> int:
        """`token`, or the token that replaces it.

        It is replaced if the answer could not end after it within `room` tokens, `token` and the
        end token included, or if the answer only repeats itself.
        """
        chosen = self._steering.choose(self._matcher, token, room)
        # Names stay distinct, be the way as it may.
        return chosen if self._mask is None or self._mask.result()[chosen] else token

    def accept(self, token: int, *, forced: bool) -> list[int]:
        """Accept the answer's next token. With `forced`, also accept and return those that must
        follow.

        Raises MaskError if the grammar does not allow the token.
        """
        self._mask = None
        if not self._matcher.consume_token(token):
            raise MaskError(fault_of(self._matcher))
        following = [] if not forced or self._matcher.is_stopped() else self._forced()
        self._steering.take([token, *following])
        for taken in (token, *following):
            self._watch.take(taken, self._vocabulary.tokens[taken])
        return following

    def _is_distinct(self, tokens: Sequence[int]) -> bool:
        """Whether these tokens, from here on, give no object a name twice."""
        state = self._watch.json
        spelled = b"".join(self._vocabulary.tokens[token] for token in tokens)
        return state is None or not state.after(spelled).repeats

    def _forced(self) -> list[int]:
        following = self._matcher.compute_ff_tokens()
        if following and not self._matcher.consume_tokens(following):
            raise MaskError(fault_of(self._matcher))
        return following

    def _compute(self) -> np.ndarray:
        self._spent = ThreadTime()  # not earlier, because other masks can occupy the threads
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if fault := fault_of(self._matcher):
            raise MaskError(fault)
        size = len(self._vocabulary.tokens)
        allowed = np.unpackbits(bits, bitorder="little", count=size).view(bool)
        if self._watch.json is not None:
            self._vocabulary.names.restrict(self._matcher, self._watch.json, allowed)
        return allowed
