// Products of bf16 tiles on NEON without instructions for bf16.

#ifndef ADD_PRODUCT_H
#define ADD_PRODUCT_H

#include "simd_neon.h"

enum { TOGETHER = 4 };  // rows whose sums stay in registers

// sum += weights x, by input `lane` of x's four. (An instruction contains the lane.)
#define ADD_INPUT(sum, weights, x, lane) \
    sum = EACH(vfmaq_laneq_f32(sum.at[i], weights.at[i], x, lane))

static inline __attribute__((always_inline)) void add_some_rows(
    float *c, int64_t c_stride, const uint16_t *a, int64_t a_stride, const uint16_t *b,
    int64_t b_stride, const int rows) {
    floats sum[TOGETHER];
    for (int r = 0; r < rows; r++) sum[r] = v_load(c + r * c_stride);
    for (int p = 0; p < 16; p += 2, b += 2 * b_stride) {
        const floats w[] = {v_firsts(b), v_seconds(b), v_firsts(b + b_stride), v_seconds(b + b_stride)};
        for (int r = 0; r < rows; r++) {
            const uint16x4_t four = vld1_u16(a + r * a_stride + 2 * p);
            const float32x4_t x = vreinterpretq_f32_u32(vshll_n_u16(four, 16));
            ADD_INPUT(sum[r], w[0], x, 0);
            ADD_INPUT(sum[r], w[1], x, 1);
            ADD_INPUT(sum[r], w[2], x, 2);
            ADD_INPUT(sum[r], w[3], x, 3);
        }
    }
    for (int r = 0; r < rows; r++) v_store(c + r * c_stride, sum[r]);
}

#include "add_rows.h"

#endif
