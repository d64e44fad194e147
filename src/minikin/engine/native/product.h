// A product with a packed matrix, as every instruction set receives it.

#ifndef PRODUCT_H
#define PRODUCT_H

#include "inputs.h"
#include "matrix.h"

struct matmul {
    struct matrix weight;
    struct inputs x;
    float *out;          // [rows, outputs]; with GATE only the few rows
    struct inputs gated; // [rows, `passed`], with GATE, for tiled rows
    int64_t rows, mode, activation, chunk_panels;
};

// The numbers that an activation makes of a row of this matrix. With gates, panels 2 i hold gates and 2 i + 1
// what they let pass.
static inline int64_t passed(const struct matrix *m, int64_t activation) {
    return has_gates(activation) ? m->outputs / 2 : m->outputs;
}

// What the sums of a panel begin with.
static inline floats start_of(const struct matmul *m, int64_t panel) {
    return m->weight.bias ? v_load(m->weight.bias + panel * PANEL) : v_all(0);
}

static inline void finish(float *out, floats value, int64_t mode) {
    v_store(out, mode == ADD ? v_add(v_load(out), value) : value);
}

#endif
