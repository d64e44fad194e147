import pytest

from bench.numerics import compare, kinds
from tests.real_model import default_model

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("default")]


def test_every_path_agrees_with_transformers():
    compared = compare(default_model(), threads=1)
    assert len(compared) == 7 * len(list(kinds()))
    for path, found in compared.items():
        assert found.clear > 80, path
        assert found.wrong == 0, path
        assert found.mean_divergence < 5e-3, path
