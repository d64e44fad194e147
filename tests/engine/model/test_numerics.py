import pytest

from bench.numerics import compare, kinds
from tests.real_model import default_model

pytestmark = [
    pytest.mark.model,
    pytest.mark.thorough,
    pytest.mark.filterwarnings("default"),
]

PATHS = 7


@pytest.mark.parametrize(
    "which",
    [slice(1), slice(1, None)],
    ids=["the best kernels", "the others"],
)
def test_every_path_agrees_with_transformers(which):
    chosen = list(kinds())[which]
    compared = compare(default_model(), chosen, threads=1)
    assert len(compared) == PATHS * len(chosen)
    for path, found in compared.items():
        assert found.clear > 80, path
        assert found.wrong == 0, path
        assert found.mean_divergence < 5e-3, path
