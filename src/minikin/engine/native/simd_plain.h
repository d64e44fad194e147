// Sixteen floats as four vectors of the compiler, for any processor. The comments here say what each
// function computes in every set. The sets may round differently.

#ifndef SIMD_SET_H
#define SIMD_SET_H

#include "basics.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files have the low byte first");

typedef float four __attribute__((vector_size(16)));
typedef int32_t whole __attribute__((vector_size(16)));
typedef uint32_t bits32 __attribute__((vector_size(16)));
typedef uint16_t bits16 __attribute__((vector_size(8)));
typedef int16_t words __attribute__((vector_size(8)));
typedef struct {
    four at[4];
} floats;

// Floats whose part i, of four, is the value.
#define EACH(value) \
    ({ \
        floats each; \
        for (int i = 0; i < 4; i++) each.at[i] = (value); \
        each; \
    })

// A hint to the processor: this thread waits for another.
static inline void relax(void) {}

// a where the mask is -1, b where it is 0.
static inline four chosen(whole mask, four a, four b) {
    return (four)(((whole)a & mask) | ((whole)b & ~mask));
}

static inline floats v_all(float x) { return EACH(x - (four){0}); }

static inline floats v_load(const float *x) {
    floats all;
    memcpy(&all, x, sizeof all);
    return all;
}

static inline void v_store(float *out, floats x) { memcpy(out, &x, sizeof x); }

static inline floats v_add(floats a, floats b) { return EACH(a.at[i] + b.at[i]); }
static inline floats v_sub(floats a, floats b) { return EACH(a.at[i] - b.at[i]); }
static inline floats v_mul(floats a, floats b) { return EACH(a.at[i] * b.at[i]); }

// If a or b is NaN: b.
static inline floats v_max(floats a, floats b) {
    return EACH(chosen(a.at[i] > b.at[i], a.at[i], b.at[i]));
}

static inline floats v_min(floats a, floats b) {
    return EACH(chosen(a.at[i] < b.at[i], a.at[i], b.at[i]));
}

static inline floats v_abs(floats x) { return EACH((four)((whole)x.at[i] & 0x7fffffff)); }

// The nearest whole number, ties to even, for |x| up to 2^22: from 2^23 on, floats have no fractions.
static inline floats v_round(floats x) {
    const floats shifted = EACH(x.at[i] + 12582912.0f);
    return EACH(shifted.at[i] - 12582912.0f);
}

// a b + c, a b - c, c - a b.
static inline floats v_mul_add(floats a, floats b, floats c) {
    return EACH(a.at[i] * b.at[i] + c.at[i]);
}

static inline floats v_mul_sub(floats a, floats b, floats c) {
    return EACH(a.at[i] * b.at[i] - c.at[i]);
}

static inline floats v_sub_mul(floats c, floats a, floats b) {
    return EACH(c.at[i] - a.at[i] * b.at[i]);
}

static inline float v_sum(floats x) {
    const four sum = (x.at[0] + x.at[1]) + (x.at[2] + x.at[3]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static inline float v_most(floats x) {
    float most = x.at[0][0];
    for (int i = 1; i < 16; i++) most = x.at[i / 4][i % 4] > most ? x.at[i / 4][i % 4] : most;
    return most;
}

// 1 / x, exact to at least 12 bits.
static inline floats v_about_inverse(floats x) { return EACH(1 / x.at[i]); }

// x 2^n for whole n from -126 to 127.
static inline floats v_scale(floats x, floats n) {
    return EACH(x.at[i] * (four)((__builtin_convertvector(n.at[i], whole) + 127) << 23));
}

// Bit i: whether the lanes i are equal; whether that of a is above that of b; whether lane i is NaN.
static inline uint32_t v_equal(floats a, floats b) {
    uint32_t bits = 0;
    for (int i = 0; i < 16; i++) bits |= (uint32_t)(a.at[i / 4][i % 4] == b.at[i / 4][i % 4]) << i;
    return bits;
}

static inline uint32_t v_above(floats a, floats b) {
    uint32_t bits = 0;
    for (int i = 0; i < 16; i++) bits |= (uint32_t)(a.at[i / 4][i % 4] > b.at[i / 4][i % 4]) << i;
    return bits;
}

static inline uint32_t v_nan(floats x) { return ~v_equal(x, x) & 0xffff; }

// The lanes of `kept` if x is above the limit there, else 0.
static inline floats v_where_above(floats x, float limit, floats kept) {
    return EACH(chosen(x.at[i] > limit, kept.at[i], (four){0}));
}

// The first `count` lanes of x, or of the array x; the others from `rest`.
static inline floats v_first(int64_t count, floats x, floats rest) {
    const int32_t bound = (int32_t)larger(0, smaller(count, 16));
    return EACH(chosen((whole){0, 1, 2, 3} < bound - 4 * i, x.at[i], rest.at[i]));
}

static inline floats v_load_first(int64_t count, const float *x, floats rest) {
    if (count >= 16) return v_load(x);
    if (count > 0) memcpy(&rest, x, count * sizeof *x);
    return rest;
}

// Sixteen finite half-precision numbers. Their bits are those of a float that is 2^112 times too small.
static inline floats v_load_half(const void *x) {
    bits16 halves[4];
    memcpy(halves, x, sizeof halves);
    floats all;
    for (int i = 0; i < 4; i++) {
        const bits32 wide = __builtin_convertvector(halves[i], bits32);
        const four size = (four)((wide & 0x7fff) << 13) * 0x1p112f;
        all.at[i] = (four)((bits32)size | (wide & 0x8000) << 16);
    }
    return all;
}

// The nearest bf16, ties to even. NaN stays NaN.
static inline void v_store_bf16(uint16_t *out, floats x) {
    for (int i = 0; i < 4; i++) {
        const bits32 bits = (bits32)x.at[i], nan = (bits32)(x.at[i] != x.at[i]);
        const bits32 rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        const bits16 all = __builtin_convertvector((rounded & ~nan) | (0x7fc0 & nan), bits16);
        memcpy(out + 4 * i, &all, sizeof all);
    }
}

// The first, or the second, numbers of 16 pairs of bf16.
static inline floats v_firsts(const void *pairs) {
    bits32 all[4];
    memcpy(all, pairs, sizeof all);
    return EACH((four)(all[i] << 16));
}

static inline floats v_seconds(const void *pairs) {
    bits32 all[4];
    memcpy(all, pairs, sizeof all);
    return EACH((four)(all[i] & 0xffff0000));
}

// The values of a group of 32 integers of a row.
static inline void read_group(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, float *out) {
    const int16_t *from = x->integers + (row * groups + group) * GROUP;
    for (int i = 0; i < GROUP; i++) out[i] = from[i] * x->steps[row * groups + group];
}

// Store 32 values times `inverse`, rounded to integers. Returns their sum.
static inline int32_t write_integers(
    const struct inputs *x, int64_t row, int64_t group, int64_t groups, floats a, floats b,
    float inverse) {
    const floats rounded[2] = {v_round(v_mul(a, v_all(inverse))), v_round(v_mul(b, v_all(inverse)))};
    int16_t *out = x->integers + (row * groups + group) * GROUP;
    for (int i = 0; i < 8; i++) {
        const words narrow = __builtin_convertvector(rounded[i / 4].at[i % 4], words);
        memcpy(out + 4 * i, &narrow, sizeof narrow);
    }
    return (int32_t)v_sum(v_add(rounded[0], rounded[1]));
}

// The first bit of the level of input i, in the 32 bits that a line has for an output.
static inline int first_bit(int i, int bits) { return bits * i; }

static inline floats v_all_bf16(uint16_t value) {
    return EACH((four)((uint32_t)value << 16 | (bits32){0}));
}

// c += a b for the first `rows` rows of tiles. Strides count elements; b's is from pair to pair.
static inline void add_product(
    float *c, int64_t c_stride, const uint16_t *a, int64_t a_stride, const uint16_t *b,
    int64_t b_stride, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        floats sum = v_load(c + r * c_stride);
        for (int p = 0; p < 16; p++) {
            const uint16_t *pair = a + r * a_stride + 2 * p;
            sum = v_mul_add(v_firsts(b + p * b_stride), v_all_bf16(pair[0]), sum);
            sum = v_mul_add(v_seconds(b + p * b_stride), v_all_bf16(pair[1]), sum);
        }
        v_store(c + r * c_stride, sum);
    }
}

#endif
