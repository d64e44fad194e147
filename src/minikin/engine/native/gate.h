// Feed-forward parts: panels of gates and of ups in turn (Shazeer 2020), or of ups alone.

#ifndef GATE_H
#define GATE_H

#include "matmul.h"

struct gating {
    const float *gate_up;
    struct inputs out;
    int64_t rows, width, activation;
};

static void gate_chunk(const void *job, int64_t chunk) {
    const struct gating *s = job;
    const int64_t groups = s->width / GROUP, size = rows_a_chunk(s->rows);
    const int gates = has_gates(s->activation), panels = gates ? 2 : 1;
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, s->rows); r++)
        for (int64_t g = 0; g < groups; g++) {
            const float *in = s->gate_up + (r * groups + g) * 2 * panels * PANEL;
            floats half[2];
            for (int i = 0; i < 2; i++, in += panels * PANEL)
                half[i] = gates ? gated(v_load(in), v_load(in + PANEL), s->activation) : squared_relu(v_load(in));
            write_group(&s->out, r, g, groups, half[0], half[1]);
        }
}

// gated = activated gates times ups, for rows of integers. (Products finish tiled rows themselves.)
static void gate_rows(const float *gate_up, const struct inputs *gated, int64_t rows, int64_t width, int64_t activation) {
    if (!rows) return;
    const struct gating job = {gate_up, *gated, rows, width, activation};
    run_chunks(gate_chunk, &job, ceiling(rows, rows_a_chunk(rows)));
}

// activated gates times ups, or activated ups, of x times the matrix.
static struct inputs run_gated(
    const struct matrix *weight, const struct room *room, int64_t rows, int64_t activation) {
    struct inputs out = room->gated;
    out.few = room->normed.few;  // mixtures have each row several times
    run_matmul((struct matmul){
        .weight = *weight, .x = room->normed, .out = room->gate_up, .gated = out,
        .rows = rows, .mode = GATE, .activation = activation});
    const int64_t few = smaller(room->normed.few, rows);
    gate_rows(room->gate_up, &out, few, passed(weight, activation), activation);
    return out;
}

#endif
