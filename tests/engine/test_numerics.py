import pytest

from bench.numerics import compare
from tests.real_model import default_model

pytestmark = [pytest.mark.model, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]


def test_every_path_agrees_with_transformers():
    for path, found in compare(default_model(), threads=1).items():
        assert found.clear > 400, path
        assert found.wrong == 0, path
        assert found.mean_divergence < 5e-3, path
