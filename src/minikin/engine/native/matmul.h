// Products with packed matrices.

#ifndef MATMUL_H
#define MATMUL_H

#include "instruction_set.h"
#include "workers.h"

#include MATMUL

static void run_matmul(struct matmul job) {
    const int64_t panels = job.weight.outputs / PANEL;
    // Four chunks per thread balance the load. More than six panels per chunk gain nothing.
    job.chunk_panels = smaller(2 * ceiling(panels, 8 * pool.threads), 6);
    run_chunks(matmul_chunk, &job, ceiling(panels, job.chunk_panels));
}

// out [rows, outputs] float = x times the matrix, transposed; or += (mode ADD).
void packed_matmul(
    const struct matrix *weight, const struct inputs *x, float *out, int64_t rows, int64_t mode) {
    run_matmul((struct matmul){.weight = *weight, .x = *x, .out = out, .rows = rows, .mode = mode});
}

#endif
