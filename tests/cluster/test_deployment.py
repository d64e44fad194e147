"""The application for files of Ray Serve."""

from __future__ import annotations

import warnings

import pytest

from minikin.cli.cluster import deployment
from minikin.errors import SetupError
from tests.real_model import default_model

pytest.importorskip("ray")


@pytest.fixture(autouse=True)
def of_ray():
    with warnings.catch_warnings(action="ignore"):  # Ray's own use of Pydantic
        yield


@pytest.mark.model
def test_options_of_a_file_are_those_of_the_command():
    options = {
        "model": f"a={default_model()}",
        "replicas": 3,
        "api_key": ["b", "c"],
        "extensions": True,
    }
    settings, engines = deployment(options)._bound_deployment.init_args
    assert settings.api_keys == ("b", "c")
    assert settings.extensions
    (engine,) = engines.values()
    assert engine._bound_deployment.num_replicas == 3


@pytest.mark.parametrize(
    "options", [{"replicas": 0}, {"replicas": 3, "max_replicas": 2}, {"unload_after": 5}]
)
def test_numbers_of_engines_that_do_not_fit_are_rejected(options):
    with pytest.raises(SetupError):
        deployment(options)


def test_an_option_that_does_not_exist_is_rejected():
    with pytest.raises(Exception, match="No such option: --replica"):
        deployment({"replica": 2})
