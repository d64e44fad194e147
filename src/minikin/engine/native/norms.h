// RMS norms (Zhang and Sennrich 2019).

#ifndef NORMS_H
#define NORMS_H

#include "inputs.h"
#include "workers.h"

struct norm {
    const float *x, *weight;
    struct inputs out;
    int64_t rows, stride, width;
    float epsilon;
};

// 1 / the root mean square of x [width].
static inline floats norm_scale(const float *x, int64_t width, float epsilon) {
    floats squares = v_all(0);
    for (int64_t i = 0; i < width; i += 16) squares = v_mul_add(v_load(x + i), v_load(x + i), squares);
    return v_all(1.0f / sqrtf(v_sum(squares) / width + epsilon));
}

static void norm_chunk(const void *job, int64_t chunk) {
    const struct norm *n = job;
    const int64_t groups = n->width / GROUP, size = rows_a_chunk(n->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, n->rows); r++) {
        const float *row = n->x + r * n->stride;
        const floats scale = norm_scale(row, n->width, n->epsilon);
        for (int64_t g = 0; g < groups; g++) {
            floats half[2];
            for (int i = 0; i < 2; i++) {
                const int64_t at = g * GROUP + 16 * i;
                half[i] = v_mul(v_mul(v_load(row + at), scale), v_load(n->weight + at));
            }
            write_group(&n->out, r, g, groups, half[0], half[1]);
        }
    }
}

// out = x / rms(x) * weight (Zhang and Sennrich 2019). Row r of x is [width] at r * stride.
static void norm_part(
    const float *x, int64_t stride, const float *weight, const struct inputs *out, int64_t rows,
    int64_t width, float epsilon) {
    const struct norm job = {x, weight, *out, rows, stride, width, epsilon};
    run_chunks(norm_chunk, &job, ceiling(rows, rows_a_chunk(rows)));
}

// The same for x [rows, width].
void rms_norm(
    const float *x, const float *weight, const struct inputs *out, int64_t rows, int64_t width,
    float epsilon) {
    norm_part(x, width, weight, out, rows, width, epsilon);
}

static inline void norm_in_place(float *x, const float *weight, int64_t width, float epsilon) {
    const floats scale = norm_scale(x, width, epsilon);
    for (int64_t i = 0; i < width; i += 16)
        v_store(x + i, v_mul(v_mul(v_load(x + i), scale), v_load(weight + i)));
}

struct norming {
    float *x;
    const float *weight;
    int64_t width;
    float epsilon;
};

static void norm_row(const void *job, int64_t r) {
    const struct norming *n = job;
    norm_in_place(n->x + r * n->width, n->weight, n->width, n->epsilon);
}

// x [rows, width] = x / rms(x) * weight.
static void norm_rows(float *x, const float *weight, int64_t rows, int64_t width, float epsilon) {
    const struct norming job = {x, weight, width, epsilon};
    run_chunks(norm_row, &job, rows);
}

struct adding {
    const float *added, *weight;
    float *x;
    int64_t rows, width;
    float epsilon;
};

static void add_normed_chunk(const void *job, int64_t chunk) {
    const struct adding *n = job;
    const int64_t size = rows_a_chunk(n->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, n->rows); r++) {
        const float *added = n->added + r * n->width;
        float *x = n->x + r * n->width;
        const floats scale = norm_scale(added, n->width, n->epsilon);
        for (int64_t i = 0; i < n->width; i += 16) {
            const floats normed = v_mul(v_mul(v_load(added + i), scale), v_load(n->weight + i));
            v_store(x + i, v_add(v_load(x + i), normed));
        }
    }
}

// x += added / rms(added) * weight. Both are [rows, width].
static void add_normed(
    const float *added, const float *weight, float *x, int64_t rows, int64_t width, float epsilon) {
    const struct adding job = {added, weight, x, rows, width, epsilon};
    run_chunks(add_normed_chunk, &job, ceiling(rows, rows_a_chunk(rows)));
}

#endif
