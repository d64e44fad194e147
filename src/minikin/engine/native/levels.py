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
    GGMLType.IQ1_S: 4,
    GGMLType.IQ1_M: 8,
    GGMLType.IQ2_XXS: 8,
    GGMLType.IQ2_XS: 8,
    GGMLType.IQ2_S: 8,
    GGMLType.IQ3_XXS: 8,
    GGMLType.IQ3_S: 8,
    GGMLType.IQ4_NL: 8,
    GGMLType.IQ4_XS: 8,
    GGMLType.TQ1_0: 4,
    GGMLType.TQ2_0: 4,
    GGMLType.MXFP4: 8,
    GGMLType.NVFP4: 8,
    GGMLType.Q1_0: 4,
}
