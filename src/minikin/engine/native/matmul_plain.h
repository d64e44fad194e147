// Products in plain C: inputs and weights become floats, and a weight serves several rows.

#ifndef MATMUL_SET_H
#define MATMUL_SET_H

#include "simd_plain.h"

#include "matmul_bf16.h"

enum { TAKES_TILES = 0 };
enum { ROWS = 4 };  // that one weight serves

// One panel for `rows` rows of x [rows, width]; `bits` and `rows` are constants after inlining.
static inline __attribute__((always_inline)) void panel_rows(
    const struct matmul *m, int64_t panel, int64_t row, const float *x, const int bits,
    const int rows) {
    const int64_t width = m->weight.width, groups = width / GROUP;
    const uint8_t *cell = m->weight.cells + panel * groups * cell_bytes(bits);
    floats total[ROWS];
    for (int r = 0; r < rows; r++) total[r] = start_of(m, panel);
    for (int64_t g = 0; g < groups; g++, cell += cell_bytes(bits)) {
        const floats scale = scale_of(cell, bits), minimum = minimum_of(cell, bits);
        ask_for(cell + AHEAD, cell_bytes(bits));
        for (int j = 0; j < bits; j++) {
            bits32 line[4];
            memcpy(line, cell + LINE * j, sizeof line);
            for (int k = 0; k < 32 / bits; k++, x++) {
                const uint32_t mask = (1u << bits) - 1;
                const floats level = EACH(
                    __builtin_convertvector((whole)(line[i] >> bits * k & mask), four));
                const floats weight = v_mul_add(scale, level, minimum);
                for (int r = 0; r < rows; r++)
                    total[r] = v_mul_add(weight, v_all(x[r * width]), total[r]);
            }
        }
    }
    for (int r = 0; r < rows; r++)
        finish(m->out + (row + r) * m->weight.outputs + panel * PANEL, total[r], m->mode);
}

static void panel_by_rows(
    const struct matmul *m, int64_t panel, int64_t row, const float *x, int64_t rows) {
    switch (rows + (m->weight.bits == 8) * ROWS) {
#define CASE(n) case n: panel_rows(m, panel, row, x, 4, n); break; \
                case n + ROWS: panel_rows(m, panel, row, x, 8, n); break;
        CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
    }
}

static void matmul_chunk(const void *job, int64_t chunk) {
    const struct matmul *m = job;
    const int64_t width = m->weight.width, groups = width / GROUP, first = chunk * m->chunk_panels;
    const int64_t last = smaller(first + m->chunk_panels, m->weight.outputs / PANEL);
    if (m->weight.bits == BF16) {
        bf16_panels(m, m->rows, first, last);
        return;
    }
    float x[ROWS * width];
    for (int64_t row = 0; row < m->rows; row += ROWS) {
        const int64_t rows = smaller(m->rows - row, ROWS);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t g = 0; g < groups; g++)
                read_group(&m->x, row + r, g, groups, x + r * width + g * GROUP);
        for (int64_t p = first; p < last; p++) panel_by_rows(m, p, row, x, rows);
    }
}

#endif
