import pytest

from bench.numerics import compare, kinds
from tests.real_model import default_model

pytestmark = [
    pytest.mark.model,
    pytest.mark.thorough,
    pytest.mark.filterwarnings("default"),
]

PATHS = 7
FEW = 5
"""Texts for kernels that this machine would not use, because `make numerics` compares all."""


@pytest.mark.parametrize(
    ("which", "texts"),
    [(slice(1), None), (slice(1, None), FEW)],
    ids=["the best kernels", "the others"],
)
def test_every_path_agrees_with_transformers(which, texts):
    chosen = [(name, find, texts or count) for name, find, count in list(kinds())[which]]
    compared = compare(default_model(), chosen, threads=1)
    assert len(compared) == PATHS * len(chosen)
    for path, found in compared.items():
        assert found.clear > 80, path
        assert found.wrong == 0, path
        assert found.mean_divergence < 5e-3, path
