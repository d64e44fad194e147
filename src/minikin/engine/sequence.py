"""One unfinished answer: all its mutable state."""

from __future__ import annotations

import secrets
from collections.abc import Sequence as Run
from dataclasses import dataclass, field
from hashlib import blake2b

from minikin.engine.adjustment import Adjustment
from minikin.engine.answer_text import AnswerText
from minikin.engine.lookup import Lookup
from minikin.engine.mask import Mask
from minikin.engine.messages import (
    GREEDY_BELOW,
    GenerationRequest,
    Resumed,
    SamplingParams,
)
from minikin.engine.prediction import Prediction
from minikin.engine.prompt_scores import PromptScores
from minikin.engine.state_rooms import Place
from minikin.tokenizer.tokenizer import Tokenizer


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt, the tokens sampled after it, and its blocks in the KV cache.

    The keys and values of `tokens[:computed]` are in `blocks`. A preempted sequence has no blocks
    and `computed == 0`. Its tokens are computed again when there is room.
    """

    request: GenerationRequest
    index: int
    """The index among the request's `n` choices."""
    tokens: list[int]
    """The prompt's token ids, then the sampled ones."""
    noise: blake2b
    """The seed of this choice's random numbers."""
    answer: AnswerText
    """The text of the sampled tokens."""
    prediction: Prediction
    """The client's prediction of the answer."""
    lookup: Lookup
    mask: Mask | None = None
    """The state of the answer in its grammar, if it has one."""
    blocks: list[int] = field(default_factory=list)
    computed: int = 0
    proven: int = 0
    """How many tokens after those are guesses that were correct. No state has seen them."""
    state: Place = field(default_factory=Place)
    """Where its state is, if the model has one."""
    cached: int = 0
    """Prompt tokens that were not computed when the sequence first ran."""
    restored: int = 0
    """Those of them that came from the prefix store."""
    stored_names: list[str] = field(default_factory=list)
    """The names of its units in the prefix store. Empty without a store, or for a short one."""
    restoring: bool = False
    """Whether its next unit may be in the prefix store."""
    prefix_node: int = 0
    """The node of the last full block in the prefix cache."""
    registered: int = 0
    """How many of `blocks` are in the prefix cache."""
    pure: bool = True
    """Whether the kernels for prompts computed all keys and values so far."""
    overtook: bool = False
    """Whether it started before a sequence that waited for blocks."""
    told: int = 0
    """How many sampled tokens the events have so far."""
    counts: dict[int, int] = field(default_factory=dict)
    """How often each token was sampled."""
    scores: PromptScores | None = None
    """The log probabilities of the prompt, if the request wants them. Only choice 0 has them."""
    adjustment: Adjustment | None = None
    """What to add to the logits, from the first token on that needs it."""

    @classmethod
    def begin(
        cls, request: GenerationRequest, index: int, tokenizer: Tokenizer, mask: Mask | None = None
    ) -> Sequence:
        """The `index`-th choice of `request`, with nothing computed.

        If another engine began it, it has the tokens and the text of that engine's last event.
        """
        seed = request.params.seed
        start = secrets.randbits(64) if seed is None else seed
        tokens, top = list(request.prompt), request.params.prompt_logprobs
        sequence = cls(
            request=request,
            index=index,
            tokens=tokens,
            noise=blake2b(f"{start}/{index}".encode(), digest_size=8),
            answer=AnswerText(tokenizer, request.params.stop, request.params.unsearched),
            prediction=Prediction(request.params.prediction),
            lookup=Lookup(tokens),
            mask=mask,
            scores=None if top is None or index else PromptScores(request.prompt, top),
        )
        if request.resumed:
            sequence._resume(request.resumed[index])
        return sequence

    def _resume(self, begun: Resumed) -> None:
        entries = [None] * (len(begun.tokens) - len(begun.held)) + [*begun.held]
        for token, entry in zip(begun.tokens, entries, strict=True):
            if self.mask:
                self.mask.accept(token, forced=False)
            self.append(token)
            self.answer.take(token, entry)
        self.told, self.cached = self.sampled, begun.cached
        if begun.prediction:
            self.prediction.state = begun.prediction
        if self.scores:
            self.scores.known += begun.scored

    @property
    def params(self) -> SamplingParams:
        """How to choose this sequence's tokens."""
        return self.request.params

    @property
    def gives_way(self) -> bool:
        """Whether the sequence runs only in steps without others."""
        return self.request.gives_way

    @property
    def repeatable(self) -> bool:
        """Whether the same request must give the same answer to the last bit, beside any others."""
        p = self.params
        greedy = p.temperature < GREEDY_BELOW
        return greedy or p.seed is not None or p.prompt_logprobs is not None

    @property
    def reusable(self) -> list[int]:
        """The tokens whose keys and values can come from the prefix cache, except the last one.

        Log probabilities need a forward pass.
        """
        scores = self.scores
        return self.tokens if scores is None or scores.complete else scores.reusable

    @property
    def sampled(self) -> int:
        """The number of sampled tokens."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def pending(self) -> int:
        """The number of tokens to compute before the next can be sampled."""
        return len(self.tokens) - self.computed

    @property
    def is_steady(self) -> bool:
        """Whether no sampled token changes how the next is chosen from its logits."""
        p = self.params
        penalised = p.frequency_penalty or p.presence_penalty or p.repetition_penalty != 1
        return not penalised and self.mask is None

    @property
    def is_unaided(self) -> bool:
        """Whether a device can choose its next tokens from logits and random numbers alone."""
        p = self.params
        opening = self.sampled < len(p.opening.tokens)
        return self.is_steady and p.top_logprobs is None and not p.logit_bias and not opening

    @property
    def opens_with(self) -> int | None:
        """The next token of `params.opening`, if the answer is a part of it so far."""
        opening, sampled = self.params.opening.tokens, self.sampled
        if sampled >= len(opening) or opening[:sampled] != tuple(self.tokens[-sampled:][:sampled]):
            return None
        return opening[sampled]

    def room(self, context_length: int) -> int:
        """The number of tokens that can still be sampled."""
        return min(self.params.max_tokens - self.sampled, context_length - len(self.tokens))

    def guess(self, context_length: int, spare: int) -> tuple[int, ...]:
        """Guesses of the tokens after the next one, to check in the same step.

        Up to `spare` if they are not from the client's prediction. Empty if the choice of one token
        changes the probabilities of the next.
        """
        if not self.is_steady:
            return ()
        room = max(1, self.room(context_length))
        if self.params.prediction:
            return self.prediction.guess(room - 1)
        return self.lookup.guess(min(room - 1, spare))

    def judge(self, offered: int, tokens: Run[int], accepted: int) -> None:
        """Record that `accepted` of the guesses were correct, among the sampled `tokens`."""
        if not self.params.prediction:
            self.lookup.judge(offered, accepted)
            return
        before = tokens[accepted - 1] if accepted else self.tokens[-1]
        self.prediction.judge(offered, accepted, before, tokens[accepted])

    def uniform(self, ahead: int = 0) -> float:
        """A number in [0, 1) that depends only on the seed, the choice and the position.

        The position is that of the next token, or of one further `ahead`.

        A sequence that was preempted, or that runs beside others, draws the same numbers.
        """
        draw = self.noise.copy()
        draw.update((self.sampled + ahead).to_bytes(4, "little"))
        return (int.from_bytes(draw.digest(), "little") >> 11) / 2**53

    def append(self, token: int) -> None:
        """Append a sampled token."""
        self.tokens.append(token)
        self.counts[token] = self.counts.get(token, 0) + 1
        if self.adjustment is not None:
            self.adjustment.count(token, self.counts[token])
