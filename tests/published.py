"""Chat templates and vocabularies of published models, as llama.cpp has them for its own tests.

They are in the source distribution of llama-cpp-python. The tests read them from the cache folder,
and nothing of them is in this repository.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

from tests.client_packages import installed, run_installer

_PACKAGE = "llama-cpp-python==0.3.36"
_MODELS = "/vendor/llama.cpp/models/"


def published_models() -> Path:
    """A folder with `templates/*.jinja` and `ggml-vocab-*.gguf`.

    Skips the test if pip cannot fetch them.
    """
    return installed("published", _PACKAGE, _fetch)


def _fetch(folder: Path) -> None:
    name = _PACKAGE.partition("=")[0]
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
    run_installer([*pip, "--no-binary", name, "--dest", folder, _PACKAGE])
    [source] = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        for member in archive:
            _, found, path = member.name.partition(_MODELS)
            if found and member.isfile():
                member.name = path
                archive.extract(member, folder, filter="data")
    source.unlink()
