"""Write into README.md what the tests verify: `python -m tests.engine.model.verified`."""

from __future__ import annotations

import re

import gguf

from minikin.model_file.folder.tensors import TYPES
from minikin.model_file.gguf import GGMLType
from tests.engine.tiny_models import FAMILIES
from tests.real_model import ROOT

FORMS = ("a GGUF file", "a folder of safetensors")
"""The forms in which each family is tested."""
GGUF_ONLY = ("gpt-oss",)
"""Families that are read only from GGUF files."""
README = ROOT / "README.md"
_MARKED = re.compile(r"(?<=<!-- verified -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table() -> str:
    """The text between the marks: the cases of test_families.py, the types of GGMLType."""
    rows: dict[str, list[str]] = {}
    for family, tiny in FAMILIES.items():
        rows.setdefault(gguf.MODEL_ARCH_NAMES[tiny.arch], []).append(family)
    lines = [
        "| architecture in the file | families |",
        "| --- | --- |",
        *(f"| `{name}` | {', '.join(families)} |" for name, families in rows.items()),
        "",
        f"Each family is verified as {' and as '.join(FORMS)}.",
        f"Exception: {', '.join(GGUF_ONLY)} only as {FORMS[0]}.",
        "",
        f"Weight types of GGUF files: {', '.join(kind.name for kind in GGMLType)}.",
        f"Weight types of safetensors: {', '.join(TYPES)}; 4-bit AWQ and GPTQ.",
    ]
    return "\n".join(lines) + "\n"


def written() -> str:
    """The text that is there now."""
    found = _MARKED.search(README.read_text())
    return found.group() if found else ""


if __name__ == "__main__":
    README.write_text(_MARKED.sub(lambda _: table(), README.read_text()))
