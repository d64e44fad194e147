"""`python -m bench.unseen serve ...`: the command without its metrics, for `bench.seeing`."""

from __future__ import annotations

from typing import Any

from minikin import cli
from minikin.api.serving.lag import LagMeter
from minikin.api.serving.metrics import Metrics, Progress


def _nothing(*given: Any) -> None:
    pass


if __name__ == "__main__":
    for owner, names in (
        (Progress, ("add",)), (Metrics, ("answered", "_ended_as")), (LagMeter, ("start",))
    ):  # fmt: skip
        for name in names:
            setattr(owner, name, _nothing)
    cli.main()
