// Products on NEON: with few rows by dot products of bytes, or by their matrix instructions; with many by
// tiles, where the processor multiplies bf16.

#ifndef MATMUL_SET_H
#define MATMUL_SET_H

#include "simd_neon.h"

#include "product.h"

enum { ROWS = 4 };  // per pass over a panel: their sums, for eight outputs, fill the registers

// USDOT takes levels as they are. SDOT takes signed bytes: levels of 8 bits lose 128 there, and the
// minimum gains 128 scales.
#ifdef __ARM_FEATURE_MATMUL_INT8
enum { SIGNED = 0 };
#define ADD_DOT(sum, levels, x, lane) sum = vusdotq_laneq_s32(sum, levels, x, lane)
#else
enum { SIGNED = 1 };
#define ADD_DOT(sum, levels, x, lane) sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(levels), x, lane)
#endif

// The levels of inputs 4 j to 4 j + 3, of the four outputs from 4 `part` on.
static inline __attribute__((always_inline)) uint8x16_t levels_at(
    const uint8_t *cell, int part, int j, const int bits) {
    const uint8x16_t line = vld1q_u8(cell + LINE * (bits == 8 ? j : j / 2) + 16 * part);
    if (bits == 8) return SIGNED ? veorq_u8(line, vdupq_n_u8(128)) : line;
    return j % 2 ? vshrq_n_u8(line, 4) : vandq_u8(line, vdupq_n_u8(15));
}

// The integer sums of a group, for the rows of x (high bytes, and low bytes `width` after them).
static inline __attribute__((always_inline)) void sum_rows(
    const uint8_t *cell, const int8_t *x, int64_t width, const int bits, const int rows,
    int32x4_t whole[ROWS][4]) {
    for (int part = 0; part < 4; part++) {
        int32x4_t high[ROWS], low[ROWS];
        for (int r = 0; r < rows; r++) high[r] = low[r] = vdupq_n_s32(0);
        for (int j = 0; j < 8; j += 4) {
            const uint8x16_t levels[] = {
                levels_at(cell, part, j, bits), levels_at(cell, part, j + 1, bits),
                levels_at(cell, part, j + 2, bits), levels_at(cell, part, j + 3, bits)};
            for (int r = 0; r < rows; r++) {
                const int8x16_t over = vld1q_s8(x + 2 * r * width + 4 * j);
                const int8x16_t under = vld1q_s8(x + 2 * r * width + width + 4 * j);
#define ADD_FOUR(lane) \
    ADD_DOT(high[r], levels[lane], over, lane); \
    ADD_DOT(low[r], levels[lane], under, lane);
                ADD_FOUR(0) ADD_FOUR(1) ADD_FOUR(2) ADD_FOUR(3)
#undef ADD_FOUR
            }
        }
        for (int r = 0; r < rows; r++) whole[r][part] = vaddq_s32(vshlq_n_s32(high[r], 8), low[r]);
    }
}

#ifdef __ARM_FEATURE_MATMUL_INT8
// Eight inputs of two rows.
static inline int8x16_t two_rows(const int8_t *x, int64_t stride) {
    return vcombine_s8(vld1_s8(x), vld1_s8(x + stride));
}

// The same by USMMLA, which multiplies eight inputs of two outputs by two rows. (An odd row is its own
// neighbour.)
static inline __attribute__((always_inline)) void sum_pairs(
    const uint8_t *cell, const int8_t *x, int64_t width, const int bits, const int rows,
    int32x4_t whole[ROWS][4]) {
    for (int part = 0; part < 4; part++) {
        int32x4_t high[2][2], low[2][2];
        for (int i = 0; i < 4; i++) high[i / 2][i % 2] = low[i / 2][i % 2] = vdupq_n_s32(0);
        for (int j = 0; j < 8; j += 2) {
            const uint32x4_t first = vreinterpretq_u32_u8(levels_at(cell, part, j, bits));
            const uint32x4_t second = vreinterpretq_u32_u8(levels_at(cell, part, j + 1, bits));
            const uint8x16_t two[] = {
                vreinterpretq_u8_u32(vzip1q_u32(first, second)),
                vreinterpretq_u8_u32(vzip2q_u32(first, second))};
            for (int r = 0; r < rows; r += 2) {
                const int64_t next = r + 1 < rows ? 2 * width : 0;
                const int8x16_t over = two_rows(x + 2 * r * width + 4 * j, next);
                const int8x16_t under = two_rows(x + 2 * r * width + width + 4 * j, next);
                for (int i = 0; i < 2; i++) {
                    high[r / 2][i] = vusmmlaq_s32(high[r / 2][i], two[i], over);
                    low[r / 2][i] = vusmmlaq_s32(low[r / 2][i], two[i], under);
                }
            }
        }
        for (int r = 0; r < rows; r += 2) {
            int32x4_t both[2];
            for (int i = 0; i < 2; i++)
                both[i] = vaddq_s32(vshlq_n_s32(high[r / 2][i], 8), low[r / 2][i]);
            whole[r][part] = vuzp1q_s32(both[0], both[1]);
            if (r + 1 < rows) whole[r + 1][part] = vuzp2q_s32(both[0], both[1]);
        }
    }
}
#else
#define sum_pairs sum_rows
#endif

// One panel for `rows` rows from `row` on; `bits` and `rows` are constants after inlining.
static inline __attribute__((always_inline)) void panel_rows(
    const struct matmul *m, int64_t panel, int64_t row, const int bits, const int rows) {
    const int64_t width = m->weight.width, groups = width / GROUP, outputs = m->weight.outputs;
    const uint8_t *cell = m->weight.cells + panel * groups * cell_bytes(bits);
    const int8_t *x = (const int8_t *)(m->x.integers + row * width);
    const float *steps = m->x.steps + row * groups, *sums = m->x.sums + row * groups;
    floats total[ROWS];
    for (int r = 0; r < rows; r++) total[r] = start_of(m, panel);
    for (int64_t g = 0; g < groups; g++, cell += cell_bytes(bits), x += GROUP) {
        ask_for(cell + AHEAD, cell_bytes(bits));
        int32x4_t whole[ROWS][4];
        if (rows == 1)
            sum_rows(cell, x, width, bits, rows, whole);
        else
            sum_pairs(cell, x, width, bits, rows, whole);
        const floats scale = scale_of(cell, bits);
        floats minimum = minimum_of(cell, bits);
        if (SIGNED && bits == 8) minimum = v_mul_add(v_all(128), scale, minimum);
        for (int r = 0; r < rows; r++) {
            const floats sum = EACH(vcvtq_f32_s32(whole[r][i]));
            total[r] = v_mul_add(scale, v_mul(sum, v_all(steps[r * groups + g])), total[r]);
            total[r] = v_mul_add(minimum, v_all(sums[r * groups + g]), total[r]);
        }
    }
    for (int r = 0; r < rows; r++)
        finish(m->out + (row + r) * outputs + panel * PANEL, total[r], m->mode);
}

static void panel_by_rows(const struct matmul *m, int64_t panel, int64_t row, int64_t rows) {
    switch (rows + (m->weight.bits == 8) * ROWS) {
#define CASE(n) case n: panel_rows(m, panel, row, 4, n); break; \
                case n + ROWS: panel_rows(m, panel, row, 8, n); break;
        CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
    }
}

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
enum { TAKES_TILES = 1 };
#else
enum { TAKES_TILES = 0 };
#endif

// Inputs 2 `pair` and the next, of four outputs' four levels, as bf16.
static inline uint32x4_t pairs_of(
    uint32x4_t levels, int pair, float32x4_t scale, float32x4_t minimum) {
    uint32x4_t both[2];
    for (int i = 0; i < 2; i++) {
        const int32x4_t right = vdupq_n_s32(-8 * (2 * pair + i));
        const uint32x4_t level = vandq_u32(vshlq_u32(levels, right), vdupq_n_u32(255));
        both[i] = bf16_of(vfmaq_f32(minimum, scale, vcvtq_f32_u32(level)));
    }
    return vsriq_n_u32(both[1], both[0], 16);
}

// A panel as tiles, [groups][16 pairs of inputs][16 outputs][2].
static inline __attribute__((always_inline)) void unpack_bits(
    const uint8_t *cell, uint16_t *tiles, int64_t groups, const int bits) {
    for (int64_t g = 0; g < groups; g++, cell += cell_bytes(bits), tiles += TILE_VALUES) {
        const floats scale = scale_of(cell, bits);
        floats minimum = minimum_of(cell, bits);
        if (SIGNED && bits == 8) minimum = v_mul_add(v_all(128), scale, minimum);
        ask_for(cell + AHEAD, cell_bytes(bits));
        for (int j = 0; j < 8; j++)
            for (int part = 0; part < 4; part++) {
                const uint32x4_t levels = vreinterpretq_u32_u8(levels_at(cell, part, j, bits));
                for (int pair = 0; pair < 2; pair++) {
                    uint16_t *out = tiles + (2 * j + pair) * 32 + 8 * part;
                    vst1q_u16(
                        out, vreinterpretq_u16_u32(
                                 pairs_of(levels, pair, scale.at[part], minimum.at[part])));
                }
            }
    }
}

#include "matmul_tiled.h"

#endif
