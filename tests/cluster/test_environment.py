"""The environment of Ray's processes is the same everywhere."""

from minikin.cluster.run import ENVIRONMENT
from tests.real_model import ROOT


def test_the_file_for_other_machines_has_the_environment_of_the_first():
    lines = (ROOT / "deploy/ray.env").read_text().splitlines()
    assert dict(line.split("=", 1) for line in lines if line[0] != "#") == ENVIRONMENT
