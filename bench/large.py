"""A model of 7B's shape with random weights, beside llama.cpp's server: `make bench-large`.

Prints how long each takes to load the same Q4_0 file, its memory, and tokens a second.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from rich.console import Console
from rich.table import Table

from bench.client import ask
from bench.peers import PEERS, Models, Server, running
from minikin.model_file.gguf import GGUFFile

LAYERS, HIDDEN, HEADS, FEED_FORWARD = 32, 4096, 32, 11008
TOKENS = 32


def write_7b(path: Path, tokenizer: Path, layers: int = LAYERS) -> None:
    """Write a Llama of 7B's shape with the tokenizer of another file; 3.8 GB for all layers.

    Every matrix repeats one random megabyte: what its weights are costs no time.
    """
    source = GGUFFile.open(tokenizer).metadata
    writer = GGUFWriter(str(path), "llama", use_temp_file=False)
    writer.add_block_count(layers)
    writer.add_context_length(4096)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model(source["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(source["tokenizer.ggml.pre"])
    writer.add_token_list(list(source["tokenizer.ggml.tokens"]))
    writer.add_token_types([int(kind) for kind in source["tokenizer.ggml.token_type"]])
    writer.add_token_merges(list(source["tokenizer.ggml.merges"]))
    writer.add_bos_token_id(int(source["tokenizer.ggml.bos_token_id"]))
    writer.add_eos_token_id(int(source["tokenizer.ggml.eos_token_id"]))
    writer.add_chat_template(source["tokenizer.chat_template"])
    vocabulary = len(source["tokenizer.ggml.tokens"])
    shapes = {"token_embd.weight": (vocabulary, HIDDEN), "output.weight": (vocabulary, HIDDEN)}
    norms = ["output_norm.weight"]
    for i in range(layers):
        norms += (f"blk.{i}.attn_norm.weight", f"blk.{i}.ffn_norm.weight")
        shapes |= {
            f"blk.{i}.attn_{part}.weight": (HIDDEN, HIDDEN) for part in ("q", "k", "v", "output")
        }
        shapes |= {f"blk.{i}.ffn_{part}.weight": (FEED_FORWARD, HIDDEN) for part in ("gate", "up")}
        shapes[f"blk.{i}.ffn_down.weight"] = (HIDDEN, FEED_FORWARD)
    for name in norms:
        writer.add_tensor(name, np.ones(HIDDEN, np.float32))
    for name, shape in shapes.items():
        writer.add_tensor(name, _random_q4_0(shape), raw_dtype=GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _random_q4_0(shape: tuple[int, int]) -> np.ndarray:
    """[rows, bytes a row]: blocks of a scale and 16 bytes of levels."""
    chance = np.random.default_rng(len(shape) + shape[0])
    blocks = chance.integers(0, 256, (58_000, 18), dtype=np.uint8)
    blocks[:, :2] = np.full(len(blocks), 0.02 / 8, np.float16).view(np.uint8).reshape(-1, 2)
    count = shape[0] * shape[1] // 32
    return np.resize(blocks, (count, 18)).reshape(shape[0], -1)


async def rate(server: Server) -> float:
    """Tokens a second of a single stream."""
    await ask(server.url, "Hello", 2)
    return (await ask(server.url, "Tell me a story.", TOKENS, temperature=1)).rate


def main() -> None:
    """Write the file, measure both servers, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", type=Path, help="a GGUF file whose tokenizer to take")
    table = Table("server", "ready after, s", "memory, GiB", "tokens/s")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "random-7b-q4_0.gguf")
        write_7b(file, parser.parse_args().tokenizer)
        for name in ("minikin", "xllamacpp"):
            PEERS[name].prepare()
            with running(
                PEERS[name], Models(file, file, 4096), Path(folder, f"{name}.log")
            ) as server:
                found = asyncio.run(rate(server))
                memory = server.memory_mib() / 1024
                row = (server.ready_seconds, memory, found)
                table.add_row(name, *(f"{value:.2f}" for value in row))
    Console().print(table)


if __name__ == "__main__":
    main()
