// Packed matrices.
//
// A packed matrix [outputs, width] is kept in panels of 16 outputs. For each panel and each group of
// 32 inputs there is a cell: levels of 4 or 8 bits, then 16 scales and 16 minima in half precision.
// A weight is scale * level + minimum, exactly as in the model file. The levels are in lines of 64 bytes.
// A line has 32 bits for each of the 16 outputs: the levels of 8 or 4 consecutive inputs, at the bits
// that `first_bit` of `simd_*.h` gives.
//
// The cells of a bf16 matrix are tiles: 16 lines of pairs of inputs, one pair for each output.

#ifndef MATRIX_H
#define MATRIX_H

#include "workers.h"

enum { LINE = 64, BF16 = 16 };  // BF16: the bits of a matrix that is not quantized
enum { AHEAD = 8192 };  // weights are prefetched this many bytes ahead

static inline int64_t cell_bytes(int bits) { return bits * LINE + (bits == BF16 ? 0 : 64); }

int64_t matrix_bytes(int64_t outputs, int64_t width, int64_t bits) {
    return outputs / PANEL * (width / GROUP) * cell_bytes(bits);
}

static inline floats scale_of(const uint8_t *cell, int bits) { return v_load_half(cell + bits * LINE); }

static inline floats minimum_of(const uint8_t *cell, int bits) {
    return v_load_half(cell + bits * LINE + 32);
}

struct packing {
    const uint8_t *levels;
    const uint16_t *scales, *minima;
    uint8_t *cells;
    int64_t width, bits;
};

// `bits` is a constant after inlining.
static inline __attribute__((always_inline)) void pack_cells(
    const struct packing *k, int64_t panel, const int bits) {
    const int64_t groups = k->width / GROUP;
    const int inputs = 32 / bits;  // of a line
    for (int64_t g = 0; g < groups; g++) {
        uint8_t *cell = k->cells + (panel * groups + g) * cell_bytes(bits);
        for (int n = 0; n < PANEL; n++) {
            const uint8_t *row = k->levels + (panel * PANEL + n) * k->width + g * GROUP;
            for (int j = 0; j < bits; j++) {
                uint32_t lane = 0;
                for (int i = 0; i < inputs; i++)
                    lane |= (uint32_t)row[inputs * j + i] << first_bit(i, bits);
                memcpy(cell + LINE * j + 4 * n, &lane, 4);
            }
            const int64_t at = (panel * PANEL + n) * groups + g;
            memcpy(cell + bits * LINE + 2 * n, k->scales + at, 2);
            memcpy(cell + bits * LINE + 32 + 2 * n, k->minima + at, 2);
        }
    }
}

static void pack_panel(const void *job, int64_t panel) {
    const struct packing *k = job;
    k->bits == 8 ? pack_cells(k, panel, 8) : pack_cells(k, panel, 4);
}

// Levels [outputs, width] (one per byte), scales and minima [outputs, groups] half -> cells.
void pack_matrix(
    const uint8_t *levels, const uint16_t *scales, const uint16_t *minima, uint8_t *cells,
    int64_t outputs, int64_t width, int64_t bits) {
    const struct packing job = {levels, scales, minima, cells, width, bits};
    run_chunks(pack_panel, &job, outputs / PANEL);
}

struct pairing {
    const uint16_t *values;
    uint8_t *cells;
    int64_t width;
};

static void pair_panel(const void *job, int64_t panel) {
    const struct pairing *k = job;
    for (int64_t g = 0; g < k->width / GROUP; g++) {
        uint8_t *cell = k->cells + (panel * k->width / GROUP + g) * cell_bytes(BF16);
        for (int p = 0; p < GROUP / 2; p++)
            for (int n = 0; n < PANEL; n++)
                memcpy(
                    cell + LINE * p + 4 * n,
                    k->values + (panel * PANEL + n) * k->width + g * GROUP + 2 * p, 4);
    }
}

// Values [outputs, width] bf16 -> cells.
void pair_matrix(const uint16_t *values, uint8_t *cells, int64_t outputs, int64_t width) {
    const struct pairing job = {values, cells, width};
    run_chunks(pair_panel, &job, outputs / PANEL);
}

// Output n of a cell of bf16, as 32 floats.
static void row_of_pairs(const uint8_t *cell, int64_t n, float *out) {
    for (int64_t i = 0; i < GROUP; i++) {
        uint16_t value;
        memcpy(&value, cell + LINE * (i / 2) + 4 * n + 2 * (i % 2), 2);
        const uint32_t bits = (uint32_t)value << 16;
        memcpy(out + i, &bits, 4);
    }
}

// out [count, width] float = the matrix's rows `which`.
void matrix_rows(const struct matrix *m, const int64_t *which, int64_t count, float *out) {
    const int64_t groups = m->width / GROUP, bits = m->bits, inputs = 32 / bits;
    for (int64_t r = 0; r < count; r++)
        for (int64_t g = 0; g < groups; g++) {
            const int64_t n = which[r] % PANEL;
            const uint8_t *cell = m->cells + (which[r] / PANEL * groups + g) * cell_bytes(bits);
            if (bits == BF16) {
                row_of_pairs(cell, n, out + (r * groups + g) * GROUP);
                continue;
            }
            float scales[PANEL], minima[PANEL];
            v_store(scales, scale_of(cell, bits));
            v_store(minima, minimum_of(cell, bits));
            for (int64_t i = 0; i < GROUP; i++) {
                uint32_t lane;
                memcpy(&lane, cell + LINE * (i / inputs) + 4 * n, 4);
                const int level = lane >> first_bit(i % inputs, bits) & ((1 << bits) - 1);
                out[(r * groups + g) * GROUP + i] = scales[n] * level + minima[n];
            }
        }
}

#endif
