"""The constants that C and Python share, and the structs that Python fills (see `contract.h`)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Mapping

GROUP = 32
"""Inputs that share a scale."""
PANEL = 16
"""Outputs that are multiplied together."""
TILE = 16
"""Rows of a tile."""
BLOCK = 32
"""Tokens of a block of the cache."""
PART = 512
"""Keys that a step of few rows looks at in one piece."""
MOST_DIM = 512
"""Of a head of attention."""
MOST_KEYS = 256
"""Of a key of a memory."""
MANY_ROWS = 12
"""From this many rows on, unpacking weights for the tile unit pays (`docs/performance.md`)."""
STORE, ADD = 0, 1
"""What to do with a product."""
SILU, GELU, CLAMPED_SILU, SQUARED_RELU = 0, 1, 2, 3
"""What a gate lets pass. The last one is without a gate."""

POINTER, SIZE, FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float


class Inputs(ctypes.Structure):
    """`struct inputs`."""

    _fields_ = (
        *((name, POINTER) for name in ("tiles", "integers", "steps", "sums")),
        ("few", SIZE),
    )


class Matrix(ctypes.Structure):
    """`struct matrix`."""

    _fields_ = (
        ("cells", POINTER),
        *((name, SIZE) for name in ("outputs", "width", "bits")),
        ("bias", POINTER),
    )


class Mixture(ctypes.Structure):
    """`struct mixture`."""

    _fields_ = (
        *((name, SIZE) for name in ("count", "used", "shared", "gated", "normalized", "sigmoid")),
        *((name, SIZE) for name in ("groups", "used_groups")),
        ("scale", FLOAT),
        *((name, POINTER) for name in ("correction", "router_norm", "scales")),
        *((name, POINTER) for name in ("router", "router_bias", "gate_up", "down")),
    )


class Latent(ctypes.Structure):
    """`struct latent`."""

    _fields_ = (
        *((name, POINTER) for name in ("query_norm", "norm")),
        *((name, Matrix) for name in ("queries", "keys", "values")),
    )


class Choice(ctypes.Structure):
    """`struct choice`."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("expert", "place", "result")),
        ("share", FLOAT),
    )


class Heads(ctypes.Structure):
    """`struct heads`."""

    _fields_ = tuple(
        (name, SIZE) for name in ("count", "keys", "dim", "stored", "outputs", "gated")
    )


class Model(ctypes.Structure):
    """`struct model`."""

    _fields_ = (
        *((name, SIZE) for name in ("hidden", "activation")),
        *((name, FLOAT) for name in ("epsilon", "scale", "softcap", "plain_epsilon")),
        *((name, SIZE) for name in ("channels", "taps", "state_size")),
        *((name, SIZE) for name in ("key_heads", "value_heads", "key_dim", "value_dim", "grouped")),
        *((name, SIZE) for name in ("rank", "query_rank", "rotated")),
        *((name, SIZE) for name in ("input_size", "input_stride")),
    )


_VECTORS = (
    "attention_norm", "feed_forward_norm", "attention_post_norm", "feed_forward_post_norm",
    "query_norm", "key_norm", "value_norm", "early_cosine", "early_sine", "sinks",
)  # fmt: skip
MATRICES = ("qkv", "output", "inputs", "returned", "gate_up", "down")


class Layer(ctypes.Structure):
    """`struct layer`."""

    _fields_ = (
        *((name, POINTER) for name in _VECTORS),
        *((name, Matrix) for name in MATRICES),
        ("mixture", Mixture),
        *((name, POINTER) for name in ("mixture_norm", "dense_added_norm", "mixture_added_norm")),
        *((name, POINTER) for name in ("keys", "values", "query_cosine", "query_sine")),
        *((name, POINTER) for name in ("cosine", "sine", "convolution", "convolution_bias")),
        ("states", POINTER),
        ("rates", Matrix),
        *((name, POINTER) for name in ("fading", "offset", "output_norm", "skip")),
        ("latent", Latent),
        *((name, SIZE) for name in ("window", "wide_norms")),
        ("heads", Heads),
        ("scale", FLOAT),
        *((name, Matrix) for name in ("input_gate", "input_output")),
        ("input_norm", POINTER),
        ("input_at", SIZE),
    )


class Stretch(ctypes.Structure):
    """`struct stretch`: a row of `Batch.stretches`."""

    _fields_ = tuple((name, SIZE) for name in ("start", "stop", "source", "target"))


class Step(ctypes.Structure):
    """`struct step`."""

    _fields_ = (
        ("rows", SIZE),
        *((name, POINTER) for name in ("positions", "slots", "blocks", "starts")),
        ("few", SIZE),
        *((name, POINTER) for name in ("stretches", "chains")),
        ("spans", SIZE),
    )


class Room(ctypes.Structure):
    """`struct room`."""

    _fields_ = (
        *((name, Inputs) for name in ("normed", "attended", "gated")),
        *((name, POINTER) for name in ("qkv", "gate_up", "partial", "added", "beside", "units")),
        ("picked", Inputs),
        *((name, POINTER) for name in ("choices", "results", "rates")),
        ("latent", Inputs),
        *((name, POINTER) for name in ("compressed", "expanded", "own_inputs")),
    )


class Draw(ctypes.Structure):
    """`struct draw`."""

    _fields_ = (
        *((name, FLOAT) for name in ("temperature", "top_p", "min_p")),
        ("top_k", ctypes.c_int32),
        ("point", ctypes.c_double),
        *((name, POINTER) for name in ("tokens", "amounts")),
        ("changes", SIZE),
    )


CONSTANTS = {
    "GROUP": GROUP, "PANEL": PANEL, "TILE": TILE, "BLOCK": BLOCK, "PART": PART,
    "MOST_DIM": MOST_DIM, "MOST_KEYS": MOST_KEYS, "STORE": STORE, "ADD": ADD,
    "SILU": SILU, "GELU": GELU,
    "CLAMPED_SILU": CLAMPED_SILU, "SQUARED_RELU": SQUARED_RELU,
}  # fmt: skip
STRUCTS: dict[str, type[ctypes.Structure]] = {
    "inputs": Inputs, "matrix": Matrix, "mixture": Mixture, "latent": Latent, "choice": Choice,
    "heads": Heads, "model": Model, "layer": Layer, "stretch": Stretch, "step": Step,
    "room": Room, "draw": Draw,
}  # fmt: skip


class ContractBroken(RuntimeError):
    """C and Python disagree. One of them is wrong, and a call could crash."""


def compare(
    library: ctypes.CDLL,
    constants: Mapping[str, int] = CONSTANTS,
    structs: Mapping[str, type[ctypes.Structure]] = STRUCTS,
) -> None:
    """Raise ContractBroken with the name of the first constant, struct or field that differs."""
    ours = dict(constants) | dict(_measures(structs))
    theirs = dict(_terms(library))
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            raise ContractBroken(
                f"{_in_words(name)} is {ours.get(name)} in contract.py, "
                f"but {theirs.get(name)} in contract.h."
            )


class _Term(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("value", SIZE))


def _terms(library: ctypes.CDLL) -> Iterator[tuple[str, int]]:
    library.contract.restype = ctypes.POINTER(_Term)
    terms: Iterable[_Term] = library.contract()
    for term in terms:
        if term.name is None:
            return
        yield term.name.decode(), term.value


def _measures(structs: Mapping[str, type[ctypes.Structure]]) -> Iterator[tuple[str, int]]:
    for name, struct in structs.items():
        for field, *_ in struct._fields_:
            yield f"{name}.{field}", getattr(struct, field).offset
        yield name, ctypes.sizeof(struct)


def _in_words(name: str) -> str:
    if name.isupper():
        return f"The constant {name}"
    struct, _, field = name.partition(".")
    return f"The offset of {field} in struct {struct}" if field else f"The size of struct {struct}"
