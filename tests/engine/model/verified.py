"""Say in README.md what the tests verify: `python -m tests.engine.model.verified`."""

from __future__ import annotations

import re

import gguf

from minikin.model_file.folder.tensors import TYPES
from minikin.model_file.gguf import GGMLType
from tests.engine.tiny_models import FAMILIES
from tests.real_model import ROOT

FORMS = ("a GGUF file", "a folder of safetensors")
"""In which each family is tested."""
GGUF_ONLY = ("gpt-oss",)
"""Families that are read from GGUF files alone."""
README = ROOT / "README.md"
_MARKED = re.compile(r"(?<=<!-- verified -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table() -> str:
    """What stands between the marks: the cases of test_families.py, the types of GGMLType."""
    rows: dict[str, list[str]] = {}
    for family, tiny in FAMILIES.items():
        rows.setdefault(gguf.MODEL_ARCH_NAMES[tiny.arch], []).append(family)
    lines = [
        "| the file's architecture | families |",
        "| --- | --- |",
        *(f"| `{name}` | {', '.join(families)} |" for name, families in rows.items()),
        "",
        f"Each as {' and as '.join(FORMS)}, but {', '.join(GGUF_ONLY)} as {FORMS[0]} alone.",
        "",
        f"Types of GGUF files: {', '.join(kind.name for kind in GGMLType)}.",
        f"Types of safetensors: {', '.join(TYPES)}; 4-bit matrices of AWQ and GPTQ.",
    ]
    return "\n".join(lines) + "\n"


def written() -> str:
    """What stands there now."""
    found = _MARKED.search(README.read_text())
    return found.group() if found else ""


if __name__ == "__main__":
    README.write_text(_MARKED.sub(lambda _: table(), README.read_text()))
