// What the kernels use of AVX-512 and AMX, computed without either, so that their code for those
// processors can be tested on any that has AVX2. Include it first: gcc -include emulated.h.
// Define EMULATE_AMX for the tile unit too.

#pragma GCC system_header  // names are defined again

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#define __AVX512VNNI__ 1
#define __AVX512BF16__ 1

typedef float wide_floats __attribute__((vector_size(64)));
typedef int32_t wide_integers __attribute__((vector_size(64)));
typedef uint16_t wide_words __attribute__((vector_size(64)));
typedef int8_t wide_bytes __attribute__((vector_size(64)));
#define __m512 wide_floats
#define __m512i wide_integers
#define __m512bh wide_integers
#define EMULATED static __attribute__((noinline, unused))

#define _mm512_fmadd_ps emulated_fmadd_ps
#define _mm512_reduce_add_ps emulated_reduce_add_ps
#define _mm512_reduce_max_ps emulated_reduce_max_ps
#define _mm512_reduce_add_epi32 emulated_reduce_add_epi32
#define _mm512_cmp_ps_mask emulated_cmp_ps_mask
#define _mm512_mask_storeu_epi16 emulated_mask_storeu_epi16
#define _mm512_cvtph_ps emulated_cvtph_ps
#define _mm512_cvtneps_pbh emulated_cvtneps_pbh
#define _mm512_cvtne2ps_pbh emulated_cvtne2ps_pbh
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_cvtepi8_epi32 emulated_cvtepi8_epi32
#define _mm512_cvtepi32_epi8 emulated_cvtepi32_epi8
#define _mm512_permutexvar_ps emulated_permutexvar_ps
#define _mm512_permutexvar_epi16 emulated_permutexvar_epi16
#define _mm512_dpbusd_epi32 emulated_dpbusd_epi32
#define _mm512_dpbf16_ps emulated_dpbf16_ps

// A function of each lane's number i.
#define LANES(kind, value) \
    ({ \
        kind all; \
        for (int i = 0; i < 16; i++) all[i] = (value); \
        all; \
    })

#define _mm512_set1_ps(x) ((wide_floats){0} + (float)(x))
#define _mm512_set1_epi32(x) ((wide_integers){0} + (int32_t)(x))
#define _mm512_set1_epi8(x) ((wide_integers)((wide_bytes){0} + (int8_t)(x)))
#define _mm512_setzero_si512() ((wide_integers){0})
#define _mm512_setzero_ps() ((wide_floats){0})
#define _mm512_setr_ps(...) ((wide_floats){__VA_ARGS__})
#define _mm512_setr_epi32(...) ((wide_integers){__VA_ARGS__})

#define LOADED(kind, from) \
    ({ \
        kind all; \
        memcpy(&all, from, 64); \
        all; \
    })
#define STORED(out, kind, x) \
    ({ \
        const kind all = x; \
        memcpy(out, &all, 64); \
    })
#define _mm512_loadu_ps(x) LOADED(wide_floats, x)
#define _mm512_loadu_si512(x) LOADED(wide_integers, x)
#define _mm512_storeu_ps(out, x) STORED(out, wide_floats, x)
#define _mm512_storeu_si512(out, x) STORED(out, wide_integers, x)

#define _mm512_add_ps(a, b) ((a) + (b))
#define _mm512_sub_ps(a, b) ((a) - (b))
#define _mm512_mul_ps(a, b) ((a) * (b))
#define _mm512_add_epi32(a, b) ((a) + (b))
#define _mm512_sub_epi32(a, b) ((a) - (b))
#define _mm512_mullo_epi32(a, b) ((a) * (b))
#define _mm512_and_si512(a, b) ((a) & (b))
#define _mm512_or_si512(a, b) ((a) | (b))
#define _mm512_slli_epi32(a, n) ((a) << (n))
#define _mm512_srai_epi32(a, n) ((a) >> (n))
#define _mm512_srli_epi32(a, n) LANES(wide_integers, (int32_t)((uint32_t)(a)[i] >> (n)))
#define _mm512_srli_epi16(a, n) ((wide_integers)((wide_words)(a) >> (n)))

EMULATED wide_floats emulated_fmadd_ps(wide_floats a, wide_floats b, wide_floats c) {
    return LANES(wide_floats, fmaf(a[i], b[i], c[i]));
}
#define _mm512_fmsub_ps(a, b, c) _mm512_fmadd_ps(a, b, -(c))
#define _mm512_fnmadd_ps(a, b, c) _mm512_fmadd_ps(-(a), b, c)
// As the processor has it: the second one if either is not a number.
#define _mm512_max_ps(a, b) ({ const wide_floats l = a, r = b; LANES(wide_floats, l[i] > r[i] ? l[i] : r[i]); })
#define _mm512_min_ps(a, b) ({ const wide_floats l = a, r = b; LANES(wide_floats, l[i] < r[i] ? l[i] : r[i]); })
#define _mm512_abs_ps(a) LANES(wide_floats, fabsf((a)[i]))
#define _mm512_roundscale_ps(a, mode) LANES(wide_floats, rintf((a)[i]))
#define _mm512_scalef_ps(a, n) LANES(wide_floats, ldexpf((a)[i], (int)(n)[i]))
#define _mm512_rcp14_ps(a) LANES(wide_floats, 1.0f / (a)[i])
#define _mm512_cvtepi32_ps(a) LANES(wide_floats, (float)(a)[i])
#define _mm512_cvtps_epi32(a) \
    LANES(wide_integers, fabsf((a)[i]) < 2147483648.0f ? (int32_t)lrintf((a)[i]) : INT32_MIN)

EMULATED float emulated_reduce_add_ps(wide_floats x) {
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) x[i] += x[i + half];
    return x[0];
}

EMULATED float emulated_reduce_max_ps(wide_floats x) {
    for (int i = 1; i < 16; i++) x[0] = x[i] > x[0] ? x[i] : x[0];
    return x[0];
}

EMULATED int32_t emulated_reduce_add_epi32(wide_integers x) {
    for (int i = 1; i < 16; i++) x[0] += x[i];
    return x[0];
}

#define BITS(condition) \
    ({ \
        __mmask16 all = 0; \
        for (int i = 0; i < 16; i++) all |= (condition) << i; \
        all; \
    })
EMULATED __mmask16 emulated_cmp_ps_mask(wide_floats a, wide_floats b, int how) {
    if (how == _CMP_EQ_OQ) return BITS(a[i] == b[i]);
    if (how == _CMP_GT_OQ) return BITS(a[i] > b[i]);
    return BITS(isunordered(a[i], b[i]));
}

#define _mm512_mask_mov_ps(rest, mask, x) LANES(wide_floats, (mask) >> i & 1 ? (x)[i] : (rest)[i])
#define _mm512_maskz_mov_ps(mask, x) LANES(wide_floats, (mask) >> i & 1 ? (x)[i] : 0)
#define _mm512_mask_loadu_ps(rest, mask, x) \
    LANES(wide_floats, (mask) >> i & 1 ? ((const float *)(x))[i] : (rest)[i])

EMULATED void emulated_mask_storeu_epi16(void *out, uint32_t mask, wide_integers x) {
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) memcpy((char *)out + 2 * i, (const char *)&x + 2 * i, 2);
}

EMULATED wide_floats emulated_cvtph_ps(__m256i halves) {
    wide_floats all;
    const __m256 low = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    const __m256 high = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
    memcpy(&all, &low, 32);
    memcpy((char *)&all + 32, &high, 32);
    return all;
}

// To bf16, ties to even; what is not a number stays so, and what is too small for a normal is 0.
EMULATED uint16_t narrowed(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (isnan(x)) return bits >> 16 | 0x40;
    if (!(bits & 0x7f800000)) return bits >> 16 & 0x8000;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

EMULATED float widened(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

EMULATED __m256i emulated_cvtneps_pbh(wide_floats x) {
    uint16_t all[16];
    for (int i = 0; i < 16; i++) all[i] = narrowed(x[i]);
    return _mm256_loadu_si256((const __m256i *)all);
}

EMULATED wide_integers emulated_cvtne2ps_pbh(wide_floats high, wide_floats low) {
    wide_words all;
    for (int i = 0; i < 16; i++) all[i] = narrowed(low[i]), all[16 + i] = narrowed(high[i]);
    return (wide_integers)all;
}

EMULATED wide_integers emulated_cvtepi8_epi32(__m128i x) {
    int8_t from[16];
    memcpy(from, &x, 16);
    return LANES(wide_integers, from[i]);
}

EMULATED wide_integers emulated_cvtepu16_epi32(__m256i x) {
    uint16_t words[16];
    memcpy(words, &x, 32);
    return LANES(wide_integers, words[i]);
}

EMULATED __m128i emulated_cvtepi32_epi8(wide_integers x) {
    int8_t all[16];
    for (int i = 0; i < 16; i++) all[i] = (int8_t)x[i];
    return _mm_loadu_si128((const __m128i *)all);
}

EMULATED wide_floats emulated_permutexvar_ps(wide_integers which, wide_floats x) {
    return LANES(wide_floats, x[which[i] & 15]);
}

EMULATED wide_integers emulated_permutexvar_epi16(wide_integers which, wide_integers x) {
    const wide_words from = (wide_words)x, index = (wide_words)which;
    wide_words all;
    for (int i = 0; i < 32; i++) all[i] = from[index[i] & 31];
    return (wide_integers)all;
}

// sums += four unsigned bytes of a times four signed ones of b.
EMULATED wide_integers emulated_dpbusd_epi32(wide_integers sums, wide_integers a, wide_integers b) {
    const wide_bytes left = (wide_bytes)a, right = (wide_bytes)b;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 4; k++) sums[i] += (uint8_t)left[4 * i + k] * right[4 * i + k];
    return sums;
}

// sums += two bf16 of a times two of b.
EMULATED wide_floats emulated_dpbf16_ps(wide_floats sums, wide_integers a, wide_integers b) {
    const wide_words left = (wide_words)a, right = (wide_words)b;
    for (int i = 0; i < 16; i++)
        for (int k = 1; k >= 0; k--)
            sums[i] = fmaf(widened(left[2 * i + k]), widened(right[2 * i + k]), sums[i]);
    return sums;
}

#ifdef EMULATE_AMX

#define __AMX_BF16__ 1
// The system is not asked for tile registers.
#undef SYS_arch_prctl
#define SYS_arch_prctl SYS_sched_yield

static __thread struct {
    uint8_t rows[16][64];
} tile_registers[8];

#define _tile_loadconfig(config) (void)(config)
#define _tile_release() (void)0
#define _tile_zero(t) memset(&tile_registers[t], 0, sizeof *tile_registers)

static inline void emulated_tile_loadd(int t, const void *from, int64_t stride) {
    for (int r = 0; r < 16; r++) memcpy(tile_registers[t].rows[r], (const char *)from + r * stride, 64);
}

static inline void emulated_tile_stored(int t, void *to, int64_t stride) {
    for (int r = 0; r < 16; r++) memcpy((char *)to + r * stride, tile_registers[t].rows[r], 64);
}

static inline void emulated_tile_dpbf16ps(int sums, int a, int b) {
    for (int r = 0; r < 16; r++)
        for (int k = 0; k < 16; k++) {
            int32_t pair;
            memcpy(&pair, tile_registers[a].rows[r] + 4 * k, 4);
            wide_floats sum = LOADED(wide_floats, tile_registers[sums].rows[r]);
            sum = _mm512_dpbf16_ps(
                sum, _mm512_set1_epi32(pair), LOADED(wide_integers, tile_registers[b].rows[k]));
            STORED(tile_registers[sums].rows[r], wide_floats, sum);
        }
}

#define _tile_loadd emulated_tile_loadd
#define _tile_stored emulated_tile_stored
#define _tile_dpbf16ps emulated_tile_dpbf16ps

#endif
