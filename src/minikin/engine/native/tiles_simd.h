// Products of bf16 tiles without a tile unit: row by row, sixteen floats at a time.

#ifndef TILES_SET_H
#define TILES_SET_H

#include "simd.h"

// Whether the system allows this process to use the tile registers.
static inline int tiles_are_allowed(void) { return 1; }

// Around all uses of tiles.
static inline void begin_tiles(void) {}
static inline void end_tiles(void) {}

// sums[2 i + p] = rows 16 i to 16 i + 15 of x times panel p, for i below `blocks` (1 or 2).
static inline void multiply_panels(
    const uint16_t *left, const uint16_t *right, const uint16_t *x, int64_t groups, int blocks,
    float (*sums)[256]) {
    const uint16_t *second = x + groups * TILE_VALUES;
    memset(sums, 0, 4 * sizeof *sums);
    for (int i = 0; i < blocks; i++)
        for (int64_t g = 0; g < groups; g++) {
            const uint16_t *a = (i ? second : x) + g * TILE_VALUES;
            add_product(sums[2 * i], 16, a, GROUP, left + g * TILE_VALUES, 32, TILE);
            add_product(sums[2 * i + 1], 16, a, GROUP, right + g * TILE_VALUES, 32, TILE);
        }
}

// scores[16][SPAN], columns `at` to at + 63 = queries [dim / 32][16][32] times four tiles of keys.
static inline void score_keys(
    const uint16_t *queries, const uint16_t *const *keys, float *scores, int64_t dim, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) memset(scores + r * SPAN, 0, 256);
    for (int i = 0; i < 4; i++)
        for (int64_t j = 0; j < dim / GROUP; j++)
            add_product(
                scores + 16 * i, SPAN, queries + j * TILE_VALUES, GROUP,
                keys[i] + j * 16 * BLOCK * 2, BLOCK * 2, rows);
}

// sums[16][dim], columns d to d + 31 += weights [16][SPAN] times `count` blocks of values.
static inline void weigh_values(
    const uint16_t *weights, const uint16_t *const *values, int64_t count, float *sums, int64_t d,
    int64_t dim, int64_t rows) {
    for (int64_t b = 0; b < count; b++)
        for (int i = 0; i < 32; i += 16)
            add_product(
                sums + d + i, dim, weights + b * BLOCK, SPAN, values[b] + 2 * (d + i), 2 * dim, rows);
}

#endif
