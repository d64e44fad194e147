// Blocks of a model file to levels with a scale and a minimum for each group of 32, for the commonest
// types. `_regroup` of `quantized.py` does the same for every type, with the same bits.

#ifndef REGROUP_H
#define REGROUP_H

#include "basics.h"
#include "workers.h"

enum { Q4_0 = 2, Q4_1 = 3, Q8_0 = 8, Q4_K = 12, Q5_K = 13, Q6_K = 14 };  // as in GGUF
enum { BLOCKS_A_CHUNK = 512 };

struct regrouping {
    const uint8_t *blocks;
    int64_t count, kind, block_bytes, block_size;
    uint8_t *levels;
    uint16_t *scales, *minima;
    _Atomic int *broken;
};

static inline float of_half(uint16_t half) {
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    float value;
    memcpy(&value, &bits, 4);
    value *= 0x1p112f;  // the difference of the exponents' biases
    memcpy(&bits, &value, 4);
    if ((half & 0x7c00) == 0x7c00) bits |= 0x7f800000;
    bits |= (uint32_t)(half & 0x8000) << 16;
    memcpy(&value, &bits, 4);
    return value;
}

// Rounded to the nearest, ties to even.
static inline uint16_t to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint16_t sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits >= 0x47800000) return sign | (bits > 0x7f800000 ? 0x7e00 : 0x7c00);
    if (bits < 0x38800000) {  // below 2^-14: the sum with 0.5 has the last bit of such a half
        const float sum = fabsf(value) + 0.5f;
        memcpy(&bits, &sum, 4);
        return sign | (uint16_t)(bits - 0x3f000000);
    }
    return sign | (uint16_t)((bits + 0xc8000fff + (bits >> 13 & 1)) >> 13);
}

static inline float half_at(const uint8_t *from) {
    uint16_t half;
    memcpy(&half, from, 2);
    return of_half(half);
}

// The lowest 4 bits of `run` bytes, then the highest.
static inline void nibbles(const uint8_t *packed, int run, uint8_t *levels) {
    for (int i = 0; i < run; i++) {
        levels[i] = packed[i] & 15;
        levels[run + i] = packed[i] >> 4;
    }
}

// The eight scales and minima of Q4_K and Q5_K: 6 bits each, in 12 bytes.
static inline void small_scales(const uint8_t *block, uint16_t *scales, uint16_t *minima) {
    const float d = half_at(block), m = -half_at(block + 2);
    const uint8_t *first = block + 4, *second = first + 4, *third = first + 8;
    for (int i = 0; i < 4; i++) {
        scales[i] = to_half(d * (float)(first[i] & 63));
        scales[4 + i] = to_half(d * (float)((third[i] & 15) | first[i] >> 6 << 4));
        minima[i] = to_half(m * (float)(second[i] & 63));
        minima[4 + i] = to_half(m * (float)(third[i] >> 4 | second[i] >> 6 << 4));
    }
}

static inline void fifth_bits(const uint8_t *high, uint8_t *levels) {
    for (int place = 0; place < 8; place++)
        for (int i = 0; i < 32; i++) levels[32 * place + i] |= (high[i] >> place & 1) << 4;
}

static inline void values_of_q6_k(const uint8_t *block, float *values) {
    const uint8_t *high = block + 128;
    const int8_t *scales = (const int8_t *)block + 192;
    const float d = half_at(block + 208);
    uint8_t levels[256];
    nibbles(block, 64, levels);
    nibbles(block + 64, 64, levels + 128);
    for (int i = 0; i < 256; i++)
        levels[i] |= (high[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3) << 4;
    for (int i = 0; i < 256; i++)
        values[i] = ((float)levels[i] - 32.0f) * (d * (float)scales[i / 16]);
}

// 256 levels from the smallest to the largest of 32 finite values.
static inline void requantize(
    const float *values, uint8_t *levels, uint16_t *scale, uint16_t *minimum) {
    float least = values[0], most = values[0];
    for (int i = 1; i < GROUP; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    *minimum = to_half(least);
    const float from = of_half(*minimum);
    *scale = to_half((most - from) / 255.0f);
    const float rounded = of_half(*scale), step = rounded > 0 ? rounded : 1;
    for (int i = 0; i < GROUP; i++) {
        const float level = rintf((values[i] - from) / step);
        levels[i] = level < 0 ? 0 : level > 255 ? 255 : level;
    }
}

static inline void regroup_q6_k(
    const uint8_t *block, uint8_t *levels, uint16_t *scales, uint16_t *minima) {
    float values[256];
    if (!isfinite(half_at(block + 208))) {
        scales[0] = 0x7c00;
        return;
    }
    values_of_q6_k(block, values);
    __asm__ volatile("" : : "r"(values) : "memory");  // fused with what follows, they would round once
    for (int g = 0; g < 8; g++)
        requantize(values + GROUP * g, levels + GROUP * g, scales + g, minima + g);
}

static inline void regroup_block(
    const uint8_t *block, int64_t kind, uint8_t *levels, uint16_t *scales, uint16_t *minima) {
    if (kind == Q6_K) {
        regroup_q6_k(block, levels, scales, minima);
    } else if (kind == Q4_K || kind == Q5_K) {
        small_scales(block, scales, minima);
        for (int run = 0; run < 4; run++)
            nibbles(block + (kind == Q5_K ? 48 : 16) + 32 * run, 32, levels + 64 * run);
        if (kind == Q5_K) fifth_bits(block + 16, levels);
    } else if (kind == Q8_0) {
        for (int i = 0; i < 32; i++) levels[i] = block[2 + i] ^ 128;
        memcpy(scales, block, 2);
        *minima = to_half(-128.0f * half_at(block));
    } else {
        nibbles(block + (kind == Q4_1 ? 4 : 2), 16, levels);
        memcpy(scales, block, 2);
        *minima = to_half(kind == Q4_1 ? half_at(block + 2) : -8.0f * half_at(block));
    }
}

static void regroup_chunk(const void *job, int64_t chunk) {
    const struct regrouping *k = job;
    const int64_t groups = k->block_size / GROUP, end = (chunk + 1) * BLOCKS_A_CHUNK;
    for (int64_t b = chunk * BLOCKS_A_CHUNK; b < smaller(end, k->count); b++) {
        uint16_t *scales = k->scales + b * groups, *minima = k->minima + b * groups;
        regroup_block(
            k->blocks + b * k->block_bytes, k->kind, k->levels + b * k->block_size, scales, minima);
        for (int64_t g = 0; g < groups; g++)
            if ((scales[g] & 0x7c00) == 0x7c00 || (minima[g] & 0x7c00) == 0x7c00)
                atomic_store(k->broken, 1);
    }
}

// Blocks of one of the types above -> levels [count, block_size] (one per byte), scales and minima
// [count, block_size / GROUP] half. Returns whether all of these are finite.
int regroup(
    const uint8_t *blocks, int64_t count, int64_t kind, int64_t block_bytes, int64_t block_size,
    uint8_t *levels, uint16_t *scales, uint16_t *minima) {
    _Atomic int broken = 0;
    const struct regrouping job = {blocks, count, kind, block_bytes, block_size,
                                   levels, scales, minima, &broken};
    run_chunks(regroup_chunk, &job, ceiling(count, BLOCKS_A_CHUNK));
    return !broken;
}

#endif
