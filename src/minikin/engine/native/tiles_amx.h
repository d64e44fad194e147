// The functions of `tiles_simd.h` on the tile unit of AMX.

#ifndef TILES_SET_H
#define TILES_SET_H

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basics.h"

static inline int tiles_are_allowed(void) { return !syscall(SYS_arch_prctl, 0x1023, 18); }

// All tiles are full: an extra row costs nothing and is not stored.
static inline void begin_tiles(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t columns[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) config.rows[i] = TILE, config.columns[i] = 64;
    _tile_loadconfig(&config);
}

static inline void end_tiles(void) { _tile_release(); }

static inline void multiply_panels(
    const uint16_t *left, const uint16_t *right, const uint16_t *x, int64_t groups, int blocks,
    float (*sums)[256]) {
    const uint16_t *second = x + groups * TILE_VALUES;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t g = 0; g < groups; g++) {
        _tile_loadd(4, x + g * TILE_VALUES, 64);
        _tile_loadd(6, left + g * TILE_VALUES, 64);
        _tile_loadd(7, right + g * TILE_VALUES, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (blocks == 2) {
            _tile_loadd(5, second + g * TILE_VALUES, 64);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums[0], 64);
    _tile_stored(1, sums[1], 64);
    _tile_stored(2, sums[2], 64);
    _tile_stored(3, sums[3], 64);
}

static inline void score_keys(
    const uint16_t *queries, const uint16_t *const *keys, float *scores, int64_t dim, int64_t rows) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t j = 0; j < dim / GROUP; j++) {
        const int64_t at = j * 16 * BLOCK * 2;
        _tile_loadd(4, queries + j * TILE_VALUES, 64);
        _tile_loadd(5, keys[0] + at, BLOCK * 4);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, keys[1] + at, BLOCK * 4);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, keys[2] + at, BLOCK * 4);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, keys[3] + at, BLOCK * 4);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(0, scores, SPAN * 4);
    _tile_stored(1, scores + 16, SPAN * 4);
    _tile_stored(2, scores + 32, SPAN * 4);
    _tile_stored(3, scores + 48, SPAN * 4);
}

static inline void weigh_values(
    const uint16_t *weights, const uint16_t *const *values, int64_t count, float *sums, int64_t d,
    int64_t dim, int64_t rows) {
    _tile_loadd(0, sums + d, dim * 4);
    _tile_loadd(1, sums + d + 16, dim * 4);
    for (int64_t b = 0; b < count; b++) {
        _tile_loadd(4, weights + b * BLOCK, SPAN * 2);
        _tile_loadd(5, values[b] + 2 * d, dim * 4);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, values[b] + 2 * d + 32, dim * 4);
        _tile_dpbf16ps(1, 4, 6);
    }
    _tile_stored(0, sums + d, dim * 4);
    _tile_stored(1, sums + d + 16, dim * 4);
}

#endif
