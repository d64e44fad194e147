// Products on AVX-512: with few rows by VPDPBUSD, with many by the tile unit or VDPBF16PS.

#ifndef MATMUL_SET_H
#define MATMUL_SET_H

#include "simd_avx512.h"

#include "product.h"

enum { TAKES_TILES = 1 };
enum { ROWS = 8 };  // per pass over a panel, without the tile unit

// Few rows, by VPDPBUSD.

static inline __m512i four_at(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
}

// One panel for `rows` rows from `row` on; `bits` and `rows` are constants after inlining.
static inline __attribute__((always_inline)) void panel_rows(
    const struct matmul *m, int64_t panel, int64_t row, const int bits, const int rows) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const int64_t width = m->weight.width, groups = width / GROUP, outputs = m->weight.outputs;
    const uint8_t *cell = m->weight.cells + panel * groups * cell_bytes(bits);
    const int8_t *x = (const int8_t *)(m->x.integers + row * width);  // high bytes, low bytes
    const float *steps = m->x.steps + row * groups, *sums = m->x.sums + row * groups;
    __m512 total[ROWS];
    for (int r = 0; r < rows; r++) total[r] = start_of(m, panel);
    for (int64_t g = 0; g < groups; g++, cell += cell_bytes(bits)) {
        ask_for(cell + AHEAD, cell_bytes(bits));
        __m512i high[ROWS], low[ROWS];
        for (int r = 0; r < rows; r++) high[r] = low[r] = _mm512_setzero_si512();
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            __m512i levels = _mm512_loadu_si512(cell + LINE * (bits == 8 ? j : j / 2));
            if (bits == 4 && j % 2) levels = _mm512_srli_epi16(levels, 4);
            if (bits == 4) levels = _mm512_and_si512(levels, nibble);
            for (int r = 0; r < rows; r++) {
                const int8_t *four = x + 2 * r * width + g * GROUP + 4 * j;
                high[r] = _mm512_dpbusd_epi32(high[r], levels, four_at(four));
                low[r] = _mm512_dpbusd_epi32(low[r], levels, four_at(four + width));
            }
        }
        const __m512 scale = scale_of(cell, bits), minimum = minimum_of(cell, bits);
        for (int r = 0; r < rows; r++) {
            const __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(high[r], 8), low[r]);
            const __m512 part =
                _mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(steps[r * groups + g]));
            total[r] = _mm512_fmadd_ps(scale, part, total[r]);
            total[r] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(sums[r * groups + g]), total[r]);
        }
    }
    for (int r = 0; r < rows; r++)
        finish(m->out + (row + r) * outputs + panel * PANEL, total[r], m->mode);
}

static void panel_by_rows(const struct matmul *m, int64_t panel, int64_t row, int64_t rows) {
    switch (rows + (m->weight.bits == 8) * ROWS) {
#define CASE(n) case n: panel_rows(m, panel, row, 4, n); break; \
                case n + ROWS: panel_rows(m, panel, row, 8, n); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#undef CASE
    }
}

// Many rows, by tiles: weights are unpacked two panels at a time.

// The weights of byte `i` of each output's four levels.
static inline __m512 weights_at(
    __m512i levels, int shift, const int bits, __m512 scale, __m512 minimum) {
    const __m512 small = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    levels = _mm512_srli_epi32(levels, shift);
    // The permutation uses only four bits of its index, so they need no mask.
    const __m512 value = bits == 4 ? _mm512_permutexvar_ps(levels, small)
                                   : _mm512_cvtepi32_ps(_mm512_and_si512(levels, _mm512_set1_epi32(255)));
    return _mm512_fmadd_ps(scale, value, minimum);
}

// A panel as tiles, [groups][16 pairs of inputs][16 outputs][2].
static inline __attribute__((always_inline)) void unpack_bits(
    const uint8_t *cell, uint16_t *tiles, int64_t groups, const int bits) {
    // Interleaves two runs of 16 outputs into 16 pairs.
    const __m512i pairs = _mm512_or_si512(
        _mm512_set1_epi32(16 << 16),
        _mm512_mullo_epi32(
            _mm512_set1_epi32(0x10001),
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
    for (int64_t g = 0; g < groups; g++, cell += cell_bytes(bits)) {
        const __m512 scale = scale_of(cell, bits), minimum = minimum_of(cell, bits);
        ask_for(cell + AHEAD, cell_bytes(bits));
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            __m512i levels = _mm512_loadu_si512(cell + LINE * (bits == 8 ? j : j / 2));
            const int half = bits == 4 && j % 2 ? 4 : 0;
#pragma GCC unroll 2
            for (int i = 0; i < 4; i += 2) {
                __m512 even = weights_at(levels, 8 * i + half, bits, scale, minimum);
                __m512 odd = weights_at(levels, 8 * i + 8 + half, bits, scale, minimum);
                __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
                _mm512_storeu_si512(
                    tiles + (g * 16 + 2 * j + i / 2) * 32, _mm512_permutexvar_epi16(pairs, both));
            }
        }
    }
}

#include "matmul_tiled.h"

#endif
