// Sixteen floats in two registers of AVX2, with FMA and F16C.

#ifndef SIMD_SET_H
#define SIMD_SET_H

#include <immintrin.h>

#include "basics.h"

typedef struct {
    __m256 low, high;
} floats;

static inline void relax(void) { _mm_pause(); }

#define BOTH(expression_low, expression_high) ((floats){expression_low, expression_high})
#define PAIRED(name, operation) \
    static inline floats name(floats a, floats b) { \
        return BOTH(operation(a.low, b.low), operation(a.high, b.high)); \
    }
#define FUSED(name, operation) \
    static inline floats name(floats a, floats b, floats c) { \
        return BOTH(operation(a.low, b.low, c.low), operation(a.high, b.high, c.high)); \
    }

static inline floats v_all(float x) { return BOTH(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
static inline floats v_load(const float *x) { return BOTH(_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)); }
static inline void v_store(float *out, floats x) {
    _mm256_storeu_ps(out, x.low);
    _mm256_storeu_ps(out + 8, x.high);
}
PAIRED(v_add, _mm256_add_ps)
PAIRED(v_sub, _mm256_sub_ps)
PAIRED(v_mul, _mm256_mul_ps)
PAIRED(v_max, _mm256_max_ps)
PAIRED(v_min, _mm256_min_ps)
FUSED(v_mul_add, _mm256_fmadd_ps)
FUSED(v_mul_sub, _mm256_fmsub_ps)
static inline floats v_sub_mul(floats c, floats a, floats b) {
    return BOTH(_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high));
}

static inline floats v_abs(floats x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return BOTH(_mm256_andnot_ps(sign, x.low), _mm256_andnot_ps(sign, x.high));
}

static inline floats v_round(floats x) {
    enum { MODE = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    return BOTH(_mm256_round_ps(x.low, MODE), _mm256_round_ps(x.high, MODE));
}

static inline float v_sum(floats x) {
    const __m256 eight = _mm256_add_ps(x.low, x.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

static inline float v_most(floats x) {
    const __m256 eight = _mm256_max_ps(x.low, x.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static inline floats v_about_inverse(floats x) { return BOTH(_mm256_rcp_ps(x.low), _mm256_rcp_ps(x.high)); }

static inline __m256 power_of_whole(__m256 n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

static inline floats v_scale(floats x, floats n) {
    return v_mul(x, BOTH(power_of_whole(n.low), power_of_whole(n.high)));
}

static inline uint32_t v_equal(floats a, floats b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ)) |
           _mm256_movemask_ps(_mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ)) << 8;
}

static inline uint32_t v_above(floats a, floats b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ)) |
           _mm256_movemask_ps(_mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ)) << 8;
}

static inline uint32_t v_nan(floats x) {
    return _mm256_movemask_ps(_mm256_cmp_ps(x.low, x.low, _CMP_UNORD_Q)) |
           _mm256_movemask_ps(_mm256_cmp_ps(x.high, x.high, _CMP_UNORD_Q)) << 8;
}

static inline floats v_where_above(floats x, float limit, floats kept) {
    const __m256 bound = _mm256_set1_ps(limit);
    return BOTH(
        _mm256_and_ps(_mm256_cmp_ps(x.low, bound, _CMP_GT_OQ), kept.low),
        _mm256_and_ps(_mm256_cmp_ps(x.high, bound, _CMP_GT_OQ), kept.high));
}

// All bits of the lanes `from` to below `count`, as lanes that start at 0.
static inline __m256i lanes_below(int64_t count, int from) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int32_t bound = count < 0 ? 0 : count > 16 ? 16 : (int32_t)count;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(bound - from), lane);
}

static inline floats v_first(int64_t count, floats x, floats rest) {
    return BOTH(
        _mm256_blendv_ps(rest.low, x.low, _mm256_castsi256_ps(lanes_below(count, 0))),
        _mm256_blendv_ps(rest.high, x.high, _mm256_castsi256_ps(lanes_below(count, 8))));
}

static inline floats v_load_first(int64_t count, const float *x, floats rest) {
    if (count >= 16) return v_load(x);
    const floats found = BOTH(
        _mm256_maskload_ps(x, lanes_below(count, 0)),
        _mm256_maskload_ps(x + 8, lanes_below(count, 8)));
    return v_first(count, found, rest);
}

static inline floats v_load_half(const void *x) {
    const __m128i *halves = x;
    return BOTH(
        _mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1)));
}

// The nearest bf16, ties to even, in the low half of each lane. NaN stays NaN.
static inline __m256i bf16_of(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), nan);
}

static inline void v_store_bf16(uint16_t *out, floats x) {
    const __m256i mixed = _mm256_packus_epi32(bf16_of(x.low), bf16_of(x.high));
    _mm256_storeu_si256((__m256i *)out, _mm256_permute4x64_epi64(mixed, 0xd8));
}

static inline __m256 first_of(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }

static inline __m256 second_of(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(0xffff0000)));
}

static inline floats v_firsts(const void *pairs) {
    const __m256i *at = pairs;
    return BOTH(first_of(_mm256_loadu_si256(at)), first_of(_mm256_loadu_si256(at + 1)));
}

static inline floats v_seconds(const void *pairs) {
    const __m256i *at = pairs;
    return BOTH(second_of(_mm256_loadu_si256(at)), second_of(_mm256_loadu_si256(at + 1)));
}

static inline void read_group(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, float *out) {
    const __m128i *from = (const __m128i *)(x->integers + (row * groups + group) * GROUP);
    const __m256 step = _mm256_set1_ps(x->steps[row * groups + group]);
    for (int i = 0; i < GROUP / 8; i++) {
        const __m256i eight = _mm256_cvtepi16_epi32(_mm_loadu_si128(from + i));
        _mm256_storeu_ps(out + 8 * i, _mm256_mul_ps(_mm256_cvtepi32_ps(eight), step));
    }
}

static inline __m256i sixteen_integers(floats x, float inverse) {
    const floats scaled = v_mul(x, v_all(inverse));
    const __m256i mixed =
        _mm256_packs_epi32(_mm256_cvtps_epi32(scaled.low), _mm256_cvtps_epi32(scaled.high));
    return _mm256_permute4x64_epi64(mixed, 0xd8);
}

static inline int32_t write_integers(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, floats a, floats b,
    float inverse) {
    const __m256i left = sixteen_integers(a, inverse), right = sixteen_integers(b, inverse);
    __m256i *out = (__m256i *)(x->integers + (row * groups + group) * GROUP);
    _mm256_storeu_si256(out, left);
    _mm256_storeu_si256(out + 1, right);
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i eight =
        _mm256_add_epi32(_mm256_madd_epi16(left, ones), _mm256_madd_epi16(right, ones));
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

// VPMADDWD multiplies two words: inputs 0 and 1, then 2 and 3, and so on.
static inline int first_bit(int i, int bits) { return 16 * (i % 2) + bits * (i / 2); }

enum { TOGETHER = 4 };  // rows whose sums stay in registers

static inline __attribute__((always_inline)) void add_some_rows(
    float *c, int64_t c_stride, const uint16_t *a, int64_t a_stride, const uint16_t *b,
    int64_t b_stride, const int rows) {
    floats sum[TOGETHER];
    for (int r = 0; r < rows; r++) sum[r] = v_load(c + r * c_stride);
    for (int p = 0; p < 16; p++) {
        const floats first = v_firsts(b + p * b_stride), second = v_seconds(b + p * b_stride);
        for (int r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, a + r * a_stride + 2 * p, 4);
            const __m256i both = _mm256_set1_epi32(pair);
            sum[r] = v_mul_add(first, BOTH(first_of(both), first_of(both)), sum[r]);
            sum[r] = v_mul_add(second, BOTH(second_of(both), second_of(both)), sum[r]);
        }
    }
    for (int r = 0; r < rows; r++) v_store(c + r * c_stride, sum[r]);
}

#include "add_rows.h"

#endif
