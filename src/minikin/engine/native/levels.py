"""The bits of the levels of each quantized type in the kernels. This loads without torch."""

from __future__ import annotations

from minikin.model_file.gguf import GGMLType

LEVEL_BITS = {
    GGMLType.Q4_0: 4,
    GGMLType.Q4_1: 4,
    GGMLType.Q4_K: 4,
    GGMLType.Q5_0: 8,
    GGMLType.Q5_1: 8,
    GGMLType.Q5_K: 8,
    GGMLType.Q8_0: 8,
    GGMLType.Q2_K: 8,
    GGMLType.Q3_K: 8,
    GGMLType.Q6_K: 8,
    GGMLType.MXFP4: 8,
}
