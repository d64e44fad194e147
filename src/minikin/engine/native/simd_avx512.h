// Sixteen floats in a register of AVX-512, with VNNI and BF16.
//
// A row of integers consists of all high bytes, then all low bytes, for VPDPBUSD:
// integer = 256 * high + low, both signed.

#ifndef SIMD_SET_H
#define SIMD_SET_H

#include <immintrin.h>

#include "basics.h"

typedef __m512 floats;

static inline void relax(void) { _mm_pause(); }

static inline floats v_all(float x) { return _mm512_set1_ps(x); }
static inline floats v_load(const float *x) { return _mm512_loadu_ps(x); }
static inline void v_store(float *out, floats x) { _mm512_storeu_ps(out, x); }
static inline floats v_add(floats a, floats b) { return _mm512_add_ps(a, b); }
static inline floats v_sub(floats a, floats b) { return _mm512_sub_ps(a, b); }
static inline floats v_mul(floats a, floats b) { return _mm512_mul_ps(a, b); }
static inline floats v_max(floats a, floats b) { return _mm512_max_ps(a, b); }
static inline floats v_min(floats a, floats b) { return _mm512_min_ps(a, b); }
static inline floats v_abs(floats x) { return _mm512_abs_ps(x); }
static inline floats v_round(floats x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline floats v_mul_add(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
static inline floats v_mul_sub(floats a, floats b, floats c) { return _mm512_fmsub_ps(a, b, c); }
static inline floats v_sub_mul(floats c, floats a, floats b) { return _mm512_fnmadd_ps(a, b, c); }

static inline float v_sum(floats x) { return _mm512_reduce_add_ps(x); }
static inline float v_most(floats x) { return _mm512_reduce_max_ps(x); }

static inline floats v_about_inverse(floats x) { return _mm512_rcp14_ps(x); }

static inline floats v_scale(floats x, floats n) { return _mm512_scalef_ps(x, n); }

static inline uint32_t v_equal(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline uint32_t v_above(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline uint32_t v_nan(floats x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q); }

static inline floats v_where_above(floats x, float limit, floats kept) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, v_all(limit), _CMP_GT_OQ), kept);
}

static inline __mmask16 lanes_below(int64_t count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

static inline floats v_first(int64_t count, floats x, floats rest) {
    return _mm512_mask_mov_ps(rest, lanes_below(count), x);
}

static inline floats v_load_first(int64_t count, const float *x, floats rest) {
    return _mm512_mask_loadu_ps(rest, lanes_below(count), x);
}

static inline floats v_load_half(const void *x) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(x));
}

static inline void v_store_bf16(uint16_t *out, floats x) {
    _mm256_storeu_si256((__m256i *)out, (__m256i)_mm512_cvtneps_pbh(x));
}

static inline floats v_firsts(const void *pairs) {
    return (__m512)_mm512_slli_epi32(_mm512_loadu_si512(pairs), 16);
}

static inline floats v_seconds(const void *pairs) {
    return (__m512)_mm512_and_si512(_mm512_loadu_si512(pairs), _mm512_set1_epi32(0xffff0000));
}

#define STORES_EVERY_OTHER 1  // itself
static inline void v_store_every_other(uint16_t *out, floats x, int second) {
    const __m512i wide = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    _mm512_mask_storeu_epi16(
        out, second ? 0xaaaaaaaa : 0x55555555, second ? _mm512_slli_epi32(wide, 16) : wide);
}

static inline void read_group(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, float *out) {
    const int8_t *from = (const int8_t *)(x->integers + row * groups * GROUP) + group * GROUP;
    const floats step = v_all(x->steps[row * groups + group]);
    for (int i = 0; i < GROUP; i += 16) {
        const __m128i *high = (const __m128i *)(from + i);
        const __m128i *low = (const __m128i *)(from + groups * GROUP + i);
        const __m512i whole = _mm512_add_epi32(
            _mm512_slli_epi32(_mm512_cvtepi8_epi32(_mm_loadu_si128(high)), 8),
            _mm512_cvtepi8_epi32(_mm_loadu_si128(low)));
        v_store(out + i, v_mul(_mm512_cvtepi32_ps(whole), step));
    }
}

static inline int32_t write_integers(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, floats a, floats b,
    float inverse) {
    const __m512i whole[2] = {
        _mm512_cvtps_epi32(v_mul(a, v_all(inverse))), _mm512_cvtps_epi32(v_mul(b, v_all(inverse)))};
    int8_t *out = (int8_t *)(x->integers + row * groups * GROUP) + group * GROUP;
    for (int i = 0; i < 2; i++) {
        // high = (whole + 128) >> 8, so that low = whole - 256 * high fits a signed byte.
        __m512i high = _mm512_srai_epi32(_mm512_add_epi32(whole[i], _mm512_set1_epi32(128)), 8);
        __m512i low = _mm512_sub_epi32(whole[i], _mm512_slli_epi32(high, 8));
        _mm_storeu_si128((__m128i *)(out + 16 * i), _mm512_cvtepi32_epi8(high));
        _mm_storeu_si128((__m128i *)(out + groups * GROUP + 16 * i), _mm512_cvtepi32_epi8(low));
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(whole[0], whole[1]));
}

// VPDPBUSD multiplies four bytes: inputs 0 to 3 in low halves, 4 to 7 in high ones.
static inline int first_bit(int i, int bits) { return bits == 8 ? 8 * i : 8 * (i % 4) + 4 * (i / 4); }

static inline void add_product(
    float *c, int64_t c_stride, const uint16_t *a, int64_t a_stride, const uint16_t *b,
    int64_t b_stride, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        __m512 sum = v_load(c + r * c_stride);
        for (int p = 0; p < 16; p++) {
            int32_t pair;
            memcpy(&pair, a + r * a_stride + 2 * p, 4);
            sum = _mm512_dpbf16_ps(
                sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)_mm512_loadu_si512(b + p * b_stride));
        }
        v_store(c + r * c_stride, sum);
    }
}

#endif
