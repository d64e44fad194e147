// What goes into a product: rows of inputs, in the form that the product's kernel reads.
//
// For VPDPBUSD: 16-bit integers in two signed bytes, x = step * (256 * high + low), with a step and
// a sum for each group of 32; arrays [rows, width] and [rows, width / GROUP].
// For the tile unit: bf16 tiles of 16 rows by one group, [rows / 16][width / GROUP][16][GROUP].

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
    int8_t *high, *low;
    float *steps, *sums;
    int64_t tiled;  // which of the two forms is filled
};

static inline void store_bf16(uint16_t *out, __m512 values) {
    _mm256_storeu_si256((__m256i *)out, (__m256i)_mm512_cvtneps_pbh(values));
}

static inline uint16_t *tiled_at(const struct inputs *x, int64_t row, int64_t group, int64_t groups) {
    return x->tiles + (row / TILE * groups + group) * TILE_VALUES + row % TILE * GROUP;
}

// Write a row's group of 32 values.
static inline void write_group(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, __m512 a, __m512 b) {
    if (x->tiled) {
        uint16_t *out = tiled_at(x, row, group, groups);
        store_bf16(out, a);
        store_bf16(out + 16, b);
        return;
    }
    const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    const float step = most / 32512.0f;  // 127 * 256: the high byte stays in range
    const __m512 inverse = _mm512_set1_ps(most > 1e-30f ? 1.0f / step : 0.0f);
    const __m512i whole[2] = {
        _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)),
        _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse))};
    const int64_t at = row * groups + group;
    for (int i = 0; i < 2; i++) {
        // high = (whole + 128) >> 8, so that low = whole - 256 * high fits a signed byte.
        __m512i high = _mm512_srai_epi32(_mm512_add_epi32(whole[i], _mm512_set1_epi32(128)), 8);
        __m512i low = _mm512_sub_epi32(whole[i], _mm512_slli_epi32(high, 8));
        _mm_storeu_si128((__m128i *)(x->high + at * GROUP + 16 * i), _mm512_cvtepi32_epi8(high));
        _mm_storeu_si128((__m128i *)(x->low + at * GROUP + 16 * i), _mm512_cvtepi32_epi8(low));
    }
    x->steps[at] = step;
    x->sums[at] = step * _mm512_reduce_add_epi32(_mm512_add_epi32(whole[0], whole[1]));
}

static const float LOG2_E = 1.44269504f;

// 2^x for x from -126 (below counts as -126) to 127, to 3e-6 of its value: 2^n times a polynomial.
static inline __m512 power_of_two(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-126.0f));
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 f = _mm512_sub_ps(x, whole);
    __m512 p = _mm512_set1_ps(1.3333558e-3f);  // ln(2)^k / k!
    const float c[] = {9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f};
    for (int i = 0; i < 5; i++) p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(c[i]));
    return _mm512_scalef_ps(p, whole);
}

// x / (1 + e^-x), with one step of Newton's in place of a division.
static inline __m512 silu(__m512 x) {
    const __m512 power = power_of_two(_mm512_min_ps(
        _mm512_mul_ps(x, _mm512_set1_ps(-LOG2_E)), _mm512_set1_ps(126.0f)));
    const __m512 below = _mm512_add_ps(_mm512_set1_ps(1.0f), power);
    const __m512 guess = _mm512_rcp14_ps(below);
    const __m512 better = _mm512_fnmadd_ps(below, guess, _mm512_set1_ps(2.0f));
    return _mm512_mul_ps(_mm512_mul_ps(x, guess), better);
}
