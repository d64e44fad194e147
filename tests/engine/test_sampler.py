from collections import Counter

import pytest
import torch

from minikin.engine import logprobs as log_probabilities
from minikin.engine import sampler
from minikin.engine.cuda.choose import CudaChooser
from minikin.engine.messages import GenerationRequest, Opening, SamplingParams
from minikin.engine.model.native_decoder import NativeChooser
from minikin.engine.native.build import load_library
from minikin.engine.native.kernels import Kernels
from minikin.engine.pytorch.choose import TorchChooser
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span
from tests.engine.fakes import ByteTokenizer


@pytest.fixture(params=["PyTorch", "CUDA", "native"], autouse=True)
def chooser(request, monkeypatch):
    """What chooses in `sample` and `logprobs` below."""
    chosen = CudaChooser() if request.param == "CUDA" else TorchChooser()
    if request.param == "native":
        if (library := load_library()) is None:
            pytest.skip("no gcc here")
        chosen = NativeChooser(Kernels(library, 1))
    monkeypatch.setitem(globals(), "CHOOSER", chosen)


def sample(logits, rows, ahead):
    return sampler.sample(own(logits), rows, ahead, (), CHOOSER)


def logprobs(logits, tokens, counts):
    return log_probabilities.logprobs(own(logits), tokens, counts, CHOOSER)


def own(logits):
    """The same memory, as the chooser reads it."""
    return logits if isinstance(CHOOSER, TorchChooser) else logits.numpy()


CHOOSER = None


def sequence(index=0, sampled=(), **params):
    request = GenerationRequest(
        id="r", prompt=[1], params=SamplingParams(max_tokens=9, **{"seed": 1, **params})
    )
    result = Sequence.begin(request, index, ByteTokenizer())
    for token in sampled:
        result.append(token)
    return result


def draws(logits, count=4000, **params):
    """How often each token is drawn, as a share."""
    rows = [sequence(index=i, **params) for i in range(count)]
    chosen = Counter(sample(torch.tensor(logits).repeat(count, 1), rows, [0] * count))
    return [chosen[token] / count for token in range(len(logits))]


def test_draws_follow_the_distribution_at_its_temperature():
    logits = [2.0, 1.0, 0.0, -1.0]
    for temperature in (0.5, 1.0, 2.0):
        expected = (torch.tensor(logits) / temperature).softmax(0).tolist()
        assert draws(logits, temperature=temperature) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("temperature", [0.0, 1e-6, 1e-40])
def test_a_temperature_of_nothing_is_greedy(temperature):
    assert draws([1.0, 1.01, 1.0], count=50, temperature=temperature) == [0, 1, 0]


def test_top_p_keeps_the_fewest_tokens_that_reach_it():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()
    assert draws(logits, top_p=0.6) == pytest.approx([5 / 8, 3 / 8, 0, 0], abs=0.03)
    assert draws(logits, top_p=0.49) == [1, 0, 0, 0]
    assert draws(logits, top_p=0.0) == [1, 0, 0, 0]
    assert draws(logits, top_p=0.96)[3] > 0


def test_top_p_of_a_flat_distribution_looks_past_the_first_tokens():
    flat = torch.zeros(3, 5000)
    rows = [sequence(index=i, top_p=0.9) for i in range(3)]
    assert all(token < 5000 for token in sample(flat, rows, [0, 0, 0]))
    wide = Counter(
        sample(
            torch.zeros(500, 2000), [sequence(index=i, top_p=0.9) for i in range(500)], [0] * 500
        )
    )
    assert len(wide) > 350


FOUR = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()


def test_top_k_keeps_the_k_likeliest():
    assert draws(FOUR, top_k=2) == pytest.approx([5 / 8, 3 / 8, 0, 0], abs=0.03)
    assert draws(FOUR, top_k=1) == [1, 0, 0, 0]
    assert draws(FOUR, top_k=100) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)


def test_min_p_drops_what_is_too_far_below_the_likeliest():
    # The threshold is 0.4 * 0.5 = 0.2.
    assert draws(FOUR, min_p=0.4) == pytest.approx([5 / 8, 3 / 8, 0, 0], abs=0.03)
    assert draws(FOUR, min_p=0.11) == pytest.approx(
        [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0], abs=0.03
    )
    assert draws(FOUR, min_p=1.0) == [1, 0, 0, 0]
    assert draws([1.0, 1.0, 0.0], count=400, min_p=1.0)[:2] == pytest.approx([0.5, 0.5], abs=0.1)


def test_the_temperature_comes_before_min_p():
    # At temperature 2 the shares are the square roots: 0.3 / 0.5 becomes 0.77.
    assert draws(FOUR, count=500, min_p=0.7)[1] == 0
    assert draws(FOUR, count=500, min_p=0.7, temperature=2.0)[1] > 0


def test_a_token_must_pass_every_limit():
    assert draws(FOUR, count=500, top_k=3, top_p=0.7, min_p=0.05)[2:] == [0, 0]
    assert draws(FOUR, count=500, top_k=1, top_p=0.9, min_p=0.05) == [1, 0, 0, 0]
    assert draws(FOUR, count=500, top_k=3, top_p=0.9, min_p=0.7) == [1, 0, 0, 0]


@pytest.mark.parametrize(("limit", "kinds"), [({"top_k": 1500}, 1500), ({"min_p": 0.5}, 2000)])
def test_limits_look_past_the_first_tokens(limit, kinds):
    logits = torch.zeros(4000, 2500)
    logits[:, 2000:] = -5.0
    rows = [sequence(index=i, **limit) for i in range(4000)]
    drawn = set(sample(logits, rows, [0] * 4000))
    assert kinds * 0.8 < len(drawn) <= kinds
    assert max(drawn) < 2000


def test_repetition_is_penalised_in_prompt_and_answer():
    row = sequence(sampled=[0, 0, 2], repetition_penalty=2.0, temperature=0)
    logits = torch.tensor([[4.0, 3.0, -1.0, 1.9]])
    # Token 1 is the prompt. 4 / 2, 3 / 2, -1 * 2, 1.9: how often does not matter.
    assert sample(
        logits,
        [
            row,
        ],
        [0],
    ) == [0]
    assert logits[0].tolist() == pytest.approx([2.0, 1.5, -2.0, 1.9])
    again = sequence(sampled=[2], repetition_penalty=0.5, temperature=0)
    assert sample(torch.tensor([[2.0, 0.5, 1.9, 0.0]]), [again], [0]) == [2]


def test_repetition_is_penalised_before_bias_and_counts():
    row = sequence(sampled=[0], repetition_penalty=2.0, presence_penalty=1.0, temperature=0)
    logits = torch.tensor([[4.0, 0.0, 0.0]])
    sample(logits, [row], [0])
    assert logits[0, 0] == pytest.approx(4 / 2 - 1)


def test_penalties_count_what_this_answer_has_sampled():
    row = sequence(sampled=[0, 0, 1], frequency_penalty=1.0, presence_penalty=0.5, temperature=0)
    logits = torch.tensor([[5.0, 4.0, 2.6]])
    # 5 - 2.5, 4 - 1.5, 2.6: the third, never sampled, is now the best.
    assert sample(logits, [row], [0]) == [2]
    assert logits[0].tolist() == pytest.approx([2.5, 2.5, 2.6])


def test_a_negative_penalty_repeats():
    row = sequence(sampled=[1], presence_penalty=-2.0, temperature=0)
    assert sample(torch.tensor([[1.0, 0.0]]), [row], [0]) == [1]


def test_bias_forces_and_bans():
    logits = [9.0, 1.0, 0.0]
    assert draws(logits, count=50, logit_bias={2: 100.0}) == [0, 0, 1]
    assert draws(logits, count=50, logit_bias={0: -100.0})[0] == 0
    everything = dict.fromkeys(range(3), -100.0)
    assert draws(logits, count=50, logit_bias=everything, temperature=0) == [1, 0, 0]


def test_an_opening_is_likelier_while_the_answer_is_a_part_of_it():
    opening = {"opening": Opening((1, 2), 2.0), "temperature": 0.0}
    logits = [1.0, 0.0, 0.0, 0.5]

    def chosen(*sampled, **more):
        return sample(torch.tensor([logits]), [sequence(sampled=sampled, **opening | more)], [0])

    assert chosen() == [1]
    assert chosen(1) == [2]
    assert chosen(0) == chosen(1, 2) == chosen(1, 0) == [0]
    assert chosen(logit_bias={1: -1.5}) == [0]


def test_rows_keep_their_own_settings():
    rows = [
        sequence(temperature=0),
        sequence(temperature=0, logit_bias={1: 5.0}),
        sequence(temperature=1, top_p=0.1),
        sequence(temperature=1, top_k=1),
        sequence(temperature=0, repetition_penalty=2.0, sampled=[0]),
    ]
    logits = torch.tensor([[1.0, 0.0]] * 4 + [[1.0, 0.9]])
    assert sample(logits, rows, [0] * 5) == [0, 1, 0, 0, 0]


def test_nonsense_from_the_model_is_an_error():
    with pytest.raises(FloatingPointError):
        sample(torch.tensor([[1.0, float("nan")]]), [sequence()], [0])


def test_logprobs_are_of_the_raw_distribution():
    raw = torch.randn(2, 50)
    expected = raw.log_softmax(-1)
    best = int(raw[0].argmax())
    first, second = logprobs(raw, [best, int(raw[1].argmin())], [3, 0])
    assert first.chosen == pytest.approx(expected[0, best].item(), abs=1e-5)
    assert [token for token, _ in first.top] == raw[0].topk(3).indices.tolist()
    assert [value for _, value in first.top] == pytest.approx(
        expected[0].topk(3).values.tolist(), abs=1e-5
    )
    assert second.top == []
    assert second.chosen == pytest.approx(expected[1].min().item(), abs=1e-5)
    assert second.place == 49


def test_a_forced_token_among_unlikely_ones_has_openais_value():
    logits = torch.arange(50.0).repeat(2, 1)
    forced = [sequence(logit_bias={token: 100.0}, top_logprobs=0) for token in (30, 29)]
    rows = sampler.sample_spans(
        own(logits),
        [Span(one, 0, 1) for one in forced],
        [None, None],
        CHOOSER,
        ByteTokenizer().token_bytes,
        lambda _, token: token,
    )
    assert [row.token for (row,) in rows] == [30, 29]
    likely, hidden = (row.entry.logprob for (row,) in rows)
    assert likely == pytest.approx(torch.arange(50.0).log_softmax(0)[30].item(), abs=1e-5)
    assert hidden == -9999.0
