"""Write into README.md what the tests verify: `python -m tests.engine.model.verified`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import gguf

from minikin.chat.call_formats import (
    DEEPSEEK,
    ELEMENTS,
    FALCON,
    GEMMA,
    GLM,
    GLM_IN_LINE,
    GRANITE,
    HARMONY,
    LFM2,
    LLAMA,
    MINIMAX,
    MISTRAL,
    MISTRAL_NAMED,
    OLMO,
    PHI,
    SEED,
    TAGGED,
    TAGGED_IN_LINE,
    TOOLCALL,
    CallFormat,
)
from minikin.marks import (
    CHANNEL,
    GEMMA_THINK_BEGIN,
    MISTRAL_THINK_BEGIN,
    SEED_THINK_BEGIN,
    THINK_BEGIN,
)
from minikin.model_file.folder.tensors import TYPES
from minikin.model_file.gguf import GGMLType
from tests.engine.tiny_models import FAMILIES
from tests.real_model import ROOT

FORMS = ("a GGUF file", "a folder of safetensors")
"""The forms in which each family is tested."""
GGUF_ONLY: tuple[str, ...] = ()
"""Families that are read only from GGUF files."""
DESCRIBED = "described in the prompt"
CALLS: dict[str, tuple[CallFormat, ...]] = {
    "Llama 2": (),
    "Llama 3.1": (LLAMA,),
    "Mistral": (MISTRAL, MISTRAL_NAMED),
    "Mixtral": (),
    "Ministral 3": (MISTRAL_NAMED,),
    "Granite": (GRANITE,),
    "Granite 3 MoE": (GRANITE,),
    "Granite 4 Micro": (TAGGED,),
    "Granite 4 Hybrid": (TAGGED,),
    "Granite 4 Hybrid MoE": (TAGGED,),
    "Falcon-H1": (FALCON,),
    "Nemotron Nano 9B v2": (TOOLCALL,),
    "Nemotron 3 Nano": (ELEMENTS,),
    "SmolLM3": (TAGGED,),
    "Qwen2": (),
    "Qwen2.5 YaRN": (TAGGED,),
    "Qwen3": (TAGGED,),
    "Qwen3-VL": (TAGGED,),
    "Qwen3-MoE": (TAGGED, ELEMENTS),
    "Qwen3.5": (ELEMENTS,),
    "Qwen3.5-MoE": (ELEMENTS,),
    "Qwen3-Next": (TAGGED,),
    "Gemma 2": (),
    "Gemma 3": (),
    "Gemma 4": (GEMMA,),
    "Phi-3": (),
    "Phi-4-mini": (PHI,),
    "Seed-OSS": (SEED,),
    "OLMo 3": (OLMO,),
    "EXAONE 4": (TAGGED_IN_LINE,),
    "EXAONE 4 1.2B": (TAGGED_IN_LINE,),
    "LFM2": (LFM2,),
    "LFM2-MoE": (LFM2,),
    "GLM-4.5": (GLM,),
    "GLM-4.5-Air": (GLM,),
    "DeepSeek-V3": (DEEPSEEK,),
    "GLM-4.7-Flash": (GLM_IN_LINE,),
    "MiniMax-M2": (MINIMAX,),
    "gpt-oss": (HARMONY,),
}
"""How the published templates of a family write calls; none: the prompt describes the tools."""
THOUGHTS: dict[str, tuple[str, ...]] = {
    "Llama 3.1": (THINK_BEGIN,),
    "Mistral": (MISTRAL_THINK_BEGIN,),
    "Ministral 3": (MISTRAL_THINK_BEGIN,),
    "Nemotron Nano 9B v2": (THINK_BEGIN,),
    "Nemotron 3 Nano": (THINK_BEGIN,),
    "SmolLM3": (THINK_BEGIN,),
    "Qwen3": (THINK_BEGIN,),
    "Qwen3-VL": (THINK_BEGIN,),
    "Qwen3-MoE": (THINK_BEGIN,),
    "Qwen3.5": (THINK_BEGIN,),
    "Qwen3.5-MoE": (THINK_BEGIN,),
    "Qwen3-Next": (THINK_BEGIN,),
    "Seed-OSS": (SEED_THINK_BEGIN,),
    "Gemma 4": (GEMMA_THINK_BEGIN,),
    "Hunyuan": (THINK_BEGIN,),
    "EXAONE 4": (THINK_BEGIN,),
    "EXAONE 4 1.2B": (THINK_BEGIN,),
    "LFM2": (THINK_BEGIN,),
    "GLM-4.5": (THINK_BEGIN,),
    "GLM-4.5-Air": (THINK_BEGIN,),
    "DeepSeek-V3": (THINK_BEGIN,),
    "GLM-4.7-Flash": (THINK_BEGIN,),
    "MiniMax-M2": (THINK_BEGIN,),
    "Phi-4-mini": (THINK_BEGIN,),
    "gpt-oss": (f"{CHANNEL}analysis",),
}
"""What begins the reasoning of those models of a family that reason."""
README = ROOT / "README.md"
_MARKED = re.compile(r"(?<=<!-- verified -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table() -> str:
    """The text between the marks: the cases of test_families.py, the types of GGMLType."""
    rows: dict[str, list[str]] = {}
    for family, tiny in FAMILIES.items():
        rows.setdefault(gguf.MODEL_ARCH_NAMES[tiny.arch], []).append(family)
    lines = [
        "| architecture in the file | families | forms | tool calls | reasoning |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| `{name}` | {', '.join(families)} | {_forms(families)} | {_calls(families)} | "
            f"{_listed(mark for family in families for mark in THOUGHTS.get(family, ()))} |"
            for name, families in rows.items()
        ),
        "",
        "The chat template of a model decides on the formats of its tool calls and reasoning. The",
        "table shows those of published templates, as a call `f(a=1)` and as the first mark. If a",
        "template has none, or it is not known here, the prompt describes the tools.",
        "",
        f"Weight types of GGUF files: {', '.join(kind.name for kind in GGMLType)}.",
        f"Weight types of safetensors: {', '.join(TYPES)}; 4-bit AWQ and GPTQ; "
        "8-bit floats (fp8, compressed-tensors); MXFP4 (gpt-oss).",
    ]
    return "\n".join(lines) + "\n"


def _forms(families: list[str]) -> str:
    return "GGUF" if set(families) <= set(GGUF_ONLY) else "GGUF, folder"


def _calls(families: list[str]) -> str:
    formats = [form for family in families for form in CALLS.get(family, ())]
    example = [{"name": "f", "arguments": {"a": 1}}]
    return _listed(" ".join(form.write(example).split()) for form in formats) or DESCRIBED


def _listed(texts: Iterable[str]) -> str:
    """The texts as code, each once."""
    return ", ".join(f"`{text}`" for text in dict.fromkeys(texts)).replace("|", r"\|")


def written() -> str:
    """The text that is there now."""
    found = _MARKED.search(README.read_text())
    return found.group() if found else ""


if __name__ == "__main__":
    README.write_text(_MARKED.sub(lambda _: table(), README.read_text()))
