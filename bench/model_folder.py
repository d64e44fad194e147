"""A GGUF model as a folder that transformers and vLLM read, in bfloat16."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer

from bench.reference import reference_model
from minikin.model_file.gguf import GGUFFile


def model_folder(file: Path, folder: Path) -> Path:
    """Write the model of `file` into `folder`, if it isn't there; returns the folder."""
    if folder.exists():
        return folder
    opened = GGUFFile.open(file)
    model = reference_model(opened).to(torch.bfloat16)
    eos = opened.metadata["tokenizer.ggml.eos_token_id"]
    model.config.eos_token_id = model.generation_config.eos_token_id = eos
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        os.replace(made, folder)
        os.mkdir(made)  # what the context manager takes away
    return folder
