// Products of bf16 tiles by BFMMLA, which multiplies two rows of four inputs by two outputs.

#ifndef ADD_PRODUCT_H
#define ADD_PRODUCT_H

#include "simd_neon.h"

// Four rows; the pointers of those that don't exist repeat one that does, and `rows` of them are stored.
static inline void add_four_rows(
    float *const *c, const uint16_t *const *a, const uint16_t *b, int64_t b_stride, int64_t rows) {
    float32x4_t sum[2][8];  // two rows times two outputs
    for (int r = 0; r < 2; r++)
        for (int n = 0; n < 8; n++)
            sum[r][n] = vcombine_f32(vld1_f32(c[2 * r] + 2 * n), vld1_f32(c[2 * r + 1] + 2 * n));
    for (int p = 0; p < 16; p += 2, b += 2 * b_stride) {
        bfloat16x8_t x[2];
        for (int r = 0; r < 2; r++)
            x[r] = vreinterpretq_bf16_u16(
                vcombine_u16(vld1_u16(a[2 * r] + 2 * p), vld1_u16(a[2 * r + 1] + 2 * p)));
        for (int n = 0; n < 8; n += 2) {
            const uint32x4_t first = vreinterpretq_u32_u16(vld1q_u16(b + 4 * n));
            const uint32x4_t second = vreinterpretq_u32_u16(vld1q_u16(b + b_stride + 4 * n));
            const bfloat16x8_t left = vreinterpretq_bf16_u32(vzip1q_u32(first, second));
            const bfloat16x8_t right = vreinterpretq_bf16_u32(vzip2q_u32(first, second));
            for (int r = 0; r < 2; r++) {
                sum[r][n] = vbfmmlaq_f32(sum[r][n], x[r], left);
                sum[r][n + 1] = vbfmmlaq_f32(sum[r][n + 1], x[r], right);
            }
        }
    }
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < 8; n++) {
            const float32x4_t two = sum[r / 2][n];
            vst1_f32(c[r] + 2 * n, r % 2 ? vget_high_f32(two) : vget_low_f32(two));
        }
}

static inline void add_product(
    float *c, int64_t c_stride, const uint16_t *a, int64_t a_stride, const uint16_t *b,
    int64_t b_stride, int64_t rows) {
    for (int64_t r = 0; r < rows; r += 4) {
        float *to[4];
        const uint16_t *from[4];
        for (int i = 0; i < 4; i++) {
            const int64_t row = smaller(r + i, rows - 1);
            to[i] = c + row * c_stride;
            from[i] = a + row * a_stride;
        }
        add_four_rows(to, from, b, b_stride, smaller(4, rows - r));
    }
}

#endif
