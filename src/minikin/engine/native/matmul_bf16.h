// Products of integers with bf16 matrices, by FMA. The integers become floats, once for all panels of a
// chunk. (`matmul_avx512.h` multiplies tiles; there a cell of bf16 is one.)

#ifndef MATMUL_BF16_H
#define MATMUL_BF16_H

#include "product.h"

enum { TOGETHER_BF16 = 6 };  // rows per pass over a panel: their sums fill the registers of AVX2

// One panel for `rows` rows of x [rows, width] from `row` on; `rows` is a constant after inlining.
static inline __attribute__((always_inline)) void bf16_rows(
    const struct matmul *m, int64_t panel, int64_t row, const float *x, const int rows) {
    const int64_t width = m->weight.width, groups = width / GROUP;
    const uint8_t *line = m->weight.cells + panel * groups * cell_bytes(BF16);
    floats total[TOGETHER_BF16];
    for (int r = 0; r < rows; r++) total[r] = start_of(m, panel);
    // Two pointers and a stride reach all rows, as in matmul_avx2.h.
    const float *half[2] = {x, x + 3 * width};
    for (int64_t pair = 0; pair < width / 2; pair++, line += LINE) {
        ask_for(line + AHEAD, LINE);
        int64_t stride = width;
        __asm__("" : "+r"(half[0]), "+r"(half[1]), "+r"(stride));
        const floats first = v_firsts(line);
        for (int r = 0; r < rows; r++)
            total[r] = v_mul_add(first, v_all(half[r / 3][r % 3 * stride]), total[r]);
        const floats second = v_seconds(line);
        for (int r = 0; r < rows; r++)
            total[r] = v_mul_add(second, v_all(half[r / 3][r % 3 * stride + 1]), total[r]);
        half[0] += 2;
        half[1] += 2;
    }
    for (int r = 0; r < rows; r++)
        finish(m->out + (row + r) * m->weight.outputs + panel * PANEL, total[r], m->mode);
}

// (Never inlined: its arrays on the stack make the products of levels a tenth slower.)
static __attribute__((noinline)) void bf16_panels(
    const struct matmul *m, int64_t few, int64_t first, int64_t last) {
    const int64_t width = m->weight.width, groups = width / GROUP;
    float x[TOGETHER_BF16 * width] __attribute__((aligned(64)));
    for (int64_t row = 0; row < few; row += TOGETHER_BF16) {
        const int64_t rows = smaller(few - row, TOGETHER_BF16);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t g = 0; g < groups; g++)
                read_group(&m->x, row + r, g, groups, x + r * width + g * GROUP);
        for (int64_t p = first; p < last; p++)
            switch (rows) {
#define CASE(n) case n: bf16_rows(m, p, row, x, n); break;
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#undef CASE
            }
    }
}

#endif
