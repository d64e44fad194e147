// Sixteen floats at a time: a register of AVX-512, or two of AVX2. bf16 is uint16_t.

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#define WIDE 1
#else
#define WIDE 0
#endif

#if WIDE

typedef __m512 floats;

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

// a b + c, a b - c, c - a b.
static inline floats v_mul_add(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
static inline floats v_mul_sub(floats a, floats b, floats c) { return _mm512_fmsub_ps(a, b, c); }
static inline floats v_sub_mul(floats c, floats a, floats b) { return _mm512_fnmadd_ps(a, b, c); }

static inline float v_sum(floats x) { return _mm512_reduce_add_ps(x); }
static inline float v_most(floats x) { return _mm512_reduce_max_ps(x); }

// 1 / x to 14 bits.
static inline floats v_about_inverse(floats x) { return _mm512_rcp14_ps(x); }

// x 2^n for whole n from -126 to 127.
static inline floats v_scale(floats x, floats n) { return _mm512_scalef_ps(x, n); }

// Bit i: whether lane i is equal, or not a number.
static inline uint32_t v_equal(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline uint32_t v_nan(floats x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q); }

// The lanes of `kept` where x is above the limit; zeros elsewhere.
static inline floats v_where_above(floats x, float limit, floats kept) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, v_all(limit), _CMP_GT_OQ), kept);
}

static inline __mmask16 lanes_below(int64_t count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

// The first `count` lanes of x, or of what lies at x; elsewhere `rest`.
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

// Of 16 pairs of bf16, the first ones and the second ones.
static inline floats v_firsts(const void *pairs) {
    return (__m512)_mm512_slli_epi32(_mm512_loadu_si512(pairs), 16);
}

static inline floats v_seconds(const void *pairs) {
    return (__m512)_mm512_and_si512(_mm512_loadu_si512(pairs), _mm512_set1_epi32(0xffff0000));
}

// 16 values as bf16 into the first or the second of each two places.
static inline void v_store_every_other(uint16_t *out, floats x, int second) {
    const __m512i wide = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    _mm512_mask_storeu_epi16(
        out, second ? 0xaaaaaaaa : 0x55555555, second ? _mm512_slli_epi32(wide, 16) : wide);
}

#else

typedef struct {
    __m256 low, high;
} floats;

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

// All bits of the lanes from `from` to below `count`, seen as the lanes from 0 on.
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

// The nearest bf16, ties to even, in the low half of each lane; what is not a number stays so.
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

static inline void v_store_every_other(uint16_t *out, floats x, int second) {
    uint16_t narrow[16];
    v_store_bf16(narrow, x);
    for (int i = 0; i < 16; i++) out[2 * i + second] = narrow[i];
}

#endif

static const float LOG2_E = 1.44269504f;

// 2^x for x from -126 (below counts as -126) to 127, to 3e-6 of its value: 2^n times a polynomial.
static inline floats power_of_two(floats x) {
    x = v_max(x, v_all(-126.0f));
    const floats whole = v_round(x);
    const floats f = v_sub(x, whole);
    floats p = v_all(1.3333558e-3f);  // ln(2)^k / k!
    const float c[] = {9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f};
    for (int i = 0; i < 5; i++) p = v_mul_add(p, f, v_all(c[i]));
    return v_scale(p, whole);
}

// x / (1 + e^-y), with one step of Newton's in place of a division.
static inline floats times_sigmoid(floats x, floats y) {
    const floats power = power_of_two(v_min(v_mul(y, v_all(-LOG2_E)), v_all(126.0f)));
    const floats below = v_add(v_all(1.0f), power);
    const floats guess = v_about_inverse(below);
    const floats better = v_sub_mul(v_all(2.0f), below, guess);
    return v_mul(v_mul(x, guess), better);
}

// What a gate makes of x: SiLU, or GELU in its tanh form, x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
static inline floats activated(floats x, int64_t gelu) {
    if (!gelu) return times_sigmoid(x, x);
    const floats bent = v_mul_add(v_mul(v_mul(x, x), v_all(0.044715f)), x, x);
    return times_sigmoid(x, v_mul(bent, v_all(1.59576912f)));
}
