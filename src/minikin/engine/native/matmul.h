// Products with packed matrices.

// What becomes of a product.
enum { STORE, ADD, GATE };

struct matmul {
    struct matrix weight;
    struct inputs x;
    float *out;          // [rows, outputs], unless the mode is GATE
    struct inputs gated; // [rows, outputs / 2]: panels 2 i hold gates and 2 i + 1 what they let pass
    int64_t rows, mode, gelu, chunk_panels;
};

static inline void finish(float *out, floats value, int64_t mode) {
    v_store(out, mode == ADD ? v_add(v_load(out), value) : value);
}

#include "matmul_bf16.h"

#if WIDE
#include "matmul_avx512.h"
#else
#include "matmul_avx2.h"
#endif

static void run_matmul(struct matmul job) {
    const int64_t panels = job.weight.outputs / PANEL;
    // Four chunks a thread even out; more than six panels at once gain nothing.
    job.chunk_panels = smaller(2 * ceiling(panels, 8 * pool.threads), 6);
    run_chunks(matmul_chunk, &job, ceiling(panels, job.chunk_panels));
}

// out [rows, outputs] float = x times the matrix, transposed; or += (mode ADD).
void packed_matmul(
    const struct matrix *weight, const struct inputs *x, float *out, int64_t rows, int64_t mode) {
    run_matmul((struct matmul){.weight = *weight, .x = *x, .out = out, .rows = rows, .mode = mode});
}
