"""One answer in the making: all the state that changes while it is made."""

from __future__ import annotations

import secrets
from collections.abc import Sequence as Run
from dataclasses import dataclass, field
from hashlib import blake2b

from minikin.engine.answer_text import AnswerText
from minikin.engine.lookup import Lookup
from minikin.engine.mask import Mask
from minikin.engine.messages import GREEDY_BELOW, GenerationRequest, SamplingParams
from minikin.engine.prediction import Prediction
from minikin.tokenizer.tokenizer import Tokenizer


@dataclass(slots=True)
class Sequence:
    """A prompt and what has been sampled after it, with its place in the KV cache.

    `tokens[:computed]` have their keys and values in `blocks`. A sequence that has been
    preempted has no blocks and `computed == 0`; its tokens are computed again when there is room.
    """

    request: GenerationRequest
    index: int
    """Which of the request's `n` choices this is."""
    tokens: list[int]
    """The prompt's token ids, then the sampled ones."""
    noise: blake2b
    """The start of this choice's random numbers."""
    answer: AnswerText
    """The text that the sampled tokens spell."""
    prediction: Prediction
    """The client's text that the answer may follow."""
    lookup: Lookup
    mask: Mask | None = None
    """Where the answer stands in its grammar, if it has one."""
    blocks: list[int] = field(default_factory=list)
    computed: int = 0
    cached: int = 0
    """Prompt tokens found in the prefix cache when the sequence first ran."""
    prefix_node: int = 0
    """The prefix cache's node of the last full block that is registered there."""
    registered: int = 0
    """How many of `blocks` the prefix cache knows."""
    pure: bool = True
    """Whether prompts alone have computed the blocks that the prefix cache gave it."""
    counts: dict[int, int] = field(default_factory=dict)
    """How often each token has been sampled."""

    @classmethod
    def begin(
        cls, request: GenerationRequest, index: int, tokenizer: Tokenizer, mask: Mask | None = None
    ) -> Sequence:
        """The `index`-th choice of `request`, with nothing computed."""
        seed = request.params.seed
        start = secrets.randbits(64) if seed is None else seed
        tokens = list(request.prompt)
        return cls(
            request=request,
            index=index,
            tokens=tokens,
            noise=blake2b(f"{start}/{index}".encode(), digest_size=8),
            answer=AnswerText(tokenizer, request.params.stop, request.params.unsearched),
            prediction=Prediction(request.params.prediction),
            lookup=Lookup(tokens),
            mask=mask,
        )

    @property
    def params(self) -> SamplingParams:
        """How to choose this sequence's tokens."""
        return self.request.params

    @property
    def repeatable(self) -> bool:
        """Whether the same request must give the same answer, to the last bit, in any company."""
        return self.params.seed is not None or self.params.temperature < GREEDY_BELOW

    @property
    def sampled(self) -> int:
        """How many tokens have been sampled."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def pending(self) -> int:
        """How many tokens still have to be computed before the next can be sampled."""
        return len(self.tokens) - self.computed

    def room(self, context_length: int) -> int:
        """How many more tokens may be sampled."""
        return min(self.params.max_tokens - self.sampled, context_length - len(self.tokens))

    def guess(self, context_length: int, spare: int) -> tuple[int, ...]:
        """Tokens that may come after the next one, to be checked in the same step.

        Up to `spare` if they are not from the client's prediction. None where the choice of one
        token changes the odds of the next.
        """
        params = self.params
        penalised = params.frequency_penalty or params.presence_penalty
        if penalised or params.repetition_penalty != 1 or self.mask:
            return ()
        room = self.room(context_length)
        if params.prediction:
            return self.prediction.guess(room - 1)
        return self.lookup.guess(min(room - 1, spare))

    def judge(self, offered: int, tokens: Run[int], accepted: int) -> None:
        """Learn that `accepted` of the offered guesses came true, of the sampled `tokens`."""
        if not self.params.prediction:
            self.lookup.judge(offered, accepted)
            return
        before = tokens[accepted - 1] if accepted else self.tokens[-1]
        self.prediction.judge(offered, accepted, before, tokens[accepted])

    def uniform(self, ahead: int = 0) -> float:
        """A number in [0, 1) that depends only on the seed, the choice and the position.

        The position is that of the next token, or of one further `ahead`.

        So a sequence that was preempted, or runs in other company, draws the same numbers again.
        """
        draw = self.noise.copy()
        draw.update((self.sampled + ahead).to_bytes(4, "little"))
        return (int.from_bytes(draw.digest(), "little") >> 11) / 2**53

    def append(self, token: int) -> None:
        """Take a sampled token."""
        self.tokens.append(token)
        self.counts[token] = self.counts.get(token, 0) + 1
