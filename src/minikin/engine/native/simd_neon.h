// Sixteen floats in four registers of NEON, for 64-bit ARM with dot products of bytes.
//
// A row of integers consists of all high bytes, then all low bytes, for SDOT:
// integer = 256 * high + low, both signed.

#ifndef SIMD_SET_H
#define SIMD_SET_H

#include <arm_neon.h>

#include "basics.h"

typedef struct {
    float32x4_t at[4];
} floats;

// Floats whose part i, of four, is the value.
#define EACH(value) \
    ({ \
        floats each; \
        _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) each.at[i] = (value); \
        each; \
    })

static inline void relax(void) { __asm__ volatile("isb" ::: "memory"); }  // yield does nothing on many

static inline floats v_all(float x) { return EACH(vdupq_n_f32(x)); }
static inline floats v_load(const float *x) { return EACH(vld1q_f32(x + 4 * i)); }
static inline void v_store(float *out, floats x) {
    for (int i = 0; i < 4; i++) vst1q_f32(out + 4 * i, x.at[i]);
}
static inline floats v_add(floats a, floats b) { return EACH(vaddq_f32(a.at[i], b.at[i])); }
static inline floats v_sub(floats a, floats b) { return EACH(vsubq_f32(a.at[i], b.at[i])); }
static inline floats v_mul(floats a, floats b) { return EACH(vmulq_f32(a.at[i], b.at[i])); }

// (FMAX would give NaN if a is NaN.)
static inline floats v_max(floats a, floats b) {
    return EACH(vbslq_f32(vcgtq_f32(a.at[i], b.at[i]), a.at[i], b.at[i]));
}

static inline floats v_min(floats a, floats b) {
    return EACH(vbslq_f32(vcltq_f32(a.at[i], b.at[i]), a.at[i], b.at[i]));
}

static inline floats v_abs(floats x) { return EACH(vabsq_f32(x.at[i])); }
static inline floats v_round(floats x) { return EACH(vrndnq_f32(x.at[i])); }

static inline floats v_mul_add(floats a, floats b, floats c) {
    return EACH(vfmaq_f32(c.at[i], a.at[i], b.at[i]));
}

static inline floats v_mul_sub(floats a, floats b, floats c) {
    return EACH(vfmaq_f32(vnegq_f32(c.at[i]), a.at[i], b.at[i]));
}

static inline floats v_sub_mul(floats c, floats a, floats b) {
    return EACH(vfmsq_f32(c.at[i], a.at[i], b.at[i]));
}

static inline float v_sum(floats x) {
    return vaddvq_f32(vaddq_f32(vaddq_f32(x.at[0], x.at[1]), vaddq_f32(x.at[2], x.at[3])));
}

static inline float v_most(floats x) {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.at[0], x.at[1]), vmaxq_f32(x.at[2], x.at[3])));
}

// An estimate of 8 bits, and one step of Newton's.
static inline floats v_about_inverse(floats x) {
    return EACH(vmulq_f32(vrecpeq_f32(x.at[i]), vrecpsq_f32(x.at[i], vrecpeq_f32(x.at[i]))));
}

static inline floats v_scale(floats x, floats n) {
    return EACH(vmulq_f32(
        x.at[i], vreinterpretq_f32_s32(
                     vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.at[i]), vdupq_n_s32(127)), 23))));
}

// Bit i of the result: whether lane i of the four masks is set.
static inline uint32_t mask_bits(const uint32x4_t mask[4]) {
    const uint8x16_t place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint16x8_t low = vcombine_u16(vmovn_u32(mask[0]), vmovn_u32(mask[1]));
    const uint16x8_t high = vcombine_u16(vmovn_u32(mask[2]), vmovn_u32(mask[3]));
    const uint8x16_t bits = vandq_u8(vcombine_u8(vmovn_u16(low), vmovn_u16(high)), place);
    return vaddv_u8(vget_low_u8(bits)) | (uint32_t)vaddv_u8(vget_high_u8(bits)) << 8;
}

#define MASKED(name, comparison) \
    static inline uint32_t name(floats a, floats b) { \
        uint32x4_t mask[4]; \
        for (int i = 0; i < 4; i++) mask[i] = comparison(a.at[i], b.at[i]); \
        return mask_bits(mask); \
    }

MASKED(v_equal, vceqq_f32)
MASKED(v_above, vcgtq_f32)

static inline uint32_t v_nan(floats x) { return ~v_equal(x, x) & 0xffff; }

static inline floats v_where_above(floats x, float limit, floats kept) {
    return EACH(vreinterpretq_f32_u32(vandq_u32(
        vcgtq_f32(x.at[i], vdupq_n_f32(limit)), vreinterpretq_u32_f32(kept.at[i]))));
}

static inline floats v_first(int64_t count, floats x, floats rest) {
    const int32x4_t lane = {0, 1, 2, 3};
    const int32_t bound = (int32_t)larger(0, smaller(count, 16));
    return EACH(vbslq_f32(vcltq_s32(lane, vdupq_n_s32(bound - 4 * i)), x.at[i], rest.at[i]));
}

static inline floats v_load_first(int64_t count, const float *x, floats rest) {
    if (count >= 16) return v_load(x);
    if (count > 0) memcpy(&rest, x, count * sizeof *x);
    return rest;
}

static inline floats v_load_half(const void *x) {
    const uint16_t *halves = x;
    return EACH(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves + 4 * i))));
}

// The nearest bf16, ties to even, in the high half of each lane. NaN stays NaN.
static inline uint32x4_t bf16_of(float32x4_t x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    return vbslq_u32(vceqq_f32(x, x), rounded, vdupq_n_u32(0x7fc00000));
}

static inline void v_store_bf16(uint16_t *out, floats x) {
    for (int i = 0; i < 4; i++) vst1_u16(out + 4 * i, vshrn_n_u32(bf16_of(x.at[i]), 16));
}

static inline floats v_firsts(const void *pairs) {
    const uint32_t *at = pairs;
    return EACH(vreinterpretq_f32_u32(vshlq_n_u32(vld1q_u32(at + 4 * i), 16)));
}

static inline floats v_seconds(const void *pairs) {
    const uint32_t *at = pairs;
    return EACH(vreinterpretq_f32_u32(vandq_u32(vld1q_u32(at + 4 * i), vdupq_n_u32(0xffff0000))));
}

static inline void read_group(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, float *out) {
    const int8_t *from = (const int8_t *)(x->integers + row * groups * GROUP) + group * GROUP;
    const float step = x->steps[row * groups + group];
    for (int i = 0; i < GROUP; i += 8) {
        const int16x8_t high = vshll_n_s8(vld1_s8(from + i), 8);
        const int16x8_t whole = vaddw_s8(high, vld1_s8(from + groups * GROUP + i));
        vst1q_f32(out + i, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(whole))), step));
        vst1q_f32(out + i + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(whole))), step));
    }
}

static inline int32_t write_integers(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, floats a, floats b,
    float inverse) {
    const floats scaled[2] = {v_mul(a, v_all(inverse)), v_mul(b, v_all(inverse))};
    int8_t *out = (int8_t *)(x->integers + row * groups * GROUP) + group * GROUP;
    int32_t sum = 0;
    for (int i = 0; i < 4; i++) {
        const float32x4_t *eight = scaled[i / 2].at + 2 * (i % 2);
        const int16x8_t whole = vcombine_s16(
            vmovn_s32(vcvtnq_s32_f32(eight[0])), vmovn_s32(vcvtnq_s32_f32(eight[1])));
        // high = (whole + 128) >> 8, so that low = whole - 256 * high fits a signed byte.
        const int8x8_t high = vshrn_n_s16(vaddq_s16(whole, vdupq_n_s16(128)), 8);
        vst1_s8(out + 8 * i, high);
        vst1_s8(out + groups * GROUP + 8 * i, vmovn_s16(vsubq_s16(whole, vshll_n_s8(high, 8))));
        sum += vaddlvq_s16(whole);
    }
    return sum;
}

// SDOT multiplies four bytes: inputs 0 to 3 in low halves, 4 to 7 in high ones.
static inline int first_bit(int i, int bits) { return bits == 8 ? 8 * i : 8 * (i % 4) + 4 * (i / 4); }

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#include "add_product_bfmmla.h"
#else
#include "add_product_neon.h"
#endif

#endif
