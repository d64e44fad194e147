"""Runs programs of Node with the packages of npm."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.client_packages import node, node_modules
from tests.clients.jobs import PROGRAMS, printed


def printed_by(program: str, *arguments: str, folder: Path) -> dict[str, Any]:
    """What `program` prints. It runs in `folder`, where it finds the packages."""
    (folder / "node_modules").symlink_to(node_modules())
    return printed([node(), shutil.copy(PROGRAMS / program, folder), *arguments])
