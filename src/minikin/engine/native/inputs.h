// What goes into a product: rows of inputs, in the form that the product's kernel reads.
//
// Integers: 16 bits, x = step * integer, with a step and a sum for each group of 32; arrays
// [rows, width] and [rows, width / GROUP]. VPMADDWD (AVX2) takes them as they are. For VPDPBUSD
// (AVX-512) a row has the high bytes of them all, then the low bytes: integer = 256 * high + low,
// both signed.
// Tiles, for the tile unit or VDPBF16PS (AVX-512): bf16, 16 rows by one group,
// [rows / 16][width / GROUP][16][GROUP].

enum { PANEL = 16, GROUP = 32, TILE = 16, TILE_VALUES = TILE * GROUP };

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Have some bytes brought near, which may lie anywhere: the processor by itself stops at each page.
// (Inlined always: gcc takes a call that only asks for one without effect, and drops it.)
static inline __attribute__((always_inline)) void ask_for(const void *from, int64_t bytes) {
    for (int64_t line = 0; line < bytes; line += 64)
        _mm_prefetch((const char *)from + line, _MM_HINT_T1);
}

struct inputs {
    uint16_t *tiles;
    int16_t *integers;
    float *steps, *sums;
    int64_t tiled;  // which of the two forms is filled
};

static inline uint16_t *tiled_at(const struct inputs *x, int64_t row, int64_t group, int64_t groups) {
    return x->tiles + (row / TILE * groups + group) * TILE_VALUES + row % TILE * GROUP;
}

// A row's group of 32 integers, as the values that they stand for.
#if WIDE

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

// Round 32 values to integers, times `inverse`; returns their sum.
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

#else

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

#endif

// Write a row's group of 32 values.
static inline void write_group(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, floats a, floats b) {
    if (x->tiled) {
        uint16_t *out = tiled_at(x, row, group, groups);
        v_store_bf16(out, a);
        v_store_bf16(out + 16, b);
        return;
    }
    const float most = v_most(v_max(v_abs(a), v_abs(b)));
    const float step = most / 32512.0f;  // 127 * 256: the high byte stays in range
    const float inverse = most > 1e-30f ? 1.0f / step : 0.0f;
    const int64_t at = row * groups + group;
    x->steps[at] = step;
    x->sums[at] = step * write_integers(x, row, group, groups, a, b, inverse);
}
