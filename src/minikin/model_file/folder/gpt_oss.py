"""The experts of gpt-oss: one tensor for all of a layer, published in MXFP4.

`gate_up_proj` has the rows of gates and of ups in turn. In MXFP4, 32 inputs have 16 bytes in
`_blocks`, the earlier input in the lower half of a byte, and an exponent in `_scales`. GGUF's
blocks have the first 16 inputs in the lower halves. Dense matrices are [inputs, outputs].
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import LAYOUTS
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.shard import Dtype, Shard, Stored, misshapen
from minikin.model_file.gguf import GGMLType

_NAME = re.compile(
    r"model\.layers\.(0|[1-9][0-9]{0,3})\.mlp\.experts\.(gate_up_proj|down_proj)"
    r"(_blocks|_scales|_bias|)"
)
_PARTS = {
    "gate_up_proj": {"ffn_gate_exps": slice(0, None, 2), "ffn_up_exps": slice(1, None, 2)},
    "down_proj": {"ffn_down_exps": slice(None)},
}
_ITEMS = {GGMLType.F32: "<u4", GGMLType.F16: "<u2", GGMLType.BF16: "<u2"}

Home = tuple[Shard, str]
"""A file, and the name of a tensor in it."""
Made = tuple[str, tuple[int, ...], GGMLType, Callable[[], np.ndarray]]
"""GGUF's name, shape and type, and what reads the packed bytes."""


def is_mxfp4(fields: ConfigFields) -> bool:
    """Whether config.json says that the experts are in MXFP4. Raises ModelFileError."""
    stated = fields.part("quantization_config")
    return stated is not None and stated.text("quant_method", "") == "mxfp4"


def is_of_experts(name: str) -> bool:
    """Whether this tensor belongs to the experts."""
    return _NAME.fullmatch(name) is not None


def expert_tensors(homes: Mapping[str, Home], types: Mapping[Dtype, GGMLType]) -> Iterator[Made]:
    """The tensors of all experts. `types` are those that are not quantized.

    Raises ModelFileError for one that is misshapen or has no partner.
    """
    for name in homes:
        if not (match := _NAME.fullmatch(name)) or match[3] == "_scales":
            continue
        ending = "bias" if match[3] == "_bias" else "weight"
        for part, rows in _PARTS[match[2]].items():
            own = f"blk.{match[1]}.{part}.{ending}"
            if match[3] == "_blocks":
                yield own, *_quantized(homes, name, rows)
            else:
                yield own, *_plain(homes[name], types, rows, name)


def _quantized(
    homes: Mapping[str, Home], name: str, rows: slice
) -> tuple[tuple[int, ...], GGMLType, Callable[[], np.ndarray]]:
    partner = f"{name.removesuffix('_blocks')}_scales"
    if partner not in homes:
        raise ModelFileError(f"The tensor {name[:64]!a} has no scales.")
    blocks, scales = homes[name], homes[partner]
    stored, exponents = _stored(blocks), _stored(scales)
    shape = stored.shape
    fits = len(shape) == 4 and shape[3] == 16 and 0 not in shape and exponents.shape == shape[:3]
    if not fits or stored.dtype != "U8" or exponents.dtype != "U8":
        raise misshapen(name)

    def read() -> np.ndarray:
        packed = blocks[0].tensor(blocks[1]).reshape(shape)[:, rows]
        pairs = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:3], 32)
        made = np.empty(packed.shape[:3], LAYOUTS[GGMLType.MXFP4])
        made["e"] = scales[0].tensor(scales[1]).reshape(shape[:3])[:, rows]
        made["q"] = pairs[..., :16] | pairs[..., 16:] << 4
        return made.view(np.uint8).reshape(-1)

    count = len(range(shape[1])[rows])
    return (shape[0], count, 32 * shape[2]), GGMLType.MXFP4, read


def _plain(
    home: Home, types: Mapping[Dtype, GGMLType], rows: slice, name: str
) -> tuple[tuple[int, ...], GGMLType, Callable[[], np.ndarray]]:
    """A dense matrix of each expert, or a bias."""
    stored = _stored(home)
    shape = stored.shape
    if stored.dtype not in types or len(shape) not in (2, 3) or 0 in shape:
        raise misshapen(name)
    kind = types[stored.dtype]

    def read() -> np.ndarray:
        values = home[0].tensor(home[1]).view(_ITEMS[kind]).reshape(shape)
        chosen = (values.swapaxes(1, 2) if len(shape) == 3 else values)[:, rows]
        return np.ascontiguousarray(chosen).reshape(-1).view(np.uint8)

    count = len(range(shape[-1])[rows])
    return (shape[0], count, *shape[1:-1]), kind, read


def _stored(home: Home) -> Stored:
    return home[0].tensors[home[1]]
