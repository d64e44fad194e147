// The inputs of a product: rows in the form that its kernel reads.
//
// Integers: 16 bits, x = step * integer, with a step and a sum for each group of 32. The arrays are
// [rows, width], in the layout of `simd_*.h`, and [rows, width / GROUP].
// Tiles, for the tile unit or VDPBF16PS (AVX-512): bf16, 16 rows by one group,
// [rows / 16][width / GROUP][16][GROUP].

#ifndef INPUTS_H
#define INPUTS_H

#include "simd.h"

static inline uint16_t *tiled_at(const struct inputs *x, int64_t row, int64_t group, int64_t groups) {
    return x->tiles + (row / TILE * groups + group) * TILE_VALUES + row % TILE * GROUP;
}

// Write a row's group of 32 values.
static inline void write_group(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, floats a, floats b) {
    if (row >= x->few) {
        uint16_t *out = tiled_at(x, row - x->few, group, groups);
        v_store_bf16(out, a);
        v_store_bf16(out + 16, b);
        return;
    }
    const float most = v_most(v_max(v_abs(a), v_abs(b)));
    const float step = most / 32512.0f;  // 127 * 256: the high byte stays in range
    const float inverse = most > 1e-30f ? 1.0f / step : 0.0f;
    const int64_t at = row * groups + group;
    x->steps[at] = step;
    x->sums[at] = step * write_integers(x, row, group, groups, a, b, inverse);
}

#endif
