// Products on AVX2, by VPMADDWD: 16-bit inputs times levels, with exact sums over a group.

#ifndef MATMUL_SET_H
#define MATMUL_SET_H

#include "simd_avx2.h"

#include "matmul_bf16.h"

enum { TAKES_TILES = 0 };
enum { ROWS = 6 };   // per pass over a panel: their sums fill the registers
enum { UNPACKED = 16 };  // bits of a level in unpacked cells, which many rows use; their scales are floats

static inline __m256i two_at(const int16_t *x) {
    int32_t two;
    memcpy(&two, x, 4);
    return _mm256_set1_epi32(two);
}

// One panel for `rows` rows from `row` on; `bits` and `rows` are constants after inlining.
static inline __attribute__((always_inline)) void panel_rows(
    const struct matmul *m, const uint8_t *cell, int64_t panel, int64_t row, const int bits,
    const int rows) {
    const int64_t width = m->weight.width, groups = width / GROUP;
    const int64_t bytes = bits == UNPACKED ? UNPACKED * LINE + 128 : cell_bytes(bits);
    const __m256i mask = _mm256_set1_epi32(((1 << bits % UNPACKED) - 1) * 0x10001);
    const int16_t *x = m->x.integers + row * width;
    const float *steps = m->x.steps + row * groups, *sums = m->x.sums + row * groups;
    floats total[ROWS];
    for (int r = 0; r < rows; r++) total[r] = start_of(m, panel);
    for (int64_t g = 0; g < groups; g++, cell += bytes, x += GROUP) {
        if (bits != UNPACKED) ask_for(cell + AHEAD, bytes);
        // Two pointers and a stride reach all rows. By itself gcc keeps six pointers, in memory.
        const int16_t *half[2] = {x, x + 3 * width};
        int64_t stride = width;
        __asm__("" : "+r"(half[0]), "+r"(half[1]), "+r"(stride));
        __m256i low[ROWS], high[ROWS];
        for (int r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_si256();
#pragma GCC unroll 16
        for (int j = 0; j < bits; j++)
#pragma GCC unroll 4
            for (int k = 0; k < 16 / bits; k++) {
                __m256i left = _mm256_loadu_si256((const __m256i *)(cell + LINE * j));
                __m256i right = _mm256_loadu_si256((const __m256i *)(cell + LINE * j + 32));
                if (bits != UNPACKED) {
                    left = _mm256_and_si256(_mm256_srli_epi32(left, bits * k), mask);
                    right = _mm256_and_si256(_mm256_srli_epi32(right, bits * k), mask);
                }
                for (int r = 0; r < rows; r++) {
                    const __m256i two = two_at(half[r / 3] + r % 3 * stride + 2 * (16 / bits * j + k));
                    low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(left, two));
                    high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(right, two));
                    // Otherwise gcc keeps all products and adds them as a tree.
                    __asm__("" : "+x"(low[r]), "+x"(high[r]));
                }
            }
        const float *scales = (const float *)(cell + UNPACKED * LINE);
        const floats scale = bits == UNPACKED ? v_load(scales) : scale_of(cell, bits);
        const floats minimum = bits == UNPACKED ? v_load(scales + 16) : minimum_of(cell, bits);
        for (int r = 0; r < rows; r++) {
            const floats sum = {_mm256_cvtepi32_ps(low[r]), _mm256_cvtepi32_ps(high[r])};
            const floats part = v_mul(sum, v_all(steps[r * groups + g]));
            total[r] = v_mul_add(scale, part, total[r]);
            total[r] = v_mul_add(minimum, v_all(sums[r * groups + g]), total[r]);
        }
    }
    for (int r = 0; r < rows; r++)
        finish(m->out + (row + r) * m->weight.outputs + panel * PANEL, total[r], m->mode);
}

static void panel_by_rows(
    const struct matmul *m, const uint8_t *cells, int64_t panel, int64_t row, int bits, int64_t rows) {
    switch (rows + bits * ROWS) {
#define CASE(n, bits) case n + bits * ROWS: panel_rows(m, cells, panel, row, bits, n); break;
#define CASES(n) CASE(n, 4) CASE(n, 8) CASE(n, UNPACKED)
        CASES(1) CASES(2) CASES(3) CASES(4) CASES(5) CASES(6)
#undef CASE
#undef CASES
    }
}

// Unpack the cells of a panel: 16 bits per level, scales as floats.
static void unpack_panel(const struct matrix *m, const uint8_t *cell, uint8_t *out) {
    const int bits = m->bits;
    const __m256i mask = _mm256_set1_epi32(((1 << bits) - 1) * 0x10001);
    for (int64_t g = 0; g < m->width / GROUP; g++, cell += cell_bytes(bits)) {
        ask_for(cell + AHEAD, cell_bytes(bits));
        for (int half = 0; half < 2 * bits; half++) {
            const __m256i line = _mm256_loadu_si256((const __m256i *)(cell + 32 * half));
            for (int k = 0; k < 16 / bits; k++) {
                uint8_t *to = out + LINE * (half / 2 * (16 / bits) + k) + half % 2 * 32;
                _mm256_storeu_si256(
                    (__m256i *)to, _mm256_and_si256(_mm256_srli_epi32(line, bits * k), mask));
            }
        }
        v_store((float *)(out + UNPACKED * LINE), scale_of(cell, bits));
        v_store((float *)(out + UNPACKED * LINE + 64), minimum_of(cell, bits));
        out += UNPACKED * LINE + 128;
    }
}

static void matmul_chunk(const void *job, int64_t chunk) {
    const struct matmul *m = job;
    const int64_t groups = m->weight.width / GROUP, first = chunk * m->chunk_panels;
    const int64_t last = smaller(first + m->chunk_panels, m->weight.outputs / PANEL);
    if (m->weight.bits == BF16) {
        bf16_panels(m, m->rows, first, last);
        return;
    }
    const int unpacked = m->rows > 2 * ROWS;
    uint8_t room[unpacked ? groups * (UNPACKED * LINE + 128) : 1] __attribute__((aligned(64)));
    for (int64_t p = first; p < last; p++) {
        const uint8_t *cells = m->weight.cells + p * groups * cell_bytes(m->weight.bits);
        if (unpacked) unpack_panel(&m->weight, cells, room);
        for (int64_t r = 0; r < m->rows; r += ROWS)
            panel_by_rows(
                m, unpacked ? room : cells, p, r, unpacked ? UNPACKED : m->weight.bits,
                smaller(m->rows - r, ROWS));
    }
}

#endif
